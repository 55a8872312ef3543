"""Tables and figures out of tiny trainings: kept, gone on with, honest about what is missing."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from glnet.data import SceneSettings, write_dataset
from glnet.errors import ConfigurationError, DatasetError, GLNetError, OutputError, RasterError
from glnet.evaluation import foreground
from glnet.evaluation.comparison import Picture
from glnet.geometry import Size
from glnet.model.checkpoint import new_model, save_model
from glnet.model.config import CoarseToFine
from glnet.reproduction import drawing, running
from glnet.reproduction.comparisons import COMPARISONS, Comparison
from glnet.reproduction.drawing import FIRST_SEED, panels
from glnet.reproduction.effort import QUICK, Effort
from glnet.reproduction.methods import METHODS, Method
from glnet.reproduction.request import LeftOutError, Request, Result
from glnet.reproduction.results import QUICK as QUICK_WORDS
from glnet.reproduction.running import Runs
from glnet.reproduction.tabulating import scored, tabulated
from glnet.reproduction.targets import TARGETS, target
from glnet.training.following.history import read_history
from glnet.training.progress import Moment
from glnet.training.run import Watchers
from tests.model.tiny import tiny_model

TINY = (
    "--architecture.backbone=resnet10t",
    "--architecture.fpn_width=8",
    "--architecture.refined_width=8",
    "--framing.patch_size=64",
    "--framing.thumbnail_size=64",
    *(f"--stages.{name}.epochs=1" for name in ("context", "local", "refined")),
    *(f"--stages.{name}.images=2" for name in ("context", "local", "refined")),
    "--stages.local.patches=2",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "data"
    return write_dataset(folder, SceneSettings(Size(100, 140)), {"train": 2, "validation": 2}).root


@pytest.fixture(scope="module")
def request_of(data: Path) -> Request:
    return Request(data=str(data), quick=True, changes=TINY)


@pytest.fixture(scope="module")
def runs(request_of: Request, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Where the global and the local branch alone have been trained and measured."""
    found = Runs(tmp_path_factory.mktemp("runs"), request_of, QUICK)
    for key in ("global_only", "local_only"):
        found.result(METHODS[key])
    return found


def _two(*keys: str) -> Comparison:
    whole = COMPARISONS["table2"]
    return replace(whole, rows=tuple(row for row in whole.rows if row.method.key in keys))


def test_a_result_says_what_was_measured(runs: Runs) -> None:
    globally, local = runs.result(METHODS["global_only"]), runs.result(METHODS["local_only"])

    assert 0 < globally.miou < 1
    assert globally.parameters == local.parameters
    assert 0 < globally.multiply_adds < local.multiply_adds
    assert globally.downsampling == pytest.approx(140 / 64)
    assert local.downsampling == 1
    assert set(globally.per_image) == {sample.stem for sample in runs.samples}


def test_what_was_measured_is_not_measured_again(
    runs: Runs, request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "train", lambda *_, **__: pytest.fail("a training"))
    monkeypatch.setattr(running, "evaluate", lambda *_, **__: pytest.fail("an evaluation"))
    again = Runs(runs.folder, request_of, QUICK)

    assert again.result(METHODS["local_only"]) == runs.result(METHODS["local_only"])


