"""Several images: where their results go, and that one that fails does not stop the others."""

import errno
from pathlib import Path

import numpy as np
import pytest

from glnet.errors import CheckpointError, ConfigurationError, OutputError
from glnet.inference import scene
from glnet.inference.jobs import Extras, Job, check_job, expanded, plan_jobs
from glnet.inference.report import SegmentFailure, SegmentReport
from glnet.inference.segment import segment_files
from glnet.inference.starting import Rules, identity_of
from glnet.inference.streaming import Settings
from glnet.model.checkpoint import Model
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{name}.tif" for name in "abc"]
    for seed, path in enumerate(paths):
        write_tiff(path, np.moveaxis(picture(70, 90, seed=seed), 2, 0))
    return paths


class _Diary:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def starts(self, image: str) -> None:
        self.lines.append(f"starts {Path(image).name}")

    def advances(self, phase: str, done: int, total: int) -> None:
        if done == total:
            self.lines.append(f"{phase} done")

    def announces(self, text: str) -> None:
        assert text.startswith("whole image")
        assert "1 MiB of" in text

    def finishes(self, report: SegmentReport) -> None:
        self.lines.append(f"finishes {Path(report.image).name}")

    def passes_over(self, image: str) -> None:
        self.lines.append(f"passes over {Path(image).name}")

    def fails(self, failure: SegmentFailure) -> None:
        self.lines.append(f"fails {Path(failure.image).name}")


def test_an_image_that_fails_does_not_stop_the_others(
    model: Model, images: list[Path], tmp_path: Path
) -> None:
    images[1].write_bytes(images[1].read_bytes()[:300])
    diary = _Diary()

    batch = segment_files(images, tmp_path / "out", model, Settings(), watcher=diary)

    done = ["patches done", "global part done", "writing done"]
    assert diary.lines == [
        *("starts a.tif", *done, "finishes a.tif"),
        *("starts b.tif", "fails b.tif"),
        *("starts c.tif", *done, "finishes c.tif"),
    ]
    assert [Path(report.image).name for report in batch.reports] == ["a.tif", "c.tif"]
    (failure,) = batch.failures
    assert failure.image == str(images[1])
    assert str(images[1]) in failure.error
    assert "\n" not in failure.error
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.tif", "c.tif"}
    assert batch.to_dict() == {
        "reports": [report.to_dict() for report in batch.reports],
        "failures": [failure.to_dict()],
        "finished_before": [],
    }


@pytest.mark.parametrize("rules", [Rules(), Rules(resume=True)])
def test_an_image_whose_disk_fails_does_not_stop_the_others(
    model: Model, images: list[Path], tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "a.tif.unfinished" / "sub").mkdir(parents=True)

    def failing(image: Path) -> dict[str, object]:
        if image == images[1]:
            raise OSError(errno.EIO, "Input/output\nerror", str(image))
        return identity_of(image)

    monkeypatch.setattr(scene, "identity_of", failing)
    batch = segment_files(images, tmp_path / "out", model, Settings(), rules=rules)

    assert [Path(report.image).name for report in batch.reports] == ["c.tif"]
    assert [failure.image for failure in batch.failures] == [str(of) for of in images[:2]]
    assert "holds 'sub'" in batch.failures[0].error
    assert batch.failures[1].error.startswith(f"{images[1]} cannot be segmented: [Errno 5]")
    assert "\n" not in batch.failures[1].error


def test_a_place_that_cannot_be_looked_at_is_not_finished(tmp_path: Path) -> None:
    assert not scene.is_finished(Job("a.tif", tmp_path / f"{'a' * 300}.tif"))


