"""``glnet train``: what it prints, writes and refuses."""

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
import yaml
from PIL import Image

from glnet.cli.training_display import TrainingDisplay
from glnet.model.checkpoint import load_model
from glnet.training.checking import CHECKING
from glnet.training.devices import SaidElsewhereError
from tests.cli.commands import files_of_at_most, only_line, run, start
from tests.cli.tiny_training import write_config, write_data
from tests.reporting.shown import Seen
from tests.training.tiny_run import assert_same_weights

Captured = pytest.CaptureFixture[str]

PATIENCE_S = 100

EPOCH = re.compile(
    r"glnet: (\w+): epoch (\d+) of (\d+), loss \d\.\d{4}(, validation mIoU \d+\.\d)?, "
    r"(took )?\d+ s( left)?"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("train"))


@pytest.fixture
def config(data: Path, tmp_path: Path) -> Path:
    return write_config(tmp_path, data)


def test_three_stages_become_a_model_and_a_table(
    config: Path, tmp_path: Path, capfd: Captured
) -> None:
    status = run("train", config)

    out, err = capfd.readouterr()
    assert status == 0
    for row in ("global branch", "local branch", "GLNet", "terrain", "lake in blue country"):
        assert row in out
    assert out.endswith(
        f"the model is in {tmp_path}/run/model\n"
        f"the run explains itself in {tmp_path}/run; one page: glnet report {tmp_path}/run\n"
    )
    epochs = [EPOCH.fullmatch(line) for line in err.splitlines()]
    assert [of and of[1] for of in epochs] == ["context", "local", "refined"]
    assert load_model(tmp_path / "run" / "model").network.refined is not None
    assert (tmp_path / "run" / "report.json").is_file()
    assert run("report", tmp_path / "run") == 0
    page = Seen(tmp_path / "run" / "report.html")
    assert any(of.startswith("worst 1: validation_000") for of in page.pictures)
    assert "not finished" not in page.text


