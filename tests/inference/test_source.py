"""Opening an image to be segmented: what may be asked for of which file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from affine import Affine

from glnet.errors import ConfigurationError, RasterError
from glnet.geometry import Size, Window
from glnet.inference.source import Opened, Source, opened
from glnet.raster import LabelWriter, open_slide
from tests.raster.raster_files import noise, write_tiff
from tests.raster.slide_files import MPP, TILE, drawn, write_ome, write_svs


@contextmanager
def _open(path: Path, source: Source) -> Iterator[Opened]:
    with opened(path, source, path.parent, 64, lambda *_: None) as found:
        yield found


def test_bands_of_a_slide_are_its_channels(tmp_path: Path) -> None:
    pixels = noise(5, 256, 300)
    write_ome(tmp_path / "a.ome.tif", pixels, "CYX")

    with _open(tmp_path / "a.ome.tif", Source(bands=(2, 4, 5), level=0)) as found:
        assert np.array_equal(found.raster.read(Window(0, 0, Size(256, 300))), pixels[[1, 3, 4]])
    with (
        pytest.raises(RasterError, match="has no band 6"),
        _open(tmp_path / "a.ome.tif", Source(bands=(6,))),
    ):
        pass


def test_damage_of_a_slide_is_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    write_ome(path, noise(256, 300, 3), "YXS")
    with tifffile.TiffFile(path) as file:
        start, length = (of[1] for of in (file.pages[0].dataoffsets, file.pages[0].databytecounts))
    with path.open("r+b") as stored:
        stored.seek(start)
        stored.write(bytes(length))
    whole = Window(0, 0, Size(256, 300))

    with _open(path, Source(on_error="nodata")) as found:
        valid = found.raster.read_masked(whole).valid
        assert found.damaged == [Window(0, TILE, Size(TILE, TILE))]
    with _open(path, Source()) as found, pytest.raises(RasterError, match="cannot be read"):
        found.raster.read_masked(whole)
    assert valid is not None
    assert np.sum(~valid) == TILE * TILE


@pytest.mark.parametrize("source", [Source(level=0), Source(mpp=0.5)])
def test_a_map_is_not_read_as_a_slide(tmp_path: Path, source: Source) -> None:
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    place = {"crs": "EPSG:32633", "transform": Affine(2, 0, 500_000, 0, -2, 0)}
    write_tiff(tmp_path / "a.tif", noise(3, 128, 128), **tiles, **place)
    write_tiff(tmp_path / "b.tif", noise(3, 128, 128), **tiles)

    with (
        pytest.raises(ConfigurationError, match="would lose its place: leave them away"),
        _open(tmp_path / "a.tif", source),
    ):
        pass
    with _open(tmp_path / "b.tif", Source(level=0)) as found:
        assert found.raster.size == Size(128, 128)


@pytest.mark.parametrize("name", ["labels.tif", "cog.tif"])
@pytest.mark.parametrize("source", [Source(tissue=True), Source(mpp=3 * MPP, on_error="nodata")])
def test_labels_of_a_slide_know_how_large_their_pixels_are(
    tmp_path: Path, name: str, source: Source
) -> None:
    write_svs(tmp_path / "a.svs", drawn())
    wanted = source.mpp or MPP

    with _open(tmp_path / "a.svs", source) as found:
        place, size = found.raster.georeference, found.raster.size
    path = tmp_path / name
    with LabelWriter(path, size, georeference=place, cog=name == "cog.tif") as writer:
        writer.write(np.zeros((size.height, size.width), np.uint8))

    assert place.mpp == pytest.approx(wanted)
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx(wanted), "as OpenSlide reads it"
    with tifffile.TiffFile(path) as file:
        tags = file.pages[0].aspage().tags
        assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
        pixels, unit = tags["XResolution"].value
        assert pixels / unit == pytest.approx(1e4 / wanted)


def test_what_is_no_picture_is_told_by_who_opens_slides(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_text("no slide")

    with (
        pytest.raises(RasterError, match="cannot be opened as a slide"),
        _open(tmp_path / "a.svs", Source(level=0)),
    ):
        pass
