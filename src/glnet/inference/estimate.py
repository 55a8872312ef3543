"""What a prediction will take: memory of the device and the host, disk, multiply-adds.

Tensors are counted, and operations, while the prediction is rehearsed without content
(`rehearsal.py`); weights are weighed, and what else takes memory is added up (`host_memory.py`).
"""

import copy
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from glnet.errors import CollapseError, ConfigurationError
from glnet.geometry import Size
from glnet.inference import groups
from glnet.inference.forming import dtype_of
from glnet.inference.host_memory import (
    NOTHING,
    Beside,
    computing_bytes,
    program_bytes,
    reading_bytes,
    writing_bytes,
)
from glnet.inference.live_bytes import LiveBytes, uncollected
from glnet.inference.regions import regions_of
from glnet.inference.rehearsal import META, Rehearsal
from glnet.inference.score_files import score_bytes
from glnet.inference.settings import Settings
from glnet.inference.streaming import is_coarse_to_fine
from glnet.inference.turns import TURNS
from glnet.markup import facts
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.coarse import coarse_of
from glnet.model.collapse import BRANCHES, CollapsedBranch, branches_of, form_with
from glnet.model.folding import standing_for_cpu
from glnet.model.forms import Form, PlainForm, answers_of
from glnet.model.moving import moved
from glnet.model.resampling import forget_bilinear_steps
from glnet.wording import in_binary_units


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a prediction of one image takes.

    Attributes:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        patches: How many there are.
        regions: Into how many parts the image is cut that are whole images to the network.
        patch_batch: How many run at once.
        device: Where the network runs.
        precision: In which numbers it computes.
        form: ``collapsed`` or ``plain``.
        device_bytes: The most that tensors take on the device at once, weights included. What
            libraries take within one operation, and what a GPU's driver takes, is not in it.
        host_bytes: The most memory of the process: the program as it is in this one, pixels and
            labels on their way, weights, and on a CPU the tensors. What a GPU's driver takes of it
            is not in it, nor are files that are decoded whole (JPEG, PNG).
        program_bytes: The part of it that the program takes before the first prediction.
        scratch_bytes: On disk, while it runs.
        multiply_adds: Of convolutions and matrix products, for the whole image.
    """

    height: int
    width: int
    patches: int
    regions: int
    patch_batch: int
    device: str
    precision: str
    form: str
    device_bytes: int
    host_bytes: int
    program_bytes: int
    scratch_bytes: int
    multiply_adds: int

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {words}" for name, words in self._facts())
        return f"Estimate({told})"

    def _repr_html_(self) -> str:
        return facts("Estimate of a prediction", self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("image", f"{self.height}x{self.width}"),
            ("patches", f"{self.patches:,}"),
            ("at once", str(self.patch_batch)),
            ("on", f"{self.device} in {self.precision}, {self.form} head"),
            ("device memory", in_binary_units(self.device_bytes)),
            ("host memory", in_binary_units(self.host_bytes)),
            ("scratch", in_binary_units(self.scratch_bytes)),
            ("GMAC", f"{self.multiply_adds / 1e9:,.0f}"),
        ]

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def estimate(
    model: Model,
    size: Size,
    settings: Settings,
    *,
    counts: bool = True,
    wanted: Sequence[Answer] = (),
    beside: Beside = NOTHING,
) -> Estimate:
    """Estimate a prediction.

    Where a coarse-to-fine model will draw its boxes is not known: it is estimated as if it refined
    the whole image, which is the most that it can take.

    Args:
        model: Its weights may be of any values, or none (on torch's ``meta`` device): they are then
            read from disk, branch by branch.
        size: Of the image.
        settings: Resolved but for the device, which need not be here.
        counts: Whether multiply-adds are counted, which takes half of the time; else they are 0.
        wanted: Which answers are kept; the model's own by default.
        beside: What its caller holds.

    Raises:
        ConfigurationError: If a setting cannot be.
    """
    regions = regions_of(size, model.config, settings.regions).grid
    per_region = len(model.config.framing.grid(regions.patch))
    batch = min(settings.patch_batch, per_region, groups.GROUP)
    weighed, coarse = _weighed(model, settings), 0
    if is_coarse_to_fine(model, settings):
        part = coarse_of(model)
        held = _weighed(part, settings)
        weighed = weighed._replace(
            device_bytes=weighed.device_bytes + held.device_bytes,
            host_bytes=weighed.host_bytes + held.host_bytes,
        )
        coarse = estimate(part, size, settings).multiply_adds if counts else 0
    wanted = wanted or answers_of(model.network)[-1:]
    run = Rehearsal(model, regions, replace(settings, patch_batch=batch), weighed.form, wanted)
    is_on_cpu = torch.device(settings.device).type == "cpu"
    forget_bilinear_steps()
    with torch.inference_mode(), uncollected(), ExitStack() as stack:
        if counts:
            counter = stack.enter_context(FlopCounterMode(display=False))
            run.counts.total = counter.get_total_flops
        # The inner one: the other takes operations to pieces.
        live = stack.enter_context(LiveBytes(META.type))
        stack.enter_context(standing_for_cpu(is_so=is_on_cpu))
        run.run(beside.device)
    units = len(TURNS[settings.turns]) * len(regions)
    patches = per_region if model.network.local is not None else 0
    on_device = live.peak + (weighed.host_bytes if is_on_cpu else weighed.device_bytes)
    return Estimate(
        height=size.height,
        width=size.width,
        patches=patches * len(regions),
        regions=len(regions),
        patch_batch=batch,
        device=settings.device,
        precision=settings.precision,
        form=weighed.name,
        device_bytes=on_device,
        host_bytes=program_bytes()
        + computing_bytes(on_device if is_on_cpu else weighed.host_bytes)
        + reading_bytes(model.config, settings, batch)
        + writing_bytes(size, settings)
        + beside.host,
        program_bytes=program_bytes(),
        scratch_bytes=sum(
            score_bytes(answer, units, per_region, batch, frame)
            for answer, frame in run.frames.items()
        ),
        multiply_adds=run.counts.of_all(patches) // 2 * units + coarse,
    )


class _Weighed(NamedTuple):
    """A form without content.

    Attributes:
        form: Weights that come to the device and go while it runs are made meanwhile.
        name: As `Formed.name`.
        device_bytes: Weights that are on the device all the time.
        host_bytes: Weights that are in host memory all the time.
    """

    form: Form
    name: str
    device_bytes: int
    host_bytes: int


def _weighed(model: Model, settings: Settings) -> _Weighed:
    network, dtype = moved(model.network, META, torch.float32), dtype_of(settings)
    is_on_cpu = torch.device(settings.device).type == "cpu"
    try:
        make = branches_of(network, model.bands) if settings.collapse else None
    except CollapseError:
        make = None
    if make is None:
        if settings.precision != "float32":
            raise ConfigurationError("the plain form is estimated in float32 only")
        taken = _bytes_of(network)
        return _Weighed(PlainForm(network, META, dtype), "plain", taken, taken)

    made = {name: make(name) for name in BRANCHES if getattr(network, name) is not None}
    sizes = [_bytes_of(branch) for branch in made.values()]
    kept = sum(sizes) if settings.keeps_weights else 0
    ready = {name: moved(branch, META, dtype) for name, branch in made.items()}
    if not is_on_cpu:
        form = form_with(lambda name: copy.deepcopy(ready[name]), network, META, dtype)
        # While one is made ready, its weights are there as they were read, and as they will be.
        return _Weighed(form, "collapsed", 0, kept or 2 * max(sizes))

    is_read = all(of.is_meta for of in model.network.parameters())
    stays_as_made = dtype == torch.float32

    def passing(name: str) -> CollapsedBranch:
        """A branch as it is made ready: read, collapsed, and turned into its numbers."""
        as_read = _contentless(_bytes_of(network.get_submodule(name)) if is_read else 0)
        if stays_as_made:
            return ready[name] if settings.keeps_weights else copy.deepcopy(ready[name])
        as_made = _contentless(0 if settings.keeps_weights else _bytes_of(made[name]))
        del as_read
        branch = copy.deepcopy(ready[name])
        del as_made
        return branch

    return _Weighed(form_with(passing, network, META, dtype), "collapsed", 0, kept)


def _contentless(size: int) -> Tensor:
    """So many bytes that are counted while they are held."""
    return torch.empty(size, dtype=torch.uint8, device=META)


def _bytes_of(module: nn.Module) -> int:
    return sum(of.numel() * of.element_size() for of in module.state_dict().values())
