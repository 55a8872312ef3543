"""What travels between the driver and its workers: what is asked, and what was found.

Plain values and numpy arrays, which Ray moves through shared memory without copying them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet import errors
from glnet.errors import ClusterError, GLNetError
from glnet.inference.settings import Settings
from glnet.inference.source import Source
from glnet.model.answers import Answer
from glnet.model.exchange import PatchIndex
from glnet.model.features import BranchFeatures
from glnet.model.map_sums import MapSums
from glnet.model.merging import Summed
from glnet.raster import Raster

Array = NDArray[Any]

Method = Literal["planes", "coarse", "thumbnail", "look", "group", "again", "whole"]
"""What a worker can be asked for (`Worker`)."""


@dataclass(frozen=True)
class Sight:
    """By what an image is known again on another machine.

    Attributes:
        height: Of its pixels.
        width: Of them.
        bands: How many.
        file_bytes: Of the file; None where it is none of a file system.
    """

    height: int
    width: int
    bands: int
    file_bytes: int | None

    @classmethod
    def of(cls, raster: Raster, image: str) -> "Sight":
        """That of an open image."""
        file = Path(image)
        file_bytes = file.stat().st_size if file.is_file() else None
        return cls(raster.size.height, raster.size.width, raster.bands, file_bytes)

    def __str__(self) -> str:
        of_file = "" if self.file_bytes is None else f", {self.file_bytes} bytes"
        return f"{self.height}x{self.width} pixels, {self.bands} bands{of_file}"


@dataclass(frozen=True)
class Scene:
    """An image, and what is done with it.

    Attributes:
        key: Another one for every run over every image.
        image: The file, from where the workers look; the name of pixels that are sent.
        source: How it is opened.
        settings: As they are fitted to it; device and precision are the worker's own.
        wanted: Which answers are kept.
        sight: What the driver sees there; None where pixels are sent.
    """

    key: str
    image: str
    source: Source
    settings: Settings
    wanted: tuple[Answer, ...]
    sight: Sight | None = None


class Numbers(NamedTuple):
    """A tensor as bytes, as numpy knows no bfloat16.

    Attributes:
        dtype: The name of its type.
        shape: Its shape.
        bytes: What it holds.
    """

    dtype: str
    shape: tuple[int, ...]
    bytes: Array

    @classmethod
    def of(cls, tensor: Tensor) -> "Numbers":
        """Those of a tensor anywhere."""
        known = tensor.detach().cpu().contiguous()
        flat = known.reshape(-1).view(torch.uint8).numpy()
        return cls(str(known.dtype).removeprefix("torch."), tuple(known.shape), flat)

    @property
    def tensor(self) -> Tensor:
        """The tensor, a copy, on the CPU."""
        dtype: torch.dtype = getattr(torch, self.dtype)
        return torch.from_numpy(self.bytes.copy()).view(dtype).reshape(self.shape)


Shapes = tuple[tuple[tuple[int, ...], ...], ...]
"""Of the maps of every layer and level."""


class Look(NamedTuple):
    """What the context branch says, as far as the driver needs it.

    Attributes:
        shapes: Of its features.
        logits: Its own answer, where that was wanted.
    """

    shapes: Shapes
    logits: Numbers | None

    @property
    def features(self) -> BranchFeatures:
        """Features of these shapes without content."""
        levels = (tuple(torch.zeros(()).expand(shape) for shape in layer) for layer in self.shapes)
        return BranchFeatures(*levels)


class Again(NamedTuple):
    """What the refined branch says.

    Attributes:
        logits: Its own answer.
        far: What the far part is made of.
    """

    logits: Numbers | None
    far: Numbers | None


class Part(NamedTuple):
    """`MapSums` as arrays."""

    whole: tuple[int, int]
    corner: tuple[int, int]
    canvas: NDArray[np.float32]
    reach: NDArray[np.float32]

    @classmethod
    def of(cls, sums: MapSums) -> "Part":
        """Those of sums anywhere."""
        canvas, reach = (tensor.cpu().numpy() for tensor in (sums.canvas, sums.reach))
        return cls(sums.whole, sums.corner, canvas, reach)

    @property
    def sums(self) -> MapSums:
        """The sums, a copy, on the CPU."""
        canvas, reach = (torch.from_numpy(of.copy()) for of in (self.canvas, self.reach))
        return MapSums(self.whole, self.corner, canvas, reach)


class GroupFound(NamedTuple):
    """What was found of a group.

    Attributes:
        skipped: As `Found.skipped`.
        holed: As `Found.holed`.
        patches: Those that the sums are of.
        parts: The sums; None where nobody hears them.
        scores: Per answer, patches by their number, and their scores (N, K, h, w).
    """

    skipped: frozenset[int]
    holed: frozenset[int]
    patches: Sequence[PatchIndex]
    parts: Sequence[Part] | None
    scores: Mapping[Answer, tuple[Sequence[int], NDArray[np.float32]]]

    @property
    def sums(self) -> Summed | None:
        """What it adds to the merged maps."""
        if self.parts is None:
            return None
        return Summed([of.sums for of in self.parts], self.patches)


@dataclass(frozen=True)
class Ready:
    """What a worker is, once it has a model.

    Attributes:
        host: Its machine.
        process: Its number there.
        versions: Of what the results depend on.
        digest: The model's checksum.
        precision: In which numbers it computes.
    """

    host: str
    process: int
    versions: Mapping[str, str]
    digest: str
    precision: str

    def unlike(self, other: "Ready") -> str:
        """What of it would give other results than another worker; empty if nothing."""
        names = [name for name, of in self.versions.items() if other.versions.get(name) != of]
        names += ["model"] if self.digest != other.digest else []
        names += ["precision"] if self.precision != other.precision else []
        return ", ".join(names)


@dataclass(frozen=True)
class Blank:
    """The answer of a worker that was started anew and has no model yet."""


@dataclass(frozen=True)
class Failure:
    """What a worker could not do, and why, in one line.

    Attributes:
        kind: The class of the error, one of ours.
        text: What it says, with the worker's host.
    """

    kind: str
    text: str

    @property
    def error(self) -> GLNetError:
        """The error."""
        kind = getattr(errors, self.kind, ClusterError)
        return kind(self.text) if issubclass(kind, GLNetError) else ClusterError(self.text)


def bytes_of(value: object) -> int:
    """What the arrays in a value take."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(map(bytes_of, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(bytes_of, value))
    return 0