def test_options_win_over_the_file(
    config: Path, data: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ("--output", tmp_path / "other", "--stages.context.epochs", 2, "--run.seed=7")

    status = run("train", config, *words, "--stages.refined.epochs", "0")

    lines = capfd.readouterr().err.splitlines()
    assert status == 0
    assert [EPOCH.fullmatch(line)[1] for line in lines] == ["context"] * 2 + ["local"]  # type: ignore[index]
    written = yaml.safe_load((tmp_path / "other" / "config.yaml").read_text())
    assert (written["run"]["seed"], written["data"]["folder"]) == (7, str(data))
    assert not (tmp_path / "run").exists()


def test_short_options_are_those_of_the_run(config: Path, tmp_path: Path, capfd: Captured) -> None:
    status = run("train", config, "--devices=1", "--num-nodes", 1, "--strategy", "ddp")

    assert status == 0
    written = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["run"]
    assert (written["devices"], written["num_nodes"], written["strategy"]) == (1, 1, "ddp")
    capfd.readouterr()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--devices", "0"), "run.devices must be at least 1, got 0"),
        (("--devices", "two"), "run.devices: expected a whole number, got two"),
        (("--num-nodes", "0"), "run.num_nodes must be at least 1, got 0"),
        (("--num-nodes", "2"), "run.num_nodes 2 needs the command started on each of the machines"),
        (("--strategy", "fsdp"), "run.strategy: expected one of 'ddp', got fsdp"),
        (("--run.timeout_s", "0"), "run.timeout_s must be at least 1, got 0.0"),
    ],
)
def test_devices_that_cannot_be_are_refused(
    config: Path, tmp_path: Path, capfd: Captured, words: tuple[str, str], said: str
) -> None:
    status = run("train", config, *words)

    assert status == 1
    assert only_line(capfd).startswith(f"error: {said}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [SaidElsewhereError("said"), KeyboardInterrupt()])
def test_what_the_first_process_says_no_other_one_repeats(
    config: Path, capfd: Captured, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("glnet.training.run.train_and_evaluate", fail)
    monkeypatch.setattr("glnet.training.devices.is_first", lambda: False)

    assert run("train", config) == 1
    assert capfd.readouterr().err == ""


def test_json_is_all_that_is_printed(config: Path, tmp_path: Path, capfd: Captured) -> None:
    status = run("train", config, "--json")

    told = json.loads(capfd.readouterr().out)
    assert status == 0
    assert told["model"] == str(tmp_path / "run" / "model")
    assert list(told["answers"]) == ["global", "local", "aggregated"]
    assert told["images"] == 1


def test_help_explains_every_key_and_needs_no_training_library() -> None:
    process = start("train", "--help", before="sys.modules['lightning'] = None")
    out, err = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, err) == (0, "")
    assert out.startswith("usage: glnet train CONFIG.yaml [--key value ...] [--resume] [--json]\n")
    for words in (
        "--data.folder FOLDER",
        "--stages.refined.epochs EPOCHS",
        "default: 500",
        "--num-nodes N",
    ):
        assert words in out
    assert "one of 'none', 'balanced', or a list of numbers" in " ".join(out.split())
    for words in ("Literal", "default: null", "Path to a configuration file"):
        assert words not in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nowhere.yaml", "no such configuration file: nowhere.yaml"),
        ("{config} --colour red", "unknown key colour; known here: architecture, coarse"),
        ("{config} --data.colour red", "unknown key data.colour; known here: cache_mib"),
        ("{config} --stages.local.epoch 3", "unknown key stages.local.epoch; known here: epochs"),
        ("{config} --stages.local.epochs x", "stages.local.epochs: expected a whole number, got x"),
        ("{config} --run.device tpu", "run.device: expected one of 'auto', 'cpu', 'cuda', got tpu"),
        ("{config} --data.flips maybe", "data.flips: expected true or false, got maybe"),
        ("{config} --data photos", "data is a group of keys"),
        ("{config} --data.train nobody", "no split 'nobody'; known are train, validation"),
        (
            "{config} --data.folder nowhere",
            "nowhere does not exist; expected the folder of a dataset",
        ),
        ("{config} --output", "--output: expected one argument"),
        ("{config} --output {config}/run", "cannot make the output folder {config}/run"),
        ("{config} --output {config}", "{config} exists and is not empty"),
        ("{config} --resume --output {config}", "holds no run that could go on"),
        ("{config} --loss.class_weights [1,2]", "for each of the 5 classes, got 2"),
        ("{config} --start_from nowhere", "nowhere"),
        ("{config} --stages.local.micro_batch 0", "micro_batch must be at least 1, got 0"),
        ("{config} more", "unrecognized arguments: more"),
        ("--output o", "nothing is given for data.folder"),
        ("--config nowhere.yaml", "no such configuration file: nowhere.yaml"),
        ("--output o --config={config} --data.train nobody", "no split 'nobody'"),
        ("{config} --config other.yaml", "expected one configuration, got {config}, other.yaml"),
    ],
)
def test_wrong_words_are_told_in_one_line(
    words: str, said: str, config: Path, capfd: Captured
) -> None:
    status = run("train", *words.format(config=config).split())

    assert status == 1
    assert said.format(config=config) in only_line(capfd)


def test_a_faulty_mask_is_told_before_the_first_epoch(
    config: Path, data: Path, tmp_path: Path, capfd: Captured
) -> None:
    copy = Path(shutil.copytree(data, tmp_path / "copy"))
    Image.new("L", (3, 3)).save(copy / "masks" / "validation_000.png")

    status = run("train", config, "--data.folder", copy)

    assert status == 1
    line = only_line(capfd)
    assert f"{copy}/masks/validation_000.png: expected the mask to be as large as its" in line
    assert not (tmp_path / "run").exists()


