"""What the libraries that read slides have in common: levels of one picture."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol

from glnet.errors import RasterError
from glnet.geometry import Size
from glnet.raster.protocol import Raster

EXTRA = "pip install glnet[slides]"


class Pyramid(Protocol):
    """One picture at several sizes."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel of the largest level, if the file says."""
        ...

    @property
    def sizes(self) -> Sequence[Size]:
        """The size of every level, the largest first."""
        ...

    def level(self, number: int) -> Raster:
        """A level, by its place in `sizes`; readable until the pyramid is closed."""
        ...

    def close(self) -> None:
        """Close the file. Closing twice is no error."""
        ...


def required(library: str, path: Path) -> ModuleType:
    """A library of the extra ``slides``.

    Raises:
        RasterError: If it is not installed.
    """
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise RasterError(f"{path} needs the library {library} ({error}); {EXTRA}") from error
