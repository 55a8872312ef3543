from pathlib import Path

import pytest
import yaml

from glnet.errors import ConfigurationError
from glnet.training.choices import ClassWeights
from glnet.training.config import CoarseToFineTraining, TrainingConfig
from glnet.training.config_file import read_config
from glnet.training.resuming import as_yaml, plain
from tests.training.tiny_run import tiny_config

LEAST = "data: {folder: a}\noutput: o\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "train.yaml"
    file.write_text(text)
    return file


def refused(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as refusal:
        read_config(written(folder, text), overrides)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_file_with_the_least_gives_the_defaults(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, LEAST))

    assert config == TrainingConfig(data=config.data, output="o")
    assert config.data.folder == "a"


def test_a_written_configuration_reads_as_the_same(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "data", tmp_path / "run")

    assert read_config(written(tmp_path, yaml.safe_dump(plain(config)))) == config


def test_some_keys_of_a_stage_leave_its_other_defaults(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, LEAST + "stages: {local: {epochs: 1}}"))

    assert (config.stages.local.epochs, config.stages.local.learning_rate) == (1, 2e-5)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("", [], None),
        ("coarse_to_fine: null", [], None),
        ("coarse_to_fine: {}", [], CoarseToFineTraining()),
        ("coarse_to_fine: {boxes: each}", [], CoarseToFineTraining(boxes="each")),
        ("", ["--coarse_to_fine.truth", "1"], CoarseToFineTraining(truth=1.0)),
        ("", ["--coarse_to_fine.truth=1"], CoarseToFineTraining(truth=1.0)),
        ("", ["--coarse_to_fine", "{boxes: each}"], CoarseToFineTraining(boxes="each")),
        (
            "coarse_to_fine: {boxes: each}",
            ["--coarse_to_fine.jitter", "0"],
            CoarseToFineTraining(boxes="each", jitter=0.0),
        ),
    ],
)
def test_coarse_to_fine_is_there_where_any_of_its_keys_is(
    tmp_path: Path, text: str, options: list[str], expected: CoarseToFineTraining | None
) -> None:
    config = read_config(written(tmp_path, LEAST + text), options)

    assert config.coarse_to_fine == expected
    assert read_config(written(tmp_path, as_yaml(config))) == config


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, LEAST + "run: {seed: 1, patch_batch: 9}")

    config = read_config(file, ["--run.seed", "5", "--stages.local.epochs", "3"])

    assert (config.run.seed, config.run.patch_batch, config.stages.local.epochs) == (5, 9, 3)


def test_options_alone_are_a_configuration() -> None:
    config = read_config(None, ["--data.folder", "a", "--output", "o"])

    assert (config.data.folder, config.output) == ("a", "o")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "colour: 1",
            "unknown key colour; known here: architecture, coarse_to_fine, data, follow, fra",
        ),
        (
            "run: {sede: 1}",
            "unknown key run.sede; known here: batch_statistics, checkpoint_",
        ),
        (
            "stages: {local: {epoch: 1}}",
            "unknown key stages.local.epoch; known here: epochs, images, learning_rate, micro_ba",
        ),
        ("stages: {locl: {epochs: 1}}", "unknown key stages.locl; known here: coarse, context,"),
        (
            "coarse_to_fine: {boxs: each}",
            "unknown key coarse_to_fine.boxs; known here: boxes, jitter, margin, ratio, threshold, "
            "truth",
        ),
    ],
)
def test_unknown_keys_list_the_known_ones(tmp_path: Path, text: str, message: str) -> None:
    assert refused(tmp_path, LEAST + text).startswith(message)


