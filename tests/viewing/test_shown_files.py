"""What a file is taken for: classes, colours, brightness; and which lie on an image."""

import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from glnet.data.classes import ClassInfo
from glnet.data.colors import default_color
from glnet.errors import ConfigurationError, DatasetError, GLNetError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import (
    ArrayRaster,
    Georeference,
    LabelWriter,
    Masked,
    RasterFile,
    class_names,
    open_raster,
    write_picture,
)
from glnet.raster.gdal import gdal_settings
from glnet.viewing.box_file import read_boxes
from glnet.viewing.describing import ground_step, survey_in_full
from glnet.viewing.encoding import NOTHING
from glnet.viewing.finding import ImageFiles, Named, find_files
from glnet.viewing.labels import LabelView, above, by_color, by_index, classes_of, decoding_of
from glnet.viewing.layers import Layer, LayerKind, Style, as_steps
from glnet.viewing.pyramid import Pyramid
from glnet.viewing.reducing import averaged, sampled
from glnet.viewing.shown_file import ChangedFileError, ShownFile
from glnet.viewing.shown_image import Showing, ShownImage
from glnet.viewing.stretching import stretch_of
from glnet.viewing.survey import Survey
from tests.inference.pictures import picture
from tests.raster.raster_files import write_tiff
from tests.raster.slide_files import MPP, drawn, write_svs

CLASSES = (ClassInfo("soil", (10, 20, 30)), ClassInfo("weed", (200, 0, 0)))


def write_labels(path: Path, size: Size, names: tuple[str, ...] = ("soil", "weed")) -> Path:
    with LabelWriter(path, size, None, [of.color for of in CLASSES], names) as writer:
        writer.write(np.ones((size.height, size.width), np.uint8))
    return path


def shown(files: ImageFiles, tmp_path: Path, showing: Showing | None = None) -> ShownImage:
    return ShownImage(files, showing or Showing(), tmp_path)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    write_picture(path, picture(60, 80))
    return path


def test_names_of_classes_are_read_back(tmp_path: Path) -> None:
    assert class_names(write_labels(tmp_path / "a.tif", Size(5, 6))) == ("soil", "weed")


