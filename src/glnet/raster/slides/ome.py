"""OME-TIFF: what lies where by tifffile, pixels by GDAL, which keeps few decoded tiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from rasterio.io import DatasetReader

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster.files import RasterFile
from glnet.raster.gdal import GDAL_ERRORS, gdal_settings, reason
from glnet.raster.headers import tiff_description
from glnet.raster.palettes import Palette
from glnet.raster.protocol import Georeference, Masked, Pixels, require_inside
from glnet.raster.slides.pyramids import required
from glnet.raster.stored import named_bands

MICROMETRES = {"m": 1e6, "cm": 1e4, "mm": 1e3, "µm": 1.0, "nm": 1e-3}
"""In a unit of length, as OME calls them; its default is the micrometre."""

PLANE = ("YXS", "CYX", "YX")
"""Axes that are understood: samples of a pixel, channels one after another, one channel."""


class OmePyramid:
    """The first picture of an OME-TIFF, whose levels lie in subordinate directories.

    Args:
        path: The file.
        bands: Which channels, counted from 1, in which order; all if None.

    Raises:
        RasterError: If tifffile is missing, the file is damaged, or it holds several planes.
    """

    def __init__(self, path: Path, bands: Sequence[int] | None = None) -> None:
        self._path, self._bands = path, bands
        tifffile: Any = required("tifffile", path)
        try:
            with tifffile.TiffFile(path) as file:
                series = file.series[0]
                levels = list(series.levels)
                self._axes = str(series.axes)
                self._shapes = [dict(zip(of.axes, of.shape, strict=True)) for of in levels]
                self._offsets = [[page.offset for page in of.pages] for of in levels]
                self._mpp = _mpp(file.ome_metadata or "")
        # tifffile tells in many ways of what it does not understand.
        except Exception as error:
            raise RasterError(f"{path} cannot be opened as OME-TIFF: {reason(error)}") from error
        if self._axes not in PLANE:
            of = " x ".join(f"{axis} {length}" for axis, length in self._shapes[0].items())
            raise RasterError(
                f"{path} holds {of}; expected one plane of Y and X with channels (C) or samples "
                "(S): save the plane to a file of its own"
            )
        self._open: list[RasterFile] = []

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel of the largest level, if the file says."""
        return self._mpp

    @property
    def sizes(self) -> Sequence[Size]:
        """The size of every level, the largest first."""
        return [Size(shape["Y"], shape["X"]) for shape in self._shapes]

    def level(self, number: int) -> "OmeLevel":
        """A level; readable until the pyramid is closed.

        Raises:
            RasterError: If its pixels cannot be opened, or it has no such channel.
        """
        files = [self._directory(offset) for offset in self._offsets[number]]
        return OmeLevel(self.name, files, self._bands)

    def close(self) -> None:
        """Close the file. Closing twice is no error."""
        for file in self._open:
            file.close()
        self._open = []

    def _directory(self, offset: int) -> RasterFile:
        name = f"GTIFF_DIR:off:{offset}:{self._path.absolute()}"
        try:
            with gdal_settings():
                dataset = DatasetReader(name, driver=["GTiff"])
            file = RasterFile(self._path, dataset, Palette.KEEP)
        except GDAL_ERRORS as error:
            raise RasterError(
                f"{self.name} cannot be opened as a picture: {reason(error)}"
            ) from error
        self._open.append(file)
        return file


class OmeLevel:
    """A level of an OME-TIFF: all samples of one directory, or one channel of each of several."""

    georeference = Georeference()

    def __init__(
        self, name: str, files: Sequence[RasterFile], bands: Sequence[int] | None = None
    ) -> None:
        self.name = name
        channels = [(file, at) for file in files for at in range(file.bands)]
        named = named_bands(bands, [f"{at}" for at in range(1, len(channels) + 1)], name)
        self._channels = [channels[at - 1] for at in named]
        self._files = list(dict.fromkeys(file for file, _ in self._channels))
        self.size = files[0].size
        self.block = files[0].block
        self.bands = len(self._channels)
        self.dtype: np.dtype[Any] = files[0].dtype
        self.nodata = files[0].nodata
        self.has_mask = any(file.has_mask for file in self._files)

    def read(self, window: Window) -> Pixels:
        """The pixels of a window, (channels, height, width).

        Raises:
            GeometryError: If the window is not inside the level.
            RasterError: If the pixels cannot be read.
        """
        return self.read_masked(window).pixels

    def read_masked(self, window: Window) -> Masked:
        """The pixels of a window, and which are measurements in any channel.

        Raises:
            GeometryError: If the window is not inside the level.
            RasterError: If the pixels cannot be read.
        """
        require_inside(window, self)
        found = {file: file.read_masked(window) for file in self._files}
        known = [of.valid for of in found.values() if of.valid is not None]
        valid = np.logical_or.reduce(known) if len(known) == len(found) else None
        return Masked(
            np.stack([found[file].pixels[at] for file, at in self._channels]),
            None if valid is None or valid.all() else valid,
        )


def is_ome(path: Path) -> bool:
    """Whether a file is a TIFF that describes itself in OME's XML."""
    return "<OME" in tiff_description(path)


def _mpp(description: str) -> float | None:
    """Micrometres per pixel from OME's XML; the mean of both axes."""
    try:
        root = ElementTree.fromstring(description)
        pixels = next(of for of in root.iter() if of.tag.endswith("}Pixels"))
        sides = [
            float(pixels.attrib[f"PhysicalSize{axis}"])
            * MICROMETRES[pixels.attrib.get(f"PhysicalSize{axis}Unit", "µm")]
            for axis in "XY"
        ]
    except (ElementTree.ParseError, StopIteration, KeyError, ValueError):
        return None
    mean = sum(sides) / 2
    return mean if np.isfinite(mean) and mean > 0 else None