def test_images_come_by_name_by_pattern_and_out_of_lists(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif", "deep/c.tif", "x[1].tif", "1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text("# scenes\nb.tif\n\n/vsizip/a.zip/d.tif\ndeep/*.tif\n")

    found = expanded([tmp_path / "x[1].tif", f"{tmp_path}/**/*.tif"], [tmp_path / "list.txt"])

    names = [str(of).removeprefix(f"{tmp_path}/") for of in found]
    assert names == ["x[1].tif", "a.tif", "b.tif", "deep/c.tif", "/vsizip/a.zip/d.tif"]
    with pytest.raises(ConfigurationError, match="no file matches"):
        expanded([f"{tmp_path}/*.jpg"])
    with pytest.raises(ConfigurationError, match="cannot be read"):
        expanded([], [tmp_path / "none.txt"])


def test_patterns_leave_out_folders_and_what_lies_beside_images(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.jgw", "a.jpg.aux.xml", "b.tif", "b.tif.ovr", "b.tif.msk"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()

    assert expanded([f"{tmp_path}/*"]) == [f"{tmp_path}/a.jpg", f"{tmp_path}/b.tif"]
    with pytest.raises(ConfigurationError, match="no file matches"):
        expanded([f"{tmp_path}/*.jgw"])


def test_a_file_that_is_named_in_two_ways_counts_once(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    # As Windows writes it.
    (tmp_path / "list.txt").write_text(f"\ufeffa.tif\n../{tmp_path.name}/a.tif\n", "utf-8")

    found = expanded([tmp_path / "a.tif"], [tmp_path / "list.txt"])

    assert found == [tmp_path / "a.tif"]


def test_a_failure_names_its_image_once() -> None:
    assert SegmentFailure("a.tif", "no memory").line == "a.tif: no memory"
    assert SegmentFailure("a.tif", "a.tif is no image").line == "a.tif is no image"


@pytest.mark.parametrize("distance", [0.0, -1.0, float("nan"), float("inf")])
def test_polygons_are_simplified_by_a_distance(distance: float) -> None:
    with pytest.raises(ConfigurationError, match="distance over 0 pixels"):
        Extras(vector=".gpkg", simplify=distance)


def test_without_polygons_nothing_is_simplified() -> None:
    with pytest.raises(ConfigurationError, match="only polygons are simplified"):
        Extras(simplify=1.0)


def test_nobody_needs_to_watch(model: Model, images: list[Path], tmp_path: Path) -> None:
    images[0].unlink()

    batch = segment_files(images, tmp_path / "out", model, Settings(), extras=Extras(overlay=True))

    assert (len(batch.reports), len(batch.failures)) == (2, 1)
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_model_that_does_not_load_stops_all(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        segment_files(images, tmp_path / "out", tmp_path, Settings())

    assert not (tmp_path / "out").exists()


def test_one_image_goes_to_a_file_or_into_a_folder(tmp_path: Path) -> None:
    (to_file,) = plan_jobs(["a/photo.v2.jpg"], tmp_path / "x.png", Extras())
    (to_folder,) = plan_jobs(["a/photo.v2.jpg"], tmp_path, Extras(overlay=True))

    assert to_file == Job("a/photo.v2.jpg", tmp_path / "x.png")
    assert to_folder.output == tmp_path / "photo.v2.tif"
    assert to_folder.overlay == tmp_path / "photo.v2_overlay.png"
    assert list(tmp_path.iterdir()) == []


def test_several_images_go_into_a_folder_that_is_made(tmp_path: Path) -> None:
    for _ in range(2):  # The second time it is there.
        jobs = plan_jobs(["a/one.jpg", "b/two.tif"], tmp_path / "new", Extras())

        assert [job.output.name for job in jobs] == ["one.tif", "two.tif"]
        assert all(job.output.parent.is_dir() for job in jobs)


@pytest.mark.parametrize("other", ["b/one.jpg", "a/one.png", "b/ONE.jpg"])
def test_images_of_one_stem_are_refused(tmp_path: Path, other: str) -> None:
    with pytest.raises(OutputError, match=f"a/one.jpg and {other} would both be written"):
        plan_jobs(["a/one.jpg", other], tmp_path, Extras())


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("labels.tif", "got the file name"),
        ("file", "is a file"),
        ("missing/folder", "missing does not exist"),
        ("file/folder", "cannot make the folder"),
    ],
)
def test_several_images_need_a_folder(tmp_path: Path, output: str, said: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=said):
        plan_jobs(["a.jpg", "b.jpg"], tmp_path / output, Extras())


def test_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least one image"):
        plan_jobs([], tmp_path, Extras())


def test_no_result_takes_the_place_of_an_image(images: list[Path], tmp_path: Path) -> None:
    link = tmp_path / "link.tif"
    link.symlink_to(images[0])
    (tmp_path / "a_overlay.png").touch()

    for wanted, output in (
        (images[:1], images[0]),
        (images[:1], link),
        (images[:2], tmp_path),
        ([images[0], tmp_path / "a_overlay.png"], tmp_path / "out"),
    ):
        if output.name == "out":
            output.mkdir()
            (output / "a_overlay.png").hardlink_to(tmp_path / "a_overlay.png")
        with pytest.raises(OutputError, match="is an image to be segmented"):
            plan_jobs(wanted, output, Extras(overlay=True))


def test_labels_and_overlay_cannot_be_one_file(images: list[Path], tmp_path: Path) -> None:
    job = Job(images[0], tmp_path / "x.png", tmp_path / "x.png")

    with pytest.raises(OutputError, match=r"would both be written to .*x\.png"):
        check_job(job, overwrite=True)
