from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from glnet.data.classes import IGNORE_INDEX, ClassInfo
from glnet.data.decoding import Place, decode
from glnet.data.description import DatasetDescription
from glnet.data.encodings import IndexEncoding, MaskEncoding, PaletteEncoding, ThresholdEncoding
from glnet.data.masks import LabelRaster, open_labels
from glnet.data.sample import Sample
from glnet.errors import DatasetError, GeometryError
from glnet.geometry import Size, Window
from glnet.raster import ArrayRaster

CLASSES = (
    ClassInfo("soil", (255, 0, 0)),
    ClassInfo("carrot", (0, 255, 0)),
    ClassInfo("weed", (0, 0, 255)),
)
BLACK = (0, 0, 0)
IGNORED = 3
"""In the drawn maps: one past the classes."""

maps = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 999)).map(
    lambda case: np.random.default_rng(case[2]).integers(0, 4, case[:2])
)


def described(encoding: MaskEncoding, classes: int = 3) -> DatasetDescription:
    return DatasetDescription(CLASSES[:classes], encoding)


def expected(drawn: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.where(drawn == IGNORED, IGNORE_INDEX, drawn).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.uint32])
@given(drawn=maps)
def test_index_masks_hold_the_value_of_each_class(drawn: NDArray[np.int64], dtype: type) -> None:
    values = (7, 0, 100)
    pixels: NDArray[Any] = np.array([*values, 50], dtype)[drawn][None]

    labels = decode(pixels, described(IndexEncoding(values, ignore=50)))

    np.testing.assert_array_equal(labels, expected(drawn))
    assert labels.dtype == np.uint8


@given(drawn=maps, spread=st.integers(0, 100))
def test_palette_masks_decode_as_a_slow_loop_does(drawn: NDArray[np.int64], spread: int) -> None:
    colors = [*(info.color for info in CLASSES), BLACK]
    clean = np.array(colors, np.uint8)[drawn]
    pixels = np.where(clean > 0, clean - spread, spread).astype(np.uint8)

    encoding = PaletteEncoding(BLACK, binarize=128 if spread else None)
    labels = decode(np.moveaxis(pixels, 2, 0), described(encoding))

    for row, column in np.ndindex(drawn.shape):
        red, green, blue = (255 if channel >= 128 else 0 for channel in pixels[row, column])
        index = colors.index((red, green, blue))
        assert labels[row, column] == (index if index < 3 else IGNORE_INDEX)


@pytest.mark.parametrize("bands", [1, 3])
@given(threshold=st.integers(-1, 256), seed=st.integers(0, 99))
def test_threshold_masks_are_class_1_above(bands: int, threshold: int, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (1, 5, 6), np.uint8)

    labels = decode(
        np.repeat(grey, bands, axis=0), described(ThresholdEncoding(threshold), classes=2)
    )

    assert labels.tolist() == [[int(int(v) > threshold) for v in row] for row in grey[0]]


@pytest.mark.parametrize(
    ("pixel", "encoding", "message"),
    [
        ([9], IndexEncoding(), "class value 9 out of range, .* 0 soil, 1 carrot, 2 weed"),
        ([0], IndexEncoding((1, 2, 3)), "class value 0 out of range, .* 1 soil, 2 carrot"),
        ([1, 2, 3], PaletteEncoding(), r"#010203 \[1, 2, 3\], .* #ff0000 soil, .*binarize: 128 if"),
        ([255, 255, 0], PaletteEncoding(binarize=128), "#ffff00 .* after mask.binarize: describe"),
    ],
)
def test_the_first_strange_pixel_is_named_in_the_masks_coordinates(
    pixel: list[int], encoding: MaskEncoding, message: str
) -> None:
    known = [2] if len(pixel) == 1 else [0, 0, 255]
    pixels = np.tile(np.array(known, np.uint8)[:, None, None], (1, 4, 5))
    pixels[:, 2, 3] = pixels[:, 3, 1] = pixel

    with pytest.raises(DatasetError, match=message) as caught:
        decode(pixels, described(encoding), Place("a.png", 100, 200))

    assert "first at pixel (row 102, column 203)" in str(caught.value)
    assert str(caught.value).startswith("a.png: ")