@pytest.mark.parametrize(
    "option", ["--run.sede", "--nothing", "--stages.local.epoch", "--coarse_to_fine.boxs"]
)
def test_unknown_options_list_the_known_ones(tmp_path: Path, option: str) -> None:
    message = refused(tmp_path, LEAST, option, "1")

    assert message.startswith(f"unknown key {option[2:]}; known here: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: {seed: hello}", "run.seed: expected a whole number, got hello"),
        ("run: {device: tpu}", "run.device: expected one of 'auto', 'cpu', 'cuda', got tpu"),
        ("run: {pretrained: 3}", "run.pretrained: expected true or false, got 3"),
        ("stages: {local: {epochs: 1.5}}", "stages.local.epochs: expected a whole number, got 1.5"),
        ("loss: {gamma: true}", "loss.gamma: expected a number, got True"),
        ("architecture: {backbone: [1]}", "architecture.backbone: expected a text, got [1]"),
        ("run: {seed: null}", "run.seed: expected a value such as 0, got null"),
        ("run: null", "run holds keys (batch_statistics, checkpoint_minutes,"),
        ("run: fast", "run holds keys (batch_statistics, checkpoint_minutes,"),
        ("stages: {local: 3}", "stages: local holds keys (epochs, images, learning_rate,"),
        (
            "coarse_to_fine: true",
            "coarse_to_fine holds keys (boxes, jitter, margin, ratio, threshold, truth)",
        ),
        ("coarse_to_fine: {boxes: all}", "expected one of 'one', 'each', got all"),
        ("coarse_to_fine: {ratio: null}", "coarse_to_fine.ratio: expected a value such as 1.0"),
    ],
)
def test_values_of_the_wrong_type_are_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, LEAST + text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run: {seed: -1}", "run.seed must be at least 0, got -1"),
        ("loss: {gamma: .nan}", "loss.gamma must be at least 0, got nan"),
        ("framing: {patch_size: 5}", "patch_size must be from 32 to 8192, got 5"),
        ("architecture: {branches: local}", "a model of the local branch alone needs sharing"),
        ("coarse_to_fine: {truth: 2}", "coarse_to_fine.truth must be 0 to 1, got 2"),
    ],
)
def test_values_out_of_range_are_refused(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, LEAST + text)


@pytest.mark.parametrize(
    ("text", "missing"), [("output: o", "data.folder"), ("data: {folder: a}", "output")]
)
def test_missing_keys_are_named(tmp_path: Path, text: str, missing: str) -> None:
    assert missing in refused(tmp_path, text)


@pytest.mark.parametrize("option", ["--data", "--stages.local"])
def test_an_option_that_is_a_group_takes_no_value(tmp_path: Path, option: str) -> None:
    said = refused(tmp_path, LEAST, option, "photos")

    assert said == f"{option[2:]} is a group of keys; give one of them"


@pytest.mark.parametrize("text", ["data: [", "a: b: c", "\tdata: a"])
def test_what_is_no_yaml_is_refused(tmp_path: Path, text: str) -> None:
    assert "train.yaml is no readable YAML" in refused(tmp_path, text)


@pytest.mark.parametrize("text", ["", "- a", "hello"])
def test_yaml_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    assert "train.yaml: expected keys such as data and output" in refused(tmp_path, text)


def test_a_file_of_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigurationError, match="no readable YAML"):
        read_config(tmp_path / "train.yaml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for missing in (tmp_path / "train.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match="no such configuration file"):
            read_config(missing)


def test_a_description_is_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    text = "data: {folder: a, description: mine.yaml}\noutput: o"

    config = read_config(written(tmp_path, text))

    assert config.data.description == str(tmp_path / "mine.yaml")


def test_a_description_where_the_command_runs_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").mkdir()
    for folder in (tmp_path, tmp_path / "configs"):
        (folder / "mine.yaml").touch()
    monkeypatch.chdir(tmp_path)
    text = "data: {folder: a, description: mine.yaml}\noutput: o"

    config = read_config(written(tmp_path / "configs", text))

    assert config.data.description == "mine.yaml"


def test_a_description_that_is_nowhere_stays_as_it_was_named(tmp_path: Path) -> None:
    text = "data: {folder: a, description: mine.yaml}\noutput: o"

    assert read_config(written(tmp_path, text)).data.description == "mine.yaml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("none", "none"), ("balanced", "balanced"), ("[1, 2.5]", (1.0, 2.5))],
)
def test_class_weights_are_a_word_or_a_list(
    tmp_path: Path, text: str, expected: ClassWeights
) -> None:
    config = read_config(written(tmp_path, LEAST + f"loss: {{class_weights: {text}}}"))

    assert config.loss.class_weights == expected
    again = read_config(written(tmp_path, as_yaml(config)))
    assert again == config