@pytest.mark.parametrize("words", ["", "[1, 2]", "{", '"soil"'])
def test_names_that_are_somebody_elses_are_none(words: str, tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", np.zeros((1, 5, 6), np.uint8))
    with gdal_settings(), rasterio.open(path, "r+") as dataset:
        dataset.update_tags(GLNET_CLASSES=words)

    assert class_names(path) == ()


def test_classes_have_the_files_names_and_colours(tmp_path: Path) -> None:
    with open_raster(write_labels(tmp_path / "a.tif", Size(5, 6)), "keep") as raster:  # type: ignore[arg-type]
        assert classes_of(raster, None) == CLASSES


def test_classes_without_names_are_those_of_the_colours_or_of_the_values(tmp_path: Path) -> None:
    colored = write_labels(tmp_path / "a.tif", Size(5, 6), ())
    plain = write_tiff(tmp_path / "b.tif", np.full((1, 5, 6), 3, np.uint8))

    with open_raster(colored, "keep") as first, open_raster(plain) as second:  # type: ignore[arg-type]
        with Pyramid(LabelView(second, by_index), sampled, tmp_path) as pyramid:
            found = classes_of(second, pyramid)
        assert [of.color for of in classes_of(first, None)] == [of.color for of in CLASSES]
        assert [of.name for of in found] == [f"class {at}" for at in range(4)]
        assert classes_of(second, None) == ()


@pytest.mark.parametrize("what", ["labels", "truth", "others"])
def test_masks_without_windows_are_never_decoded_whole(
    what: str, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Masked:
        raise AssertionError("decoded whole, and kept")

    monkeypatch.setattr("glnet.raster.spooling.KEPT_BYTES", 0)
    monkeypatch.setattr(RasterFile, "_decode", fail)
    mask = tmp_path / "mask.png"
    Image.fromarray(np.full((60, 80), 3, np.uint8)).save(mask)
    given = (("other", mask),) if what == "others" else mask
    files = ImageFiles(image=photo, **{what: given})  # type: ignore[arg-type]

    with shown(files, tmp_path) as image:
        before = image.layers[0]
        assert (image.classes, image.layers[1].classes) == ((), ())
        image.prepare(lambda: True)
        names = [of.name for of in image.classes]
        assert image.layers[1].classes == image.classes
        assert image.layers[0] is before

    assert names == [f"class {at}" for at in range(4)]


def test_a_mask_that_is_copied_takes_no_name_from_another(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.raster.spooling.KEPT_BYTES", 0)
    mask = tmp_path / "mask.png"
    Image.fromarray(np.full((60, 80), 3, np.uint8)).save(mask)
    named = write_labels(tmp_path / "named.tif", Size(60, 80))

    with shown(ImageFiles(image=photo, labels=named, others=(("old", mask),)), tmp_path) as image:
        image.prepare(lambda: True)
        by_name = {layer.name: layer.classes for layer in image.layers}

    assert (image.classes, by_name["labels"]) == (CLASSES, CLASSES)
    assert len(by_name["old"]) == 4


def test_values_beyond_the_classes_are_seen_and_called_by_their_number() -> None:
    found = Masked(np.array([[[1, 7, 254, NOTHING]]], np.uint8), None)
    counts = np.zeros(256, np.int64)
    counts[[1, 7]] = 5, 3

    class Given:
        size, revision, progress = Size(1, 4), 0, 1.0

        def is_final(self, zoom: int) -> bool:
            return zoom == 0

        def tile(self, zoom: int, row: int, column: int) -> Masked:  # noqa: ARG002
            return found

        def read(self, window: Window) -> Masked:  # noqa: ARG002
            return found

    tile = Layer(LayerKind.LABELS, "labels", (Given(),), CLASSES).tile(0, 0, 0, Style())
    told = survey_in_full(Survey(counts, None, None, None, None), CLASSES)["classes"]

    assert tile is not None
    shown = np.asarray(Image.open(BytesIO(tile.encoded.data)).convert("RGBA"))[0].tolist()
    assert shown[0] == [*CLASSES[1].color, 255]
    assert shown[1:3] == [[*default_color(at), 255] for at in (7, 254)]
    assert shown[3][3] == 0
    assert isinstance(told, dict)
    assert [told[at]["name"] for at in (1, 7)] == ["weed", "class 7"]


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        (4326, Affine(1e-5, 0, 10, 0, -1e-5, 60), 1.1119 / 2),
        (3857, Affine(1, 0, 0, 0, -1, 8_399_738), 0.5),
        (32632, Affine(0.5, 0, 5e5, 0, -2, 5e6), 0.5),
        (32632, Affine(0, 3, 5e5, 4, 0, 5e6), 4.0),
        (2225, Affine(1, 0, 6e6, 0, -1, 2e6), 0.3048),
    ],
)
def test_the_scale_is_that_along_a_row(crs: int, transform: Affine, metres: float) -> None:
    place = Georeference(CRS.from_epsg(crs), transform)

    assert ground_step(place, Size(10, 10)) == pytest.approx(metres, rel=5e-3)


def test_without_a_place_on_earth_there_is_no_scale() -> None:
    assert ground_step(Georeference(), Size(10, 10)) is None


def test_masks_are_meant_by_threshold_colour_or_value() -> None:
    values = np.array([[[0, 127, 128, 255]]], np.uint8)
    colors = np.array([[[10, 200, 11]], [[20, 0, 20]], [[30, 0, 30]]], np.uint8)

    assert above(127)(values).tolist() == [[0, 0, 1, 1]]
    assert by_color([of.color for of in CLASSES])(colors).tolist() == [[0, 1, 255]]
    assert by_index(values.astype(np.int32) - 1).tolist() == [[255, 126, 127, 254]]


def test_colours_without_classes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no classes are known"):
        decoding_of(ArrayRaster(picture(5, 5)), ())


def test_labels_beside_an_image_are_found_with_what_lies_beside_them(
    photo: Path, tmp_path: Path
) -> None:
    labels = write_labels(tmp_path / "photo.tif", Size(60, 80))
    for what in ("confidence.tif", "probabilities.tif", "boxes.geojson", "global.tif"):
        (tmp_path / f"photo_{what}").touch()

    (found,) = find_files([photo], Named())

    assert found.labels == labels
    assert found.confidence == tmp_path / "photo_confidence.tif"
    assert found.probabilities == tmp_path / "photo_probabilities.tif"
    assert found.boxes == tmp_path / "photo_boxes.geojson"
    assert found.others == (("global branch alone", tmp_path / "photo_global.tif"),)


def test_another_picture_beside_an_image_is_no_label_map(photo: Path, tmp_path: Path) -> None:
    write_tiff(tmp_path / "photo.tif", np.zeros((1, 60, 80), np.uint8))

    (found,) = find_files([photo], Named())

    assert found.labels is None


def test_folders_have_a_file_for_each_image(photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    labels = write_labels(folder / "photo.png", Size(60, 80))

    found = find_files([photo, tmp_path / "other.jpg"], Named(labels=folder, truth=folder))

    assert [of.labels for of in found] == [labels, None]
    assert [of.truth for of in found] == [labels, None]


@pytest.mark.parametrize("option", ["labels", "truth", "confidence"])
def test_folders_without_any_file_of_an_image_are_refused(
    option: str, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()

    for folder in (tmp_path / "empty", photo.parent):  # The image is not its own labels.
        with pytest.raises(ConfigurationError, match=f"--{option}: .* no file called as photo.jpg"):
            find_files([photo], Named(**{option: folder}))  # type: ignore[arg-type]


def test_files_that_are_not_there_are_refused(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--truth: .*missing.tif does not exist"):
        find_files([photo], Named(truth=tmp_path / "missing.tif"))
    with pytest.raises(ConfigurationError, match="at least one image"):
        find_files([], Named())


def test_one_file_cannot_lie_on_two_images(photo: Path) -> None:
    with pytest.raises(ConfigurationError, match="name a folder"):
        find_files([photo, photo], Named(labels=photo))


@pytest.mark.parametrize("layer", ["labels", "truth", "confidence", "other"])
def test_a_layer_of_another_size_is_refused(layer: str, photo: Path, tmp_path: Path) -> None:
    path = write_labels(tmp_path / "found.tif", Size(60, 81))
    files = {
        "labels": ImageFiles(image=photo, labels=path),
        "truth": ImageFiles(image=photo, truth=path),
        "confidence": ImageFiles(image=photo, confidence=path),
        "other": ImageFiles(image=photo, others=(("before", path),)),
    }

    with pytest.raises(DatasetError, match=r"found.tif: 60x81, and the image .*photo.jpg is 60x80"):
        shown(files[layer], tmp_path)


def test_a_picture_is_no_label_map(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="3 bands; expected a label map"):
        shown(ImageFiles(image=photo, labels=photo), tmp_path)


def test_scores_of_other_numbers_are_refused(photo: Path, tmp_path: Path) -> None:
    scores = write_tiff(tmp_path / "s.tif", np.zeros((1, 60, 80), np.int16))
    labels = write_labels(tmp_path / "l.tif", Size(60, 80))

    with pytest.raises(DatasetError, match="pixels of int16; expected confidence"):
        shown(ImageFiles(image=photo, confidence=scores), tmp_path)
    with pytest.raises(DatasetError, match="3 bands; confidence of this image have 1"):
        shown(ImageFiles(image=photo, confidence=photo), tmp_path)
    with pytest.raises(DatasetError, match="3 bands; probabilities of this image have 2"):
        shown(ImageFiles(image=photo, labels=labels, probabilities=photo), tmp_path)


def test_truth_in_the_colours_of_classes_is_understood(photo: Path, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "l.tif", Size(60, 80))
    colors = np.zeros((60, 80, 3), np.uint8)
    colors[:] = CLASSES[0].color
    colors[20:] = CLASSES[1].color
    truth = tmp_path / "truth.png"
    write_picture(truth, colors)
    turned = tmp_path / "turned.png"  # The same colours, under other indices.
    image = Image.fromarray(np.where(colors[..., 0] == 200, 0, 1).astype(np.uint8))
    image.putpalette([*CLASSES[1].color, *CLASSES[0].color])
    image.save(turned)

    for path in (truth, turned):
        with shown(ImageFiles(image=photo, labels=labels, truth=path), tmp_path) as image_shown:
            assert image_shown.truth is not None
            found = image_shown.truth.read(Window(0, 0, Size(60, 80)))
        assert found is not None
        assert (found.pixels[0, :20] == 0).all()
        assert (found.pixels[0, 20:] == 1).all()


def test_a_masks_threshold_makes_two_classes(photo: Path, tmp_path: Path) -> None:
    truth = write_tiff(tmp_path / "t.tif", np.full((1, 60, 80), 200, np.uint8))

    with shown(ImageFiles(image=photo, truth=truth), tmp_path, Showing(threshold=127)) as of:
        assert of.truth is not None
        found = of.truth.read(Window(0, 0, Size(1, 1)))
        assert len(of.classes) == 2
    assert found is not None
    assert found.pixels.item() == 1


def test_bands_beyond_bytes_are_stretched_alike_in_every_tile(tmp_path: Path) -> None:
    values = np.linspace(100, 3000, 700 * 700).reshape(1, 700, 700).astype(np.uint16)
    raster = ArrayRaster(np.moveaxis(values, 0, 2))

    with Pyramid(raster, averaged, tmp_path) as pyramid:
        stretch = stretch_of(pyramid, raster)

    assert stretch.limits is not None
    ((black, white),) = stretch.limits
    assert 100 <= black < 300
    assert 2800 < white <= 3000
    assert stretch.words is not None
    assert "percentiles 2 and 98" in stretch.words
    steps = stretch.shown(values)[..., 0].astype(int)
    assert (np.diff(steps.ravel()) >= 0).all()
    assert (steps.min(), steps.max()) == (0, 255)


def test_nodata_of_one_band_is_not_stretched_over(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1000, 2000, (300, 300, 3)).astype(np.uint16)
    values[:100, :, 0] = 0
    raster = ArrayRaster(values, nodata=0)

    with Pyramid(raster, averaged, tmp_path) as pyramid:
        stretch = stretch_of(pyramid, raster)

    assert stretch.limits is not None
    assert [round(black, -2) for black, _ in stretch.limits] == [1000] * 3


def test_what_is_no_number_is_black(tmp_path: Path) -> None:
    values = np.full((40, 40, 1), np.nan, np.float32)
    raster = ArrayRaster(values)

    with Pyramid(raster, averaged, tmp_path) as pyramid:
        stretch = stretch_of(pyramid, raster)

    assert (stretch.shown(np.moveaxis(values, 2, 0)) == 0).all()


def test_bytes_are_shown_as_they_are(tmp_path: Path) -> None:
    raster = ArrayRaster(picture(40, 40, 4))
    with Pyramid(raster, averaged, tmp_path) as pyramid:
        stretch = stretch_of(pyramid, raster)

    values = np.moveaxis(picture(40, 40, 4), 2, 0)
    assert stretch.words is None
    assert np.array_equal(stretch.shown(values), picture(40, 40, 4)[..., :3])


def test_probabilities_may_be_floats(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "c.tif", np.full((1, 60, 80), 0.5, np.float32))

    with ShownFile(path, averaged, tmp_path) as file:
        found = file.tile(0, 0, 0)

    assert found is not None
    assert (as_steps(found) == 127).all()


def test_a_file_that_was_replaced_is_noticed(photo: Path, tmp_path: Path) -> None:
    with ShownFile(photo, averaged, tmp_path) as file:
        file.require_same()
        photo.unlink()
        with pytest.raises(ChangedFileError, match=r"photo.jpg has changed"):
            file.tile(0, 0, 0)
        write_picture(photo, picture(60, 80, seed=1))
        with pytest.raises(ChangedFileError, match=r"photo.jpg has changed"):
            file.read(Window(0, 0, Size(1, 1)))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", '{"features": 3}', '{"features": [{}]}', "\0"),
        *('{"features": [{"properties": {"row": 0}}]}', "[" * 100_000),
        '{"features": [{"properties": {"row": 0, "column": 0, "height": "1", "width": 1}}]}',
        '{"features": [{"properties": {"row": -1, "column": 0, "height": 1, "width": 1}}]}',
        '{"features": [{"properties": {"row": true, "column": 0, "height": 1, "width": 1}}]}',
    ],
)
def test_a_file_without_boxes_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "boxes.geojson"
    path.write_text(text)

    with pytest.raises(GLNetError, match=r"boxes.geojson holds no boxes"):
        read_boxes(path, Size(10, 10))


def test_a_box_beyond_its_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.geojson"
    path.write_text(
        '{"features": [{"properties": {"row": 5, "column": 0, "height": 6, "width": 1}}]}'
    )

    with pytest.raises(RasterError, match="belongs to another image"):
        read_boxes(path, Size(10, 10))


def test_a_huge_file_of_boxes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.geojson"
    with path.open("wb") as file:
        file.truncate((1 << 26) + 1)

    with pytest.raises(RasterError, match="over 64 MiB"):
        read_boxes(path, Size(10, 10))


def test_paths_of_virtual_file_systems_are_kept_to_the_letter(photo: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as packed:
        packed.write(photo, "photo.jpg")
    inside = f"/vsizip/{tmp_path / 'photos.zip'}/photo.jpg"

    (files,) = find_files([inside], Named(truth=inside))

    assert files.image == files.truth == inside
    with shown(ImageFiles(image=inside), tmp_path) as image:
        assert image.name == "photo.jpg"
        assert image.size == Size(60, 80)
        image.picture.require_same()


def test_a_slide_is_shown_at_a_level_or_at_micrometres(tmp_path: Path) -> None:
    path = tmp_path / "slide.svs"
    write_svs(path, drawn())

    with shown(ImageFiles(image=path), tmp_path) as image:
        assert (image.size, image.mpp) == (Size(640, 896), MPP)
    with shown(ImageFiles(image=path), tmp_path, Showing(mpp=2 * MPP)) as image:
        assert (image.size, image.mpp) == (Size(320, 448), 2 * MPP)
        assert image.picture.tile(0, 0, 0) is not None
    with shown(ImageFiles(image=path), tmp_path, Showing(level=1)) as image:
        assert image.size.height < 640