def test_an_interrupted_training_is_gone_on_with(
    request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = METHODS["deep"]  # It goes on from another one's model.
    changed = replace(request_of, changes=(*TINY, "--stages.local.epochs=2"))
    output = tmp_path / "out"

    def stop(moment: Moment) -> None:
        if (moment.stage, moment.epoch) == ("local", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runs(output, changed, QUICK, watchers=Watchers(stop)).result(method)
    monkeypatch.chdir(tmp_path)

    again = Runs(Path("out"), changed, QUICK)
    again.result(method)

    history = read_history(again.place(method, 0) / "history.csv")
    assert [(of.stage, of.epoch) for of in history] == [("local", 1), ("local", 2)]


def test_a_training_that_has_ended_keeps_its_model_alone(runs: Runs) -> None:
    runs.result(METHODS["global_only"])

    place = runs.place(METHODS["global_only"], 0)
    assert (place / "model").is_dir()
    assert not (place / "checkpoints").exists()


def test_a_stop_before_the_evaluation_trains_nothing_again(
    runs: Runs, request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = Runs(tmp_path, request_of, QUICK)
    again.trained(METHODS["global_only"])
    monkeypatch.setattr(running, "train", lambda *_, **__: pytest.fail("a training"))

    found = again.result(METHODS["global_only"])

    assert found.miou == pytest.approx(runs.result(METHODS["global_only"]).miou, abs=1e-3)


def test_the_table_has_the_papers_numbers_beside_ours(runs: Runs) -> None:
    comparison = _two("global_only", "local_only")
    found = [scored(runs, row.method) for row in comparison.rows]

    table = tabulated(runs, comparison, found)

    assert [row.values["paper mIoU (%)"] for row in table.rows] == [57.3, 66.4]
    assert [row.values["mIoU (%)"] for row in table.rows] == [of.miou for of in found]
    assert table.is_quick
    assert "2 training images" in table.about
    # The paper's own network at the paper's size, whatever was trained here.
    assert all((row.values["estimated at the paper's size (MB)"] or 0) > 100 for row in table.rows)


def test_a_network_over_the_memory_is_a_row_that_says_so(
    request_of: Request, tmp_path: Path
) -> None:
    runs = Runs(tmp_path, replace(request_of, memory=2**20), QUICK)

    found = scored(runs, METHODS["local_only"])

    assert found.skipped.startswith("takes ")
    assert "1 MiB are named" in found.skipped
    assert not found.is_failure
    assert found.miou is None


def test_a_network_that_cannot_be_trained_is_a_row_that_says_so(
    request_of: Request, tmp_path: Path
) -> None:
    changes = (*TINY, "--architecture.backbone=no_such_network")
    runs = Runs(tmp_path, replace(request_of, changes=changes), QUICK)

    found = scored(runs, METHODS["local_only"])

    assert "no_such_network" in found.skipped
    assert found.is_failure


def test_seeds_are_averaged(runs: Runs, request_of: Request) -> None:
    again = Runs(runs.folder, replace(request_of, seeds=2), QUICK)

    found = scored(again, METHODS["global_only"])

    assert len(found.results) == 2
    assert found.miou == pytest.approx(50 * sum(of.miou for of in found.results))
    table = tabulated(again, _two("global_only"), [found])
    assert "spread over seeds" in table.rows[0].values


@pytest.mark.parametrize(
    "changes", [{"quick": False}, {"changes": ()}, {"split": "train"}, {"protocol": "isic"}]
)
def test_another_request_needs_another_folder(
    runs: Runs, request_of: Request, changes: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match="choose another --output"):
        Runs(runs.folder, replace(request_of, **changes), QUICK)


def test_a_refused_figure_does_not_claim_the_folder(request_of: Request, tmp_path: Path) -> None:
    output = tmp_path / "out"
    runs = Runs(output, request_of, QUICK)

    with pytest.raises(ConfigurationError, match=r"has 5 classes; choose a dataset of two"):
        TARGETS["fig8"].make(runs, output / "fig8")

    assert not output.exists()


def test_a_request_of_which_nothing_came_does_not_claim_the_folder(
    request_of: Request, tmp_path: Path
) -> None:
    replace(request_of, split="train").keep(tmp_path)

    again = Runs(tmp_path, request_of, QUICK)
    again.begin()

    assert json.loads((tmp_path / "request.json").read_text())["split"] is None


def test_memory_counts_for_what_was_measured_before(runs: Runs, request_of: Request) -> None:
    ample = Runs(runs.folder, replace(request_of, memory=2**30), QUICK)
    scarce = Runs(runs.folder, replace(request_of, memory=2**20), QUICK)

    assert scored(ample, METHODS["local_only"]).results
    assert "1 MiB are named" in scored(scarce, METHODS["local_only"]).skipped


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("request.json", "{"),
        ("request.json", "[]"),
        ("runs/global_only.json", "{"),
        ("runs/global_only.json", '{"miou": 1}'),
    ],
)
def test_notes_that_are_damaged_are_named(
    name: str, content: str, runs: Runs, request_of: Request, tmp_path: Path
) -> None:
    shutil.copytree(runs.folder, tmp_path / "copy")
    (tmp_path / "copy" / name).write_text(content)

    with pytest.raises((OutputError, ConfigurationError), match=name.split("/", maxsplit=1)[0]):
        Runs(tmp_path / "copy", request_of, QUICK).result(METHODS["global_only"])


def test_a_protocol_that_cannot_score_is_refused_before_any_work(
    request_of: Request, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="scores two classes"):
        Runs(tmp_path / "out", replace(request_of, protocol="isic"), QUICK)

    assert not (tmp_path / "out").exists()


def test_one_seed_that_fails_does_not_lose_the_others(
    runs: Runs, request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = Runs(runs.folder, replace(request_of, seeds=2), QUICK)
    whole = again.result

    def failing(method: Method, seed: int = 0, side: int | None = None) -> Result:
        if seed == 0:
            return whole(method, seed, side)
        raise RasterError("a broken image")

    monkeypatch.setattr(again, "result", failing)
    found = scored(again, METHODS["global_only"])

    assert len(found.results) == 1
    assert found.is_failure
    row = tabulated(again, _two("global_only"), [found]).rows[0]
    assert row.note == "seed 1: a broken image"
    assert not row.skipped


def test_a_dataset_without_a_training_split_is_refused_before_any_work(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", SceneSettings(Size(64, 64)), {"validation": 1}).root

    with pytest.raises(DatasetError, match="train"):
        Runs(tmp_path / "out", Request(data=str(folder), quick=True), QUICK)


def test_published_rows_alone_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_dataset(tmp_path / "data", SceneSettings(Size(80, 90)), {"test": 2})
    model = tiny_model("global only")
    classes = data.description.classes
    known = new_model(replace(model.config, classes=classes))
    monkeypatch.setattr(running, "convert_published", lambda *_: known)
    monkeypatch.setattr(running, "train", lambda *_, **__: pytest.fail("a training"))
    request = Request(data=str(data.root), quick=True, published=("global.pth",))
    runs = Runs(tmp_path / "out", request, QUICK)

    rows = ("global_only", "shallow", "deep")
    globally, shallow, deep = (scored(runs, METHODS[key]) for key in rows)

    assert globally.results
    assert "no checkpoint of it was published" in shallow.skipped
    assert "needs 2 published checkpoints, got 1" in deep.skipped
    about = tabulated(runs, _two(*rows), [globally, shallow, deep]).about
    assert "published checkpoints were evaluated on 2 images of the test split" in about
    assert "2 of 3 are missing" in about
    # Whatever the side, the checkpoints are the same network.
    aside = scored(runs, METHODS["global_only"], 250)
    assert aside.skipped == "it was published for 500 pixels alone, not for 250"
    assert not aside.is_failure


def test_published_checkpoints_have_no_seeds(data: Path) -> None:
    with pytest.raises(ConfigurationError, match="not 2 times; leave out --seeds"):
        Request(data=str(data), seeds=2, published=("global.pth",))


def test_panels_show_the_images_on_which_methods_differ(runs: Runs, tmp_path: Path) -> None:
    drawn = panels(runs, tmp_path / "fig3", ("global_only", "local_only"), 3)

    pictures = [path for path in drawn.files if path.suffix == ".png"]
    assert [path.stem for path in pictures] == [sample.stem for sample in runs.samples]
    assert not drawn.left_out
    page = (tmp_path / "fig3" / "figure.md").read_text()
    assert all(f"({path.name})" in page for path in pictures)
    assert QUICK_WORDS[1:] in page


def test_panels_of_several_seeds_show_the_first_where_it_is_there(
    runs: Runs, request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ("global_only", "local_only")
    for key in keys:
        runs.result(METHODS[key])
    again = Runs(runs.folder, replace(request_of, seeds=2), QUICK)
    monkeypatch.setattr(again, "result", lambda method, *_: runs.result(method))

    both = panels(again, tmp_path / "both", keys, 3)
    monkeypatch.setattr(again, "place", lambda *_: tmp_path / "nowhere")
    none = panels(again, tmp_path / "none", keys, 3)

    assert any(path.suffix == ".png" for path in both.files)
    assert not any(path.suffix == ".png" for path in none.files)
    assert FIRST_SEED in (tmp_path / "both" / "figure.md").read_text()


@pytest.fixture
def boxed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Runs of two classes, whose networks are not trained."""
    settings = SceneSettings(Size(80, 90))
    root = write_dataset(tmp_path / "data", settings, {"train": 1, "validation": 3}).root
    description = yaml.safe_load((root / "dataset.yaml").read_text())
    description["classes"] = description["classes"][:2]
    (root / "dataset.yaml").write_text(yaml.safe_dump(description))
    for mask in (root / "masks").glob("*.png"):
        labels = np.asarray(Image.open(mask))
        Image.fromarray((labels > 0).astype(np.uint8)).save(mask)
    save_model(tiny_model(coarse_to_fine=CoarseToFine()), tmp_path / "model")
    request = Request(data=str(root), quick=True, changes=TINY)
    runs = Runs(tmp_path / "out", request, QUICK)
    monkeypatch.setattr(runs, "trained", lambda _: tmp_path / "model")
    return runs


def test_boxes_are_a_figure_as_the_others_are(boxed: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = []

    def sheet(title: str, *_: object) -> Picture:
        titles.append(title)
        return np.zeros((2, 2, 3), np.uint8)

    monkeypatch.setattr(foreground, "sheet", sheet)
    folder = boxed.folder / "fig8"
    folder.mkdir(parents=True)
    for name in ("README.md", "boxes.csv"):  # As an earlier version called them.
        (folder / name).touch()

    drawn = TARGETS["fig8"].make(boxed, folder)

    assert {"figure.md", "figure.csv", "histogram.png"} <= {path.name for path in drawn.files}
    assert not (folder / "README.md").exists()
    page = (folder / "figure.md").read_text()
    assert f"**{QUICK_WORDS[0].upper()}{QUICK_WORDS[1:]}.**" in page
    assert "evaluated on 3 images of the validation split" in page
    assert f"Changed by {' '.join(TINY)}" in page
    assert "over 60 % have less than 20 % foreground" in page
    assert "Every image: figure.csv" in page
    assert titles == [f"Coarse to fine, {QUICK_WORDS}"]


@pytest.mark.parametrize(
    ("error", "failures"),
    [(LeftOutError("takes 9 MiB, 1 MiB are named"), 0), (RasterError("a broken image"), 1)],
)
def test_boxes_that_cannot_be_drawn_say_why_in_place_of_earlier_ones(
    error: GLNetError, failures: int, boxed: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = boxed.folder / "fig8"
    TARGETS["fig8"].make(boxed, folder)

    def fail(_: Method) -> Path:
        raise error

    monkeypatch.setattr(boxed, "trained", fail)
    drawn = TARGETS["fig8"].make(boxed, folder)

    assert (len(drawn.left_out), drawn.failures) == (1, failures)
    assert sorted(path.name for path in folder.iterdir()) == ["figure.csv", "figure.md"]
    assert f"skipped: {error}" in (folder / "figure.md").read_text()


@pytest.mark.parametrize("name", ["fig1a", "fig1c", "fig3"])
def test_a_figure_of_nothing_says_why(name: str, request_of: Request, tmp_path: Path) -> None:
    # No backbone suits all of them.
    changes = tuple(of for of in TINY if "backbone" not in of)
    said: list[str] = []
    runs = Runs(tmp_path, replace(request_of, memory=2**20, changes=changes), QUICK, said.append)

    drawn = TARGETS[name].make(runs, tmp_path / name)

    assert drawn.failures == 0
    assert drawn.table is not None
    assert len(drawn.table.rows) == len(drawn.left_out)
    assert said[0].startswith(f"row 1 of {len(drawn.table.rows)}: ")
    assert [path.name for path in drawn.files] == ["figure.md", "figure.csv"]
    assert len(drawn.left_out) == len((tmp_path / name / "figure.csv").read_text().splitlines()) - 1
    assert "1 MiB are named" in (tmp_path / name / "figure.md").read_text()


@pytest.mark.parametrize(
    ("name", "key", "paper"),
    [
        ("fig1a", "icnet_whole", ("40.2", "2557.0")),
        ("fig3", "global_only", ("66.4", "1189.0")),
        ("fig7", "regularization", ("70.3", "1209.0")),
        ("fig1c", "fcn8s_patches_500px", ("64.3", "1963.0")),
        ("fig1c", "fcn8s_patches_250px", ("", "")),
    ],
)
def test_figures_have_the_papers_numbers_beside_ours(
    name: str,
    key: str,
    paper: tuple[str, str],
    runs: Runs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = runs.result(METHODS["local_only"])
    again = Runs(tmp_path, runs.request, Effort(is_quick=False, megapixels=16))
    monkeypatch.setattr(again, "result", lambda *_: result)
    monkeypatch.setattr(drawing, "_most_disputed", lambda *_: [])  # No pictures.

    TARGETS[name].make(again, tmp_path / name)

    with (tmp_path / name / "figure.csv").open() as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    assert (rows[key]["paper mIoU (%)"], rows[key]["paper memory (MB)"]) == paper
    page = (tmp_path / name / "figure.md").read_text()
    assert "points are not in the picture" not in page


@pytest.mark.parametrize("name", ["fig1a", "fig1b"])
def test_points_that_a_quick_run_leaves_out_are_named(
    name: str, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = runs.result(METHODS["local_only"])
    again = Runs(tmp_path, runs.request, QUICK)
    monkeypatch.setattr(again, "result", lambda *_: result)

    TARGETS[name].make(again, tmp_path / name)

    assert (
        "The paper's points are not in the picture" in (tmp_path / name / "figure.md").read_text()
    )
    assert "points are left out" in (tmp_path / name / "figure.svg").read_text("utf-8")


def test_sides_of_a_sweep_win_over_changes(request_of: Request, tmp_path: Path) -> None:
    runs = Runs(tmp_path, request_of, QUICK)

    config = runs.configuration(METHODS["icnet_patches"], 0, 96)

    assert config.framing.patch_size == 96


def test_the_usual_side_is_the_network_that_tables_train(
    request_of: Request, tmp_path: Path
) -> None:
    unchanged = tuple(of for of in TINY if "framing" not in of)
    runs = Runs(tmp_path, replace(request_of, changes=unchanged), QUICK)
    changed = Runs(tmp_path, request_of, QUICK)
    deep, patches, whole = (METHODS[key] for key in ("deep", "fcn8s_patches", "fcn8s_whole"))

    # Patches and thumbnails are of 128 pixels; whole images of 160, as large as they are.
    assert runs.place(deep, 1, 128) == runs.place(deep, 1)
    assert runs.place(patches, 0, 128) == runs.place(patches, 0)
    assert runs.place(patches, 0, 64).name == "fcn8s_patches_64px"
    assert runs.place(whole, 0, 160) == runs.place(whole, 0)
    assert runs.place(whole, 0, 128).name == "fcn8s_whole_128px"
    # With --set framing.patch_size=64, tables train others.
    assert changed.place(patches, 1, 128).name == "fcn8s_patches_128px_seed1"


def test_what_an_earlier_version_named_by_its_side_is_found(
    request_of: Request, tmp_path: Path
) -> None:
    runs = Runs(tmp_path, request_of, QUICK)
    method = METHODS["fcn8s_patches"]
    earlier = tmp_path / "runs" / "fcn8s_patches_128px"
    earlier.mkdir(parents=True)

    assert runs.place(method, 0, 128) == earlier
    assert runs.place(method, 0).name == "fcn8s_patches"


def test_an_unknown_name_lists_those_that_are_known() -> None:
    with pytest.raises(ConfigurationError, match=r"table1, table2, .*fig8"):
        target("table9")


def test_the_request_is_kept_as_json(runs: Runs, data: Path) -> None:
    kept = json.loads((runs.folder / "request.json").read_text())

    assert kept["data"] == str(data.resolve())
