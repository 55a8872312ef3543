"""What a notebook shows of labels and results: the right pixels, bounded, and nobody's markup."""

from pathlib import Path

import numpy as np
import pytest

from glnet.data.classes import ClassInfo
from glnet.errors import InputMismatchError, OutputError, RasterError
from glnet.geometry import Size, Window
from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.inference.showing import LARGEST_SIDE, show
from glnet.model.checkpoint import Model
from glnet.raster import Palette, RasterFile, draw_overlay, open_raster, write_picture
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model

HOSTILE = "<script>alert('x')</script>"
CLASSES = [ClassInfo("field", (250, 10, 20)), ClassInfo("water", (10, 20, 250))]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model("deep")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    write_picture(path, picture(90, 120))
    return path


def halves(height: int = 40, width: int = 60) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    labels = np.zeros((height, width), np.uint8)
    labels[:, width // 2 :] = 1
    return labels


def test_labels_alone_have_their_colours_and_shares() -> None:
    labels = halves()
    labels[:, -15:] = 255

    shown = show(labels, classes=CLASSES)

    assert shown.pixels.shape == (40, 60, 3)
    assert shown.pixels[0, 0].tolist() == [250, 10, 20]
    assert shown.pixels[0, 40].tolist() == [10, 20, 250]
    assert shown.pixels[0, 59].tolist() == [128, 128, 128]
    assert [of.name for of in shown.legend] == ["field", "water"]
    assert [of.share for of in shown.legend] == pytest.approx([2 / 3, 1 / 3])
    assert shown.note == "600 pixels without data"


def test_labels_lie_over_their_image() -> None:
    image = picture(40, 60)

    shown = show(halves(), image, CLASSES)

    colors = [of.color for of in CLASSES]
    np.testing.assert_array_equal(shown.pixels, draw_overlay(image, halves(), colors))


def test_a_picture_is_as_large_as_is_said_whatever_the_labels() -> None:
    shown = show(halves(1000, 500), side=100)

    assert shown.pixels.shape == (100, 50, 3)
    assert shown.size == Size(1000, 500)


def test_labels_without_names_are_numbered() -> None:
    shown = show(halves())

    assert [of.name for of in shown.legend] == ["class 0", "class 1"]


def test_labels_that_nobody_named_are_counted() -> None:
    shown = show(halves() + 1, classes=["first", "second"])

    assert [(of.name, of.share) for of in shown.legend] == [("second", 0.5)]
    assert shown.note == "1,200 pixels of classes that were not named"


def test_a_map_of_nothing_but_nodata_has_no_legend() -> None:
    shown = show(np.full((4, 4), 255, np.uint8))

    assert shown.legend == ()
    assert shown.note == "16 pixels without data"


def test_a_result_shows_itself(model: Model, photo: Path, tmp_path: Path) -> None:
    report = segment_file(photo, tmp_path / "labels.tif", model, Settings())

    shown = report.show()

    with open_raster(tmp_path / "labels.tif", Palette.KEEP) as file:
        labels = file.read(Window(0, 0, Size(90, 120)))[0]
    colors = [of.color for of in model.config.classes]
    np.testing.assert_array_equal(shown.pixels, draw_overlay(picture(90, 120), labels, colors))
    found = {of.name: of.share for of in shown.legend}
    assert found == {of.name: pytest.approx(of.share) for of in report.classes if of.pixels}
    assert sorted(of.name for of in tmp_path.iterdir()) == ["labels.tif", "photo.png"]


def test_a_result_whose_image_has_gone_shows_its_labels(
    model: Model, photo: Path, tmp_path: Path
) -> None:
    report = segment_file(photo, tmp_path / "labels.png", model, Settings())
    photo.unlink()

    shown = report.show()

    assert shown.note is not None
    assert shown.note.startswith("without the image")
    assert "photo.png" in shown.note
    assert {tuple(of) for of in shown.pixels.reshape(-1, 3).tolist()} <= {
        info.color for info in model.config.classes
    }


def test_a_result_that_has_gone_is_an_error(model: Model, photo: Path, tmp_path: Path) -> None:
    report = segment_file(photo, tmp_path / "labels.tif", model, Settings())
    (tmp_path / "labels.tif").unlink()

    with pytest.raises(RasterError, match=r"labels\.tif"):
        report.show()


@pytest.mark.parametrize("name", ["labels.tif", "labels.png"])
def test_only_some_rows_are_held(
    model: Model, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    report = segment_file(photo, tmp_path / name, model, Settings())
    whole = report.show().pixels
    read: list[Window] = []
    stored = RasterFile.read_stored

    def spy(file: RasterFile, window: Window) -> object:
        if file.name.endswith(name):
            read.append(window)
        return stored(file, window)

    monkeypatch.setattr("glnet.inference.showing.STRIP_PIXELS", 10 * 120)
    monkeypatch.setattr(RasterFile, "read_stored", spy)

    np.testing.assert_array_equal(report.show().pixels, whole)
    assert len(read) == 9
    assert all(of.size == Size(10, 120) for of in read)


def test_what_is_shown_is_written_only_where_that_is_asked_for(tmp_path: Path) -> None:
    shown = show(halves(), classes=CLASSES)

    shown.save(tmp_path / "shown.png")

    with open_raster(tmp_path / "shown.png") as file:
        pixels = file.read(Window(0, 0, Size(40, 60)))
    np.testing.assert_array_equal(np.moveaxis(pixels, 0, 2), shown.pixels)
    with pytest.raises(OutputError, match="exists already"):
        shown.save(tmp_path / "shown.png")


def test_a_notebook_gets_the_picture_and_its_legend() -> None:
    shown = show(halves(), classes=[ClassInfo(HOSTILE, (1, 2, 3)), CLASSES[1]])

    page = shown._repr_html_()

    assert "<img src='data:image/png;base64," in page
    assert "rgb(1,2,3)" in page
    assert "50.0%" in page
    assert "<script" not in page
    assert repr(shown) == (
        f"labels, 40x60 pixels, as a picture of 40x60 (.save(path) writes it): {HOSTILE} 50.0%, "
        "water 50.0%"
    )


@pytest.mark.parametrize("side", [0, LARGEST_SIDE + 1])
def test_sides_out_of_range_are_refused(side: int) -> None:
    with pytest.raises(InputMismatchError, match="side must be"):
        show(halves(), side=side)


@pytest.mark.parametrize(
    "labels",
    [np.zeros((4, 4), np.int64), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)],
)
def test_arrays_that_are_no_labels_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(InputMismatchError, match="labels are an array"):
        show(labels)


def test_files_that_are_no_labels_are_refused(photo: Path) -> None:
    with pytest.raises(InputMismatchError, match="is no label map"):
        show(photo)


def test_images_of_another_size_are_refused(photo: Path) -> None:
    with pytest.raises(InputMismatchError, match="its labels labels are 40x60"):
        show(halves(), photo)
    with pytest.raises(InputMismatchError, match="its labels labels are 40x60"):
        show(halves(), picture(60, 40))
