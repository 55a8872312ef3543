"""What a training step will take, found by running it with tensors that have no content.

As in `inference/rehearsal.py`, tensors on torch's ``meta`` device stand for those on the device,
which need not be here. Steps, portions and optimiser are those of a run, so what is counted is
what a run does. Tasks that are alike take the same: of many, two are run and the second one tells
the rest. What stands in for images is in `contentless.py`.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from glnet.data import IGNORE_INDEX, ClassInfo
from glnet.errors import ConfigurationError
from glnet.geometry import Size
from glnet.inference.live_bytes import LiveBytes, uncollected
from glnet.inference.pixels import LEAST_SIDE
from glnet.inference.settings import Precision
from glnet.markup import facts
from glnet.model.build import build_glnet
from glnet.model.resampling import forget_bilinear_steps
from glnet.training.checking import check_framing
from glnet.training.config import TrainingConfig
from glnet.training.contentless import (
    ContentlessImage,
    Descent,
    Unknowing,
    contentless_feeds,
)
from glnet.training.portions import Portion, Portions
from glnet.training.preparation import model_config, objective_of, steps_of
from glnet.training.stages import StageModule
from glnet.training.tasks import Task
from glnet.wording import in_binary_units

META = torch.device("meta")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class StepEstimate:
    """What an optimiser step takes.

    Attributes:
        stage: ``coarse``, ``context``, ``local`` or ``refined``.
        height: Of every image, in pixels.
        width: Of every image, in pixels.
        images: Per step, over all devices.
        micro_batch: Patches, in the coarse and the context stage thumbnails, at once.
        device: Where the network trains.
        precision: In which numbers it computes.
        device_bytes: The most that tensors take at once on one device: weights, frozen ones too,
            gradients, the optimiser's state, activations, shared maps. What libraries take within
            one operation, and what a GPU's driver takes, is not in it.
        multiply_adds: Of convolutions and matrix products, forwards and backwards, of the whole
            step, over all devices.
    """

    stage: str
    height: int
    width: int
    images: int
    micro_batch: int
    device: str
    precision: str
    device_bytes: int
    multiply_adds: int

    def __repr__(self) -> str:
        told = ", ".join(f"{name} {words}" for name, words in self._facts())
        return f"StepEstimate({told})"

    def _repr_html_(self) -> str:
        return facts("Estimate of a training step", self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("stage", self.stage),
            ("image", f"{self.height}x{self.width}"),
            ("images", str(self.images)),
            ("at once", str(self.micro_batch)),
            ("on", f"{self.device} in {self.precision}"),
            ("device memory", in_binary_units(self.device_bytes)),
            ("GMAC", f"{self.multiply_adds / 1e9:,.0f}"),
        ]

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def estimate_steps(
    config: TrainingConfig,
    classes: int,
    bands: int,
    size: Size,
    device: str,
    precision: Precision,
) -> list[StepEstimate]:
    """Estimate a step of every stage of a configuration.

    No file is opened: a stage that ``start_from`` has done is estimated too. A coarse-to-fine run
    looks at boxes of images, whose size is not known: the largest are taken, the images themselves.

    Args:
        config: Its ``run.device`` and ``run.precision`` are not looked at.
        classes: How many there are.
        bands: Of the images.
        size: Of the images.
        device: ``cpu`` or ``cuda``; need not be here.
        precision: In which numbers the network computes.

    Raises:
        ConfigurationError: If the configuration asks for what cannot be, there can be no such
            images, or they are too small to train.
    """
    _check_numbers(classes, bands)
    model_config(config, tuple(ClassInfo(f"class {k}", (k, 0, 0)) for k in range(classes)))
    _check(config, size, precision)
    is_coarse_to_fine = config.coarse_to_fine is not None
    network = build_glnet(
        config.architecture, bands, classes, is_coarse_to_fine=is_coarse_to_fine
    ).to(META)
    objective = objective_of(config, torch.ones(classes, dtype=torch.int64))
    image = ContentlessImage(config.framing, classes, bands)
    found = []
    for name, stage, step in steps_of(config, network, objective):
        feeds = contentless_feeds(config, name, stage, image, size)
        tasks = feeds.training.plan.tasks(0, 0)
        images = sum(len(task.looks) for task in tasks if task.opens)
        run = _Run(
            StageModule(step, stage, config.run, feeds),
            Portions([image] * stage.images, has_thumbnails=network.context is not None),
            shortened(tasks),
        )
        peak, multiply_adds = _taken(run, device)
        found.append(
            StepEstimate(
                stage=name,
                height=size.height,
                width=size.width,
                images=stage.images,
                micro_batch=stage.micro_batch,
                device=device,
                precision=precision,
                device_bytes=peak,
                multiply_adds=multiply_adds * stage.images // images,
            )
        )
    return found


def _check_numbers(classes: int, bands: int) -> None:
    if not 2 <= classes <= IGNORE_INDEX:
        raise ConfigurationError(f"a model has 2 to {IGNORE_INDEX} classes, got {classes}")
    if bands < 1:
        raise ConfigurationError(f"images have at least 1 band, got {bands}")


def _check(config: TrainingConfig, size: Size, precision: Precision) -> None:
    check_framing(config.framing)
    least = LEAST_SIDE * config.framing.reduction
    if min(size.height, size.width) <= least:
        raise ConfigurationError(f"training needs images with sides over {least} px, got {size}")
    if precision != "float32":
        raise ConfigurationError(
            f"training is estimated in float32 only, got {precision}; add --precision float32"
        )


class Sample(NamedTuple):
    """A task that is run.

    Attributes:
        task: What it is.
        times: How many tasks of the step it stands for, itself included.
    """

    task: Task
    times: int


def shortened(tasks: Sequence[Task]) -> list[Sample]:
    """A step's tasks, at most two of those that are alike and follow each other.

    Of images that are alike there are two as well. What is merged is what is left to merge.
    """
    images: list[list[Task]] = []
    for task in tasks:
        images += [[]] if task.opens else []
        images[-1].append(task)
    return [
        Sample(task, times * times_of_image)
        for image, times_of_image in _two_of(images, _work)
        for task, times in _merging_only_these(list(_two_of(image, _kind)))
    ]


def _two_of(items: Sequence[T], key: Callable[[T], Hashable]) -> Iterator[tuple[T, int]]:
    """At most two of those that are alike and follow each other, and for how many each stands."""
    for _, group in groupby(items, key):
        first, *others = group
        yield first, 1
        if others:
            yield others[0], len(others)


def _work(image: list[Task]) -> Hashable:
    return tuple((task.purpose, len(task.places), len(task.looks)) for task in image)


def _kind(task: Task) -> Hashable:
    """What tasks of an image that are alike have in common; those that keep maps are all run."""
    kept = task.purpose == "merge" and task.keeps and set(task.places) & set(task.look.learn)
    return task.purpose, len(task.places), task.opens, task.closes, frozenset(kept or ())


def _merging_only_these(tasks: list[tuple[Task, int]]) -> Iterator[tuple[Task, int]]:
    merge = tuple(place for task, _ in tasks if task.purpose == "merge" for place in task.places)
    for task, times in tasks:
        looks = tuple(replace(look, merge=merge) for look in task.looks)
        yield replace(task, looks=looks), times


class _Run(NamedTuple):
    """A stage's module, and what it is fed."""

    module: StageModule
    portions: Portions
    samples: Sequence[Sample]

    def one_image(self) -> "_Run":
        """The same without all that follows the first image, or the first thumbnails at once."""
        ends = next(k for k, (task, _) in enumerate(self.samples, start=1) if task.closes)
        return self._replace(samples=self.samples[:ends])