def test_threshold_masks_refuse_colours() -> None:
    pixels = np.zeros((3, 4, 5), np.uint8)
    pixels[1, 2, 3] = 1

    with pytest.raises(DatasetError, match=r"\(row 2, column 3\); use encoding: palette"):
        decode(pixels, described(ThresholdEncoding(), classes=2))


@pytest.mark.parametrize(
    ("shape", "dtype", "encoding", "message"),
    [
        ((4, 5, 3), np.uint8, IndexEncoding(), "needs 1 band, got 3; use encoding: palette"),
        ((4, 5), np.float32, IndexEncoding(), "needs whole numbers, got float32"),
        ((4, 5), np.uint8, PaletteEncoding(), "got 1 of uint8; use encoding: index"),
        ((4, 5, 3), np.uint16, PaletteEncoding(), "got 3 of uint16"),
        ((4, 5, 2), np.uint8, ThresholdEncoding(), "needs 1 or 3 bands, got 2"),
    ],
)
def test_masks_of_the_wrong_kind_are_told_the_encoding(
    shape: tuple[int, ...], dtype: type, encoding: MaskEncoding, message: str
) -> None:
    raster = ArrayRaster(np.zeros(shape, dtype))

    with pytest.raises(DatasetError, match=message):
        LabelRaster(raster, described(encoding, classes=2))


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    factor=st.integers(1, 9),
    strip=st.sampled_from([1, 60, 10_000]),
)
def test_read_nearest_takes_the_centre_of_each_block(
    height: int, width: int, factor: int, strip: int
) -> None:
    drawn = np.random.default_rng(height * width).integers(0, 3, (45, 46), np.uint8)
    window = Window(3, 5, Size(height, width))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glnet.data.masks.STRIP_PIXELS", strip)
        nearest = LabelRaster(ArrayRaster(drawn), described(IndexEncoding())).read_nearest(
            window, factor
        )

    seen = drawn[window.slices]
    assert nearest.shape == (-(-height // factor), -(-width // factor))
    for row, column in np.ndindex(*nearest.shape):
        block = seen[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        assert nearest[row, column] == block[block.shape[0] // 2, block.shape[1] // 2]


def test_read_nearest_refuses_no_factor() -> None:
    labels = LabelRaster(ArrayRaster(np.zeros((4, 5), np.uint8)), described(IndexEncoding()))

    with pytest.raises(GeometryError, match="at least 1, got 0"):
        labels.read_nearest(Window(0, 0, labels.size), 0)


def save(path: Path, pixels: NDArray[Any], palette: list[int] | None = None) -> Path:
    picture = Image.fromarray(pixels)
    if palette is not None:
        picture.putpalette(palette)
    picture.save(path)
    return path


def test_a_paletted_file_reads_as_indices_or_as_colours(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(0, 3, (6, 7), np.uint8)
    # The indices run against the classes, so that the two readings differ.
    flat = [channel for info in reversed(CLASSES) for channel in info.color]
    path = save(tmp_path / "mask.png", drawn, flat)

    for encoding, wanted in ((IndexEncoding(), drawn), (PaletteEncoding(), 2 - drawn)):
        with open_labels(path, described(encoding)) as labels:
            read = labels.read(Window(1, 2, Size(3, 4)))
        np.testing.assert_array_equal(read, wanted[1:4, 2:6])


def test_a_sample_opens_only_with_a_mask_as_large_as_its_image(tmp_path: Path) -> None:
    image = save(tmp_path / "image.png", np.zeros((6, 7, 3), np.uint8))
    mask = save(tmp_path / "mask.png", np.zeros((6, 7), np.uint8))
    turned = save(tmp_path / "turned.png", np.zeros((7, 6), np.uint8))
    description = described(IndexEncoding())

    with Sample("a", image, mask).open_labels(description) as labels:
        assert labels.size == Size(6, 7)
        assert labels.name == str(mask)
    with (
        pytest.raises(DatasetError, match=r"turned.png: .* \(6x7, .*image.png\), got 7x6"),
        Sample("a", image, turned).open_labels(description),
    ):
        pass


def test_a_sample_without_mask_has_no_labels(tmp_path: Path) -> None:
    with (
        pytest.raises(DatasetError, match=r"image\.png: the image has no mask"),
        Sample("a", tmp_path / "image.png").open_labels(described(IndexEncoding())),
    ):
        pass