def test_a_full_disk_leaves_no_half_of_a_file(
    config: Path, tmp_path: Path, capfd: Captured
) -> None:
    with files_of_at_most(100_000):
        status = run("train", config)

    *_, line = capfd.readouterr().err.splitlines()
    assert status == 1
    assert "checkpoints/context/best.ckpt could not be written whole" in line
    names = {path.name for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert not names & {"last.ckpt", "best.ckpt", "model.safetensors", "config.json", "report.json"}
    assert not any(name.endswith(".partial") for name in names)


def test_ctrl_c_ends_it_in_one_line_and_keeps_finished_stages(config: Path, tmp_path: Path) -> None:
    # As at a terminal, even where these tests run in the background.
    before = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"

    process = start("train", config, "--stages.local.epochs", 10_000, before=before)
    assert process.stderr is not None
    for line in process.stderr:
        if "local: epoch 2" in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1].startswith("glnet: interrupted")
    assert all(EPOCH.fullmatch(line) for line in err.splitlines()[:-1])
    assert [path.name for path in (tmp_path / "run" / "stages").iterdir()] == ["context"]
    assert not (tmp_path / "run" / "model").exists()


def test_a_killed_command_goes_on_where_it_was_and_ends_the_same(
    config: Path, tmp_path: Path, capfd: Captured
) -> None:
    words = ("train", config, "--stages.local.epochs", 4, "--run.checkpoint_minutes", 0)
    undisturbed = tmp_path / "undisturbed"
    assert run(*words, "--output", undisturbed) == 0
    process = start(*words)
    assert process.stderr is not None
    for line in process.stderr:
        if "local: epoch 2" in line:
            break
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    assert not (tmp_path / "run" / "model").exists()
    capfd.readouterr()

    status = run(*words, "--resume")

    out, err = capfd.readouterr()
    first, *others = err.splitlines()
    assert status == 0
    assert first == "glnet: stage context is done already"
    assert {EPOCH.fullmatch(line)[1] for line in others} == {"local", "refined"}  # type: ignore[index]
    assert "GLNet" in out
    assert_same_weights(tmp_path / "run" / "model", undisturbed / "model")


def test_a_finished_run_is_evaluated_again_but_not_trained(config: Path, capfd: Captured) -> None:
    words = ("train", config, "--stages.local.epochs", 0, "--stages.refined.epochs", 0)
    assert run(*words) == 0
    before, _ = capfd.readouterr()

    status = run(*words, "--resume")

    out, err = capfd.readouterr()
    assert status == 0
    assert out == before
    assert err == "glnet: stage context is done already\n"


def test_another_configuration_is_refused_in_one_line(config: Path, capfd: Captured) -> None:
    words = ("--stages.local.epochs", 0, "--stages.refined.epochs", 0)
    assert run("train", config, *words) == 0
    capfd.readouterr()

    status = run("train", config, *words, "--resume", "--run.seed", 5)

    assert status == 1
    line = only_line(capfd)
    assert "has another configuration: run.seed was 0, is now 5; give the values it" in line


def test_numbers_that_run_away_are_told_in_one_line(config: Path, capfd: Captured) -> None:
    words = ("--stages.context.learning_rate", 1e30, "--stages.context.epochs", 3)

    status = run("train", config, *words)

    *_, line = capfd.readouterr().err.splitlines()
    assert status == 1
    assert line.startswith("glnet: error: the ")
    assert " at step 2 of 3" in line
    assert line.endswith("lower learning rate")


def test_lines_without_a_terminal_tell_of_checking_but_not_of_steps(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr("glnet.cli.console.SECONDS_BETWEEN_LINES", 0)
    display = TrainingDisplay()

    for phase in (CHECKING, "context"):
        display.step(phase, 1, 2)
        display.step(phase, 2, 2)
    display.close()

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        f"glnet: training: {CHECKING} {done}/2" for done in (1, 2)
    ]
