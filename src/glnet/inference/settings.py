"""How a prediction runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from glnet.errors import ConfigurationError
from glnet.inference.blending import Blending
from glnet.inference.regions import RegionRule
from glnet.inference.turns import TURNS, Turns
from glnet.model.seeing import Seeing

Progress = Callable[[str, int, int], None]
"""Told the phase, how many of its steps are done, and how many there are."""


Precision = Literal["auto", "float32", "bfloat16", "float16"]
"""In which numbers the network computes; sums over patches are float32 always."""


AnswerName = Literal["own", "global", "local"]
"""Whose answer is given."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a prediction runs; ``turns`` and ``refine_below`` change the answer beyond rounding.

    Attributes:
        device: Such as ``cpu``, ``cuda`` or ``cuda:1``.
        precision: In which numbers the network computes; ``auto`` is the fastest in which this
            device computes by itself.
        patch_batch: How many patches enter the network at once; never more than a group (16).
        scratch: Folder for the scratch file; the system's temporary one by default.
        memory: Bytes of tensors, weights included, that the device may hold; the patch batch is
            lowered until they suffice.
        host_memory: Bytes that the process may hold in host memory, the program included; what a
            GPU's driver takes of it is not counted.
        turns: Test-time augmentation: in which ways the raster is laid (``flips`` and ``quarters``
            are 4 ways, ``all`` 8); the scores are averaged. Each way costs the time and the
            scratch space of a whole prediction.
        ahead: How many batches of patches, and strips of labels, are made ready while another one
            is used; 0 takes the least memory.
        keeps_weights: Whether branches stay in host memory, ready for the next image, while another
            one runs; else they are read and made ready each time.
        collapse: Whether the linear head is multiplied out; the answer is the same up to rounding.
        regions: What the global branch sees at once: the whole raster or regions of it.
        everywhere: Whether a coarse-to-fine model refines the whole raster, as if its coarse branch
            had found foreground everywhere.
        blending: How patches, and regions, are blended where they overlap: ``feathered`` or
            ``uniform``; by default feathered, but uniform for published sampling.
        compile: Whether torch.compile makes code for the backbone that sees the patches; the answer
            is the same up to rounding. Starting takes longer (36 s for a ResNet-50 on a CPU with 2
            cores and AVX2, which then ran at 0.85 to 1.03 times its speed); no GPU was tried. What
            it takes of memory is not estimated, so that it is refused beside ``memory`` and
            ``host_memory``.
        seeing: How a network of one branch sees rasters, if not as it was trained to.
        answer: Whose answer is given: the model's own, or what the global branch alone or the local
            branch alone says, for comparison.
        refine_below: A probability over 0 and up to 1. Patches over which the context branch is at
            least as sure as that of one and the same class, everywhere, keep its answer; they are
            not read, and never enter the local branch. The refined branch (bidirectional sharing)
            hears nothing from where only such patches reach. With 1, practically all patches are
            refined. Estimates and memory that is named do not count on it. None, the default,
            refines all.

    Raises:
        ConfigurationError: If a number is too low or too high, no ways have that name, or
            ``compile`` meets a memory that is named.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    patch_batch: int = 4
    scratch: Path | None = None
    memory: int | None = None
    host_memory: int | None = None
    turns: Turns = "none"
    ahead: int = 1
    keeps_weights: bool = True
    collapse: bool = True
    regions: RegionRule = field(default_factory=RegionRule)
    everywhere: bool = False
    blending: Blending | None = None
    compile: bool = False
    refine_below: float | None = None
    seeing: Seeing | None = None
    answer: AnswerName = "own"

    def __post_init__(self) -> None:
        if self.patch_batch < 1:
            raise ConfigurationError(f"patch batch must be at least 1, got {self.patch_batch}")
        if self.ahead < 0:
            raise ConfigurationError(f"ahead must be 0 or more batches, got {self.ahead}")
        if self.turns not in TURNS:
            raise ConfigurationError(f"turns must be one of {', '.join(TURNS)}, got {self.turns}")
        if self.blending not in {None, "feathered", "uniform"}:
            raise ConfigurationError(f"blending must be feathered or uniform, got {self.blending}")
        if self.refine_below is not None and not 0 < self.refine_below <= 1:
            raise ConfigurationError(
                "refine_below is a probability over 0 and up to 1, such as 0.95, got "
                f"{self.refine_below}"
            )
        if self.compile and not (self.memory is None and self.host_memory is None):
            raise ConfigurationError(
                "what compiling takes of memory is not estimated; leave out either --compile or "
                "--memory and --host-memory"
            )


def quiet(phase: str, done: int, total: int) -> None:
    """Progress that nobody sees."""
