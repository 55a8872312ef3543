"""The files that results become: a tiled GeoTIFF, its overviews, and what is made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.io import DatasetWriter

from glnet.errors import OutputError
from glnet.geometry import Size
from glnet.raster.gdal import gdal_settings, small_cache
from glnet.raster.protocol import AREA_OR_POINT, POINT, Georeference

TIFF_SUFFIXES = (".tif", ".tiff")
PNG_SUFFIX = ".png"

BIGTIFF = "IF_SAFER"
"""BigTIFF from 2 * 10^9 bytes of pixels on. Overviews add a third: the rest stays below 4 GiB."""

MICROMETRES_PER_CENTIMETRE = 1e4

COMPRESSION = "DEFLATE"

OVERVIEW_PIECE_BYTES, OVERVIEW_CACHE_BYTES = 1 << 21, 1 << 23
"""What GDAL takes at once of what overviews are made of, and keeps of blocks meanwhile. By itself
it takes more the wider the file is (36 to 60 MiB from 5000 to 60,000 pixels, and so at most 21)."""


class Format(StrEnum):
    """What a file is."""

    GEOTIFF = "GeoTIFF"
    COG = "Cloud Optimized GeoTIFF"
    PNG = "PNG"

    @classmethod
    def chosen(cls, path: Path, *, cog: bool) -> "Format":
        """The format that a path's suffix and a wish for a COG choose.

        Raises:
            OutputError: If a COG is wished for under the name of a PNG.
        """
        is_png = path.suffix.lower() == PNG_SUFFIX
        if is_png and cog:
            raise OutputError(
                f"a {cls.COG} must end in {' or '.join(TIFF_SUFFIXES)}, got {path}; "
                "choose such a name, or a PNG without this option"
            )
        return cls.COG if cog else cls.PNG if is_png else cls.GEOTIFF


@dataclass(frozen=True, kw_only=True)
class Content:
    """What 8-bit bands mean, besides their pixels.

    Attributes:
        resampling: What becomes of the pixels under one pixel of an overview.
        band_names: A description of every band; as many as there are bands.
        nodata: The value that says "nothing here".
        scale: What a step of the values is worth, if not 1.
        colors: (red, green, blue, alpha) in 0..255 of values; for one band.
        tags: Metadata items of the file.
        category_names: Names of the values of the first band, from 0 on, for GIS programs; kept
            beside the file, in ".aux.xml".
    """

    resampling: Resampling
    band_names: tuple[str | None, ...] = (None,)
    nodata: int | None = None
    scale: float | None = None
    colors: Mapping[int, tuple[int, int, int, int]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    category_names: tuple[str, ...] = ()

    @property
    def bands(self) -> int:
        """How many there are."""
        return len(self.band_names)

    @property
    def tile(self) -> int:
        """The side of a file's tiles."""
        return tile_side(self.bands)


def tile_side(bands: int) -> int:
    """The side of a file's tiles: smaller for many bands, as a row of tiles waits in memory."""
    return 512 if bands == 1 else 256 if bands <= 8 else 128


def overview_factors(size: Size, tile: int) -> list[int]:
    """By how much each overview is smaller: powers of two, the last overview fits into a tile."""
    factors: list[int] = []
    while max(size.height, size.width) > tile << len(factors):
        factors.append(2 << len(factors))
    return factors


def create_geotiff(
    path: Path, size: Size, georeference: Georeference, content: Content
) -> DatasetWriter:
    """A new GeoTIFF, described and open for writing.

    Raises:
        RasterioError: If GDAL cannot; see `GDAL_ERRORS` for what else this and all others here let
            through.
    """
    has_gcps = bool(georeference.gcps)
    with gdal_settings():
        dataset = rasterio.open(
            str(path),
            "w",
            driver="GTiff",
            dtype="uint8",
            count=content.bands,
            height=size.height,
            width=size.width,
            crs=georeference.gcps_crs if has_gcps else georeference.crs,
            transform=None if has_gcps else georeference.transform,
            gcps=list(georeference.gcps) or None,
            rpcs=georeference.rpcs,
            nodata=content.nodata,
            # Else three bands would be colours, and the last of four transparency.
            photometric="MINISBLACK",
            tiled=True,
            blockxsize=content.tile,
            blockysize=content.tile,
            compress=COMPRESSION,
            bigtiff=BIGTIFF,
        )
    try:
        if georeference.is_point:
            # GDAL moves the corner to the pixel's middle in the file, and back when it is read.
            dataset.update_tags(**{AREA_OR_POINT: POINT})
        dataset.update_tags(**resolution_tags(georeference))
        _describe(dataset, content)
    except BaseException:
        dataset.close()
        raise
    return dataset


def resolution_tags(georeference: Georeference) -> dict[str, str]:
    """What TIFF says of the size of a slide's pixels, as programs for slides read it."""
    if georeference.mpp is None:
        return {}
    per_centimetre = repr(MICROMETRES_PER_CENTIMETRE / georeference.mpp)
    sides = {f"TIFFTAG_{axis}RESOLUTION": per_centimetre for axis in "XY"}
    return {**sides, "TIFFTAG_RESOLUTIONUNIT": "3 (pixels/cm)"}


def add_overviews(path: Path, size: Size, content: Content) -> None:
    """Put overviews into a GeoTIFF; memory does not grow with it, as GDAL makes them in pieces."""
    factors = overview_factors(size, content.tile)
    if factors:
        pieces = rasterio.Env(GDAL_OVR_CHUNK_MAX_SIZE=OVERVIEW_PIECE_BYTES)
        with (
            gdal_settings(),
            small_cache(OVERVIEW_CACHE_BYTES),
            pieces,
            rasterio.open(str(path), "r+") as dataset,
        ):
            dataset.build_overviews(factors, content.resampling)


def copy_as_cog(geotiff: Path, cog: Path, content: Content) -> None:
    """Write a GeoTIFF with its overviews once more, in the order of a Cloud Optimized GeoTIFF."""
    with gdal_settings():
        rasterio.shutil.copy(
            str(geotiff),
            str(cog),
            driver="COG",
            blocksize=content.tile,
            compress=COMPRESSION,
            bigtiff=BIGTIFF,
            # GDAL would make its own where it finds none, and mix the classes' numbers.
            overviews="FORCE_USE_EXISTING",
        )


def copy_as_png(geotiff: Path, png: Path) -> None:
    """Write a GeoTIFF once more, as PNG; what a PNG has no place for goes beside it."""
    with gdal_settings():
        rasterio.shutil.copy(str(geotiff), str(png), driver="PNG")


def _describe(dataset: DatasetWriter, content: Content) -> None:
    for band, name in enumerate(content.band_names, start=1):
        if name is not None:
            dataset.set_band_description(band, name)
    if content.scale is not None:
        dataset.scales = (content.scale,) * content.bands
        dataset.offsets = (0.0,) * content.bands
    if content.colors:
        dataset.write_colormap(1, dict(content.colors))
    if content.tags:
        dataset.update_tags(**content.tags)
