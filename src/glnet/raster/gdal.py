"""Opening files with GDAL: which formats, with which settings, and its errors in our words."""

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock

import rasterio
from rasterio._env import get_gdal_config, set_gdal_config
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from glnet.errors import RasterError

DECODED_WHOLE = frozenset({"JPEG", "PNG", "WEBP", "GIF", "BIGGIF"})
"""Formats without random access: reading the last row means decoding all rows above."""

PICTURE_DRIVERS = (
    *("GTiff", "JPEG", "PNG", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "WEBP", "GIF"),
    *("BIGGIF", "BMP", "PNM", "TGA", "SGI", "HFA", "ENVI", "EHdr", "PCIDSK"),
    *("NITF", "ILWIS", "RMF", "SAGA", "RRASTER", "PCRaster", "AAIGrid", "GRASSASCIIGrid", "DTED"),
    *("SRTMHGT", "USGSDEM", "GSBG", "GS7BG", "GSAG", "KEA", "ECW", "MrSID", "SNAP_TIFF"),
)
"""The only formats that are tried.

GDAL would also take vector data, tables of coordinates, databases, and small text files that name
a server for pictures or other files (VRT, MRF and ERS among them); none of these may be opened
because a file of that kind lies in a folder.
"""

UNKNOWN = "not recognized as being in a supported file format"
"""What GDAL says where no format that is tried is the file's."""

VIRTUAL_PREFIX = "/vsi"
"""Paths of GDAL's own file systems (/vsizip/, /vsicurl/, ...) are handed over as they are."""

GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError)
"""All that rasterio raises when GDAL fails; `rasterio.shutil` lets GDAL's own errors through."""

CACHE_SETTING = "GDAL_CACHEMAX"
CACHE_BYTES = 1 << 25
"""What GDAL may keep of decoded and of written blocks; by itself, a twentieth of the memory.

Enough for the tiles under a few patches, or for all rows of a patch where a file of 20,000 pixels
of width has no tiles. GDAL has one cache per process and reads its size from the environment when
it first needs it. (As an option of ``rasterio.Env``, the number would be bytes, and only of what is
done inside.) Whoever sets ``GDAL_CACHEMAX`` decides instead.
"""

# A number under 100000 would be megabytes.
os.environ.setdefault(CACHE_SETTING, str(CACHE_BYTES))


_cache = RLock()


@contextmanager
def small_cache(size: int) -> Iterator[None]:
    """Have GDAL keep fewer bytes of blocks, for what passes over a file once."""
    with _cache:
        before = get_gdal_config(CACHE_SETTING)
        set_gdal_config(CACHE_SETTING, size)
        try:
            yield
        finally:  # As an option of ``rasterio.Env``, it would stay.
            set_gdal_config(CACHE_SETTING, before)


# Python's list of warning filters is one for all threads: only one may change it at a time.
_warning_filters = RLock()


@contextmanager
def without_warnings(category: type[Warning] = Warning) -> Iterator[None]:
    """Silence warnings of a kind, for something short: other threads wait to do the same."""
    with _warning_filters, warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield


@contextmanager
def reading_settings() -> Iterator[None]:
    """Run GDAL with our settings."""
    # The faster way to decode a PNG leaves the pixels black where the file is cut short.
    with rasterio.Env(GDAL_PNG_WHOLE_IMAGE_OPTIM="NO"):
        yield


@contextmanager
def gdal_settings() -> Iterator[None]:
    """Open or create files with GDAL without a warning that a photo lies nowhere on Earth."""
    with without_warnings(NotGeoreferencedWarning), reading_settings():
        yield


def open_dataset(path: str | Path, overview_level: int | None = None) -> DatasetReader:
    """Open a picture file with one of `PICTURE_DRIVERS`.

    Args:
        path: The file.
        overview_level: Which of its overviews to open in its place, from the largest, 0, on.

    Raises:
        RasterError: If there is no such file, or it is not a picture, or it is damaged.
    """
    name = str(path)
    if not name.startswith(VIRTUAL_PREFIX):
        _require_file(Path(path))
        # An absolute path cannot be mistaken for one of GDAL's prefixes, such as "GTIFF_DIR:2:".
        name = str(Path(path).absolute())
    options = {} if overview_level is None else {"overview_level": overview_level}
    try:
        with gdal_settings():
            dataset = DatasetReader(name, driver=list(PICTURE_DRIVERS), **options)
    except GDAL_ERRORS as error:
        said = reason(error)
        if UNKNOWN in said:
            said = f"{said.rstrip('.')}; those that only name other files or servers, such as VRT, "
            said += "are not opened"
        raise RasterError(f"{path} cannot be opened as a picture: {said}") from error
    _forget_complaints(dataset)
    return dataset


def _forget_complaints(dataset: DatasetReader) -> None:
    """Let go of an error that GDAL could bear, such as a CRS that nobody knows.

    It stays with GDAL, and rasterio would raise it at whatever is asked for next.
    """
    with suppress(*GDAL_ERRORS):
        _ = dataset.colorinterp


def doubt(name: str) -> str:
    """What may be wrong where a file that was opened cannot be read."""
    if name.startswith(VIRTUAL_PREFIX):
        return "the file may be damaged, or no longer there"
    return "the file may be damaged"


def reason(error: BaseException) -> str:
    """GDAL's innermost explanation of an error, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(getattr(error, "errmsg", None) or error or type(error).__name__)
    # Some messages end in advice on settings that nobody here can make.
    for advice in (" (this error can be", " This is disabled since"):
        text = text.partition(advice)[0]
    if "require libjpeg to allocate" in text:
        text += " Save it as a JPEG that is not progressive, or as a tiled GeoTIFF."
    return " ".join(text.split())


def _require_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb") as file:
                is_empty = not file.read(1)
    except FileNotFoundError as error:
        raise RasterError(f"{path} does not exist; expected a picture file") from error
    except (OSError, ValueError) as error:
        raise RasterError(f"{path} cannot be read: {reason(error)}") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise RasterError(f"{path} is {kind}; expected a picture file such as a GeoTIFF or JPEG")
    if is_empty:
        raise RasterError(f"{path} is empty (0 bytes); expected a picture file")