def _taken(run: _Run, device: str) -> tuple[int, int]:
    """The peak of tensors, weights included, and the multiply-adds of a device's step."""
    forget_bilinear_steps()
    module = run.module.to(META)
    module.hold()
    optimizer = module.configure_optimizers()["optimizer"]
    for group in optimizer.param_groups:
        # What torch takes by itself on a GPU: quicker, at the cost of another copy of the weights.
        group["foreach"] = torch.device(device).type == "cuda"
    weights = sum(_bytes(of) for of in (*module.network.parameters(), *module.network.buffers()))
    with (
        uncollected(),
        Unknowing(),  # type: ignore[no-untyped-call]
        FlopCounterMode(display=False) as counter,
        LiveBytes(META.type) as live,  # the inner one: the other takes operations to pieces
    ):
        # One image is enough to leave the optimiser's state behind.
        module.move(_Counted(run.one_image(), counter), optimizer, Descent())
        whole = _Counted(run, counter)
        module.move(whole, optimizer, Descent())
    module.network.zero_grad()
    return weights + live.peak, whole.flops // 2


def _bytes(of: Tensor) -> int:
    return of.numel() * of.element_size()


class _Counted:
    """The portions of a step, and the operations of all that they stand for."""

    def __init__(self, run: _Run, counter: FlopCounterMode) -> None:
        self._run = run
        self._counter = counter
        self.flops = 0

    def __iter__(self) -> Iterator[Portion]:
        for task, times in self._run.samples:
            before = self._counter.get_total_flops()
            yield self._run.portions[task].to(META)
            self.flops += times * (self._counter.get_total_flops() - before)
