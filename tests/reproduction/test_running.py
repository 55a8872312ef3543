"""Tables and figures out of tiny trainings: kept, gone on with, honest about what is missing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glnet.data import SceneSettings, write_dataset
from glnet.errors import ConfigurationError, DatasetError
from glnet.geometry import Size
from glnet.reproduction import running
from glnet.reproduction.comparisons import COMPARISONS, Comparison
from glnet.reproduction.drawing import panels
from glnet.reproduction.effort import QUICK
from glnet.reproduction.methods import METHODS
from glnet.reproduction.running import Request, Runs
from glnet.reproduction.tabulating import scored, tabulated
from glnet.reproduction.targets import TARGETS, target
from glnet.training.following.history import read_history

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
    assert globally.allocated_mib is None or globally.allocated_mib > 0
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
    runs = Runs(tmp_path, request_of, QUICK)

    def stopped(*_: Any, **__: Any) -> None:  # noqa: ANN401
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(running, "evaluate", stopped)
        with pytest.raises(KeyboardInterrupt):
            runs.result(METHODS["global_only"])
    trained = (runs.place(METHODS["global_only"], 0) / "model/model.safetensors").stat()
    runs.result(METHODS["global_only"])

    place = runs.place(METHODS["global_only"], 0)
    assert (place / "model/model.safetensors").stat().st_mtime_ns == trained.st_mtime_ns
    assert len(read_history(place / "history.csv")) == 1


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


def test_what_is_no_part_of_a_result_may_change(runs: Runs, request_of: Request) -> None:
    Runs(runs.folder, replace(request_of, memory=2**30), QUICK)


def test_a_dataset_without_a_training_split_is_refused_before_any_work(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "data", SceneSettings(Size(64, 64)), {"validation": 1}).root

    with pytest.raises(DatasetError, match="train"):
        Runs(tmp_path / "out", Request(data=str(folder), quick=True), QUICK)


def test_published_rows_alone_are_there(request_of: Request, tmp_path: Path) -> None:
    runs = Runs(tmp_path, replace(request_of, published=("global.pth",)), QUICK)

    shallow, deep = (scored(runs, METHODS[key]) for key in ("shallow", "deep"))

    assert "no checkpoint of it was published" in shallow.skipped
    assert "needs 2 published checkpoints, got 1" in deep.skipped
    assert scored(runs, METHODS["global_only"]).is_failure


def test_panels_show_the_images_on_which_methods_differ(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "fig3").mkdir()

    drawn = panels(runs, tmp_path / "fig3", ("global_only", "local_only"), 3)

    assert len(drawn.files) == 2
    assert all(path.stat().st_size > 1000 for path in drawn.files)
    assert not drawn.left_out


def test_one_method_makes_no_comparison(request_of: Request, tmp_path: Path) -> None:
    runs = Runs(tmp_path, replace(request_of, memory=2**20), QUICK)

    with pytest.raises(ConfigurationError, match="compares at least two methods"):
        panels(runs, tmp_path, ("global_only", "local_only"), 3)


def test_an_unknown_name_lists_those_that_are_known() -> None:
    with pytest.raises(ConfigurationError, match=r"table1, table2, .*fig8"):
        target("table9")


def test_every_target_has_a_title() -> None:
    assert {"table2", "table7", "fig1a", "fig1b", "fig1c", "fig3", "fig7", "fig8"} <= set(TARGETS)
    assert all(of.title for of in TARGETS.values())


def test_the_request_is_kept_as_json(runs: Runs, data: Path) -> None:
    kept = json.loads((runs.folder / "request.json").read_text())

    assert kept["data"] == str(data.resolve())
