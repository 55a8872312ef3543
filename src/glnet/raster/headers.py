"""What GDAL does not report, from the headers of files: orientation, and how they are decoded."""

from pathlib import Path
from typing import IO

from PIL import (
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from glnet.raster.gdal import without_warnings
from glnet.raster.orientation import UPRIGHT, Orientation, exif_orientation

DESCRIPTION_TAG, ORIENTATION_TAG = 270, 274
TIFF_HEADER_BYTES, BIGTIFF_HEADER_BYTES, BIGTIFF_VERSION = 8, 16, 43


def header_orientation(path: Path, driver: str) -> Orientation:
    """How a file says it is to be displayed; upright where it says nothing or cannot be understood.

    Args:
        path: A file that GDAL has opened.
        driver: The name of GDAL's driver for it.
    """
    read = {"PNG": _png_value, "WEBP": _webp_value, "GTiff": _tiff_value}.get(driver)
    if read is None or not path.is_file():
        return UPRIGHT
    try:
        with without_warnings(), path.open("rb") as file:
            return exif_orientation(read(file))
    # Pillow tells in many ways of a header that it does not understand; GDAL has understood the
    # file, so such a header is no reason to refuse it.
    except Exception:
        return UPRIGHT


def is_refined_in_passes(path: Path, driver: str) -> bool:
    """Whether a JPEG is progressive or a PNG interlaced: its last row waits for the last byte.

    Args:
        path: A file that GDAL has opened.
        driver: The name of GDAL's driver for it.
    """
    read = {"JPEG": _is_progressive, "PNG": _is_interlaced}.get(driver)
    if read is None or not path.is_file():
        return False
    try:
        with without_warnings(), path.open("rb") as file:
            return read(file)
    except Exception:  # As above.
        return False


def _is_progressive(file: IO[bytes]) -> bool:
    return "progressive" in JpegImagePlugin.JpegImageFile(file).info


def _is_interlaced(file: IO[bytes]) -> bool:
    return bool(PngImagePlugin.PngImageFile(file).info.get("interlace"))


def tiff_description(path: Path) -> str:
    """What a TIFF says of its first picture in words; nothing where it says nothing or is none."""
    try:
        with without_warnings(), path.open("rb") as file:
            return str(_tiff_tag(file, DESCRIPTION_TAG) or "")
    except Exception:  # As above.
        return ""


def _png_value(file: IO[bytes]) -> object:
    # The class, not Image.open, which refuses large pictures; info, not getexif, which decodes.
    return _exif_value(PngImagePlugin.PngImageFile(file).info.get("exif"))


def _webp_value(file: IO[bytes]) -> object:
    return _exif_value(WebPImagePlugin.WebPImageFile(file).info.get("exif"))


def _exif_value(block: bytes | None) -> object:
    if not block:
        return None
    exif = Image.Exif()
    exif.load(block)
    return exif.get(ORIENTATION_TAG)


def _tiff_value(file: IO[bytes]) -> object:
    return _tiff_tag(file, ORIENTATION_TAG)


def _tiff_tag(file: IO[bytes], tag: int) -> object:
    header = file.read(TIFF_HEADER_BYTES)
    if BIGTIFF_VERSION in header[2:4]:
        header += file.read(BIGTIFF_HEADER_BYTES - TIFF_HEADER_BYTES)
    directory = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(directory.next)
    directory.load(file)
    return directory.get(tag)
