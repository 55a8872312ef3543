"""Training and measuring methods, each once; what has been done is kept, and gone on with."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from glnet.data import DatasetKind, LabelledDataset, LabelledSample, open_dataset
from glnet.evaluation.evaluate import Rules, evaluate
from glnet.evaluation.protocols import PROTOCOL_OF_KIND, PROTOCOLS, Protocol
from glnet.geometry import Size
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model, load_model, open_model, save_model
from glnet.model.published import convert_published
from glnet.reproduction.effort import Effort
from glnet.reproduction.measuring import (
    MIB,
    bare_model,
    estimated,
    gpu_memory,
    megapixels_per_s,
    parameters_of,
)
from glnet.reproduction.methods import METHODS, Method
from glnet.reproduction.output import require_output
from glnet.reproduction.paper import PATCH_SIZE
from glnet.reproduction.request import LeftOutError, Request, Result
from glnet.training.config import TrainingConfig
from glnet.training.config_file import read_config
from glnet.training.run import CHECKPOINTS, Watchers, train

RUNS = "runs"
PUBLISHED = ("global_only", "deep", "bidirectional")
"""What one, two and three published checkpoints are."""


@dataclass
class Runs:
    """The trainings of one output folder.

    Args:
        folder: Where they are kept; several tables share it.
        request: What they have in common.
        effort: How much is done.
        note: Told in one line what happens.
        watchers: Told how a training goes.

    Raises:
        ConfigurationError: If the folder holds what another request made, the protocol cannot score
            the classes, or a change is no part of a configuration.
        DatasetError: If the dataset is not as described, or a split has no images.
        OutputError: If the folder cannot be made or written to, or its note of its request is
            damaged.
    """

    folder: Path
    request: Request
    effort: Effort
    note: Callable[[str], None] = lambda _: None
    watchers: Watchers = field(default_factory=Watchers)

    def __post_init__(self) -> None:
        self.folder = self.folder.resolve()
        self.request.require_same(self.folder)
        self.protocol.check([info.name for info in self.dataset.description.classes])
        if not self.request.published:
            self.dataset.split("validation")
        self.configuration(METHODS["global_only"])  # What is wrong with it shows at once.
        require_output(self.folder)

    def begin(self) -> None:
        """Note what the folder is for, just before something is written to it.

        Raises:
            OutputError: If it cannot be written.
        """
        self.request.keep(self.folder)

    @cached_property
    def dataset(self) -> LabelledDataset:
        """The labelled images."""
        kind = self.request.kind
        if self.request.published and kind == "deepglobe":
            # The published networks have the classes in another order.
            kind = "deepglobe-published"
        return open_dataset(self.request.data, kind, self.request.description)

    @property
    def protocol(self) -> Protocol:
        """How answers are scored."""
        return PROTOCOLS[self.request.protocol or PROTOCOL_OF_KIND[self.request.kind]]

    @cached_property
    def training(self) -> Sequence[LabelledSample]:
        """What methods are trained on; nothing where they are published."""
        return () if self.request.published else self.dataset.split("train")

    @cached_property
    def split(self) -> str:
        """The name of the split that is evaluated."""
        return self.request.split or ("test" if "test" in self.dataset.splits else "validation")

    @cached_property
    def samples(self) -> Sequence[LabelledSample]:
        """What methods are evaluated on."""
        found = self.dataset.split(self.split)
        if not self.effort.megapixels:
            return found
        pixels = 0
        chosen: list[LabelledSample] = []
        for sample in found:
            with sample.open_image() as raster:
                pixels += raster.size.area
            if chosen and pixels > self.effort.megapixels * 1e6:
                break
            chosen.append(sample)
        return chosen

    @cached_property
    def largest(self) -> Size:
        """Of the images that are evaluated."""
        sizes = []
        for sample in self.samples:
            with sample.open_image() as raster:
                sizes.append(raster.size)
        return max(sizes, key=lambda size: size.area)

    def configuration(
        self, method: Method, seed: int = 0, side: int | None = None
    ) -> TrainingConfig:
        """How a method is trained.

        Args:
            method: Which.
            seed: Of its training.
            side: Of what enters the network, if not the effort's own; wins over the changes.

        Raises:
            ConfigurationError: If that cannot be.
        """
        start = None
        if method.start is not None:
            start = self.place(METHODS[method.start], seed, side) / "model"
        kind: DatasetKind = self.request.kind
        given = {
            "data.folder": self.request.data,
            "data.dataset": kind,
            "data.description": self.request.description,
            "output": self.place(method, seed, side),
            "start_from": start,
            "run.seed": seed,
        }
        words = [f"--{name}={value}" for name, value in given.items() if value is not None]
        return read_config(None, [*words, *self._changes(method, side)])

    def _changes(self, method: Method, side: int | None) -> list[str]:
        images = max(1, len(self.training))
        ours = self.effort.changes(method, images, self.largest, side)
        last = [] if side is None else self.effort.framing(method, self.largest, side)
        return [*ours, *self.request.changes, *last]

    def place(self, method: Method, seed: int, side: int | None = None) -> Path:
        """The folder of a training; the same for the usual side, whether it is named or not."""
        names = [method.key if of is None else f"{method.key}_{of}px" for of in (None, side)]
        usual, sized = (
            self.folder / RUNS / (of if seed == 0 else f"{of}_seed{seed}") for of in names
        )
        # An earlier version named a folder by its side in any case.
        return usual if not sized.is_dir() and self._is_usual(method, side) else sized

    def _is_usual(self, method: Method, side: int | None) -> bool:
        """Whether a network at a side is the one that tables train."""
        if side is None:
            return True
        own, sized = (
            read_config(None, ["--data.folder=.", "--output=.", *self._changes(method, of)]).framing
            for of in (None, side)
        )
        if method.network != "glnet" and method.sees == "whole":
            return own.thumbnail_size == sized.thumbnail_size
        return own == sized

    def result(self, method: Method, seed: int = 0, side: int | None = None) -> Result:
        """Train and measure a method, or read what was measured before.

        Raises:
            GLNetError: If it cannot be trained or measured.
            LeftOutError: If the request leaves it out.
        """
        if self.request.published and side not in (None, PATCH_SIZE):
            # Of another side it would be the same network, under a label that is not true.
            raise LeftOutError(f"it was published for {PATCH_SIZE} pixels alone, not for {side}")
        folder = self.place(method, seed, side)
        kept = folder.with_name(f"{folder.name}.json")
        if kept.is_file():
            found = Result.read(kept)
            self._require_memory(found.estimated_bytes)
            return found
        model = self.trained(method, seed, side)
        self.note(f"{folder.name}: evaluating")
        device = self.configuration(method, seed, side).run.device
        found = self._measured(method, model, device)
        found.keep(kept)
        return found

    def trained(self, method: Method, seed: int = 0, side: int | None = None) -> Path:
        """The folder of a method's model, which is trained if need be.

        Raises:
            GLNetError: As `result`.
        """
        folder = self.place(method, seed, side)
        model = folder / "model"
        if model.is_dir():
            self._require_memory_of(open_model(model).model)
            return model
        if self.request.published:
            return self._converted(method, model)
        config = self.configuration(method, seed, side)
        classes = len(self.dataset.description.classes)
        self._require_memory_of(bare_model(config, classes))
        if method.start is not None:
            self.trained(METHODS[method.start], seed, side)
        self.note(f"{folder.name}: training")
        # Before the configuration is written there is nothing to go on from.
        resume = (folder / "config.yaml").is_file()
        self.begin()
        train(config, self.watchers, resume=resume, dataset=self.dataset)
        # Several times as large as the model, and nobody goes on from them: `model` is there now.
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        return model

    def _converted(self, method: Method, folder: Path) -> Path:
        """The model of a published method."""
        files = self.request.published
        if method.key not in PUBLISHED:
            raise LeftOutError(
                "no checkpoint of it was published; without --published it is trained"
            )
        stages = PUBLISHED.index(method.key) + 1
        if len(files) < stages:
            raise LeftOutError(f"needs {stages} published checkpoints, got {len(files)}")
        model = convert_published(files[:stages])
        self._require_memory_of(model)
        self.begin()
        save_model(model, folder)
        return folder

    def _require_memory_of(self, model: Model) -> None:
        if self.request.memory is not None:
            self._require_memory(estimated(model, self.largest, counts=False).device_bytes)

    def _require_memory(self, needed: int) -> None:
        limit = self.request.memory
        if limit is not None and needed > limit:
            raise LeftOutError(
                f"takes {needed / MIB:,.0f} MiB for {self.largest} pixels by estimate, "
                f"{limit / MIB:,.0f} MiB are named"
            )

    def _measured(self, method: Method, model: Path, device: str) -> Result:
        settings = Settings(device=device, patch_batch=1 if self.request.memory else 4)
        rules = Rules(self.protocol.name, self.dataset.groups)
        evaluation = evaluate(
            load_model(model), self.samples, self.dataset.description, settings, rules=rules
        )
        part, headline = self.protocol.headline
        figures = evaluation.figures[evaluation.own][part]
        predictor = Predictor(model, settings)
        estimate = estimated(predictor.model, self.largest)
        framing = predictor.model.config.framing
        measured = None if device == "cpu" else gpu_memory(model, self.largest)
        shrunk = max(self.largest.height, self.largest.width) / framing.thumbnail_size
        with self.samples[0].open_image() as raster:
            speed = megapixels_per_s(predictor, raster)
        return Result(
            miou=figures[headline] or 0.0,
            figures=figures,
            parameters=parameters_of(predictor.model),
            multiply_adds=estimate.multiply_adds,
            estimated_bytes=estimate.device_bytes,
            allocated_mib=None if measured is None else measured.allocated,
            process_mib=None if measured is None else measured.process,
            megapixels_per_s=speed,
            downsampling=shrunk if method.sees == "whole" else float(framing.reduction),
            images=evaluation.images,
            per_image={of.stem: of.answers[evaluation.own].score for of in evaluation.per_image},
        )
