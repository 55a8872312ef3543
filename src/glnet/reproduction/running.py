"""Training and measuring methods, each once; what has been done is kept, and gone on with."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from glnet.data import DatasetKind, LabelledDataset, LabelledSample, open_dataset
from glnet.errors import ConfigurationError, DatasetError, TrainingError
from glnet.evaluation.evaluate import Rules, evaluate
from glnet.evaluation.protocols import PROTOCOL_OF_KIND, ProtocolName
from glnet.geometry import Size
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings
from glnet.model.checkpoint import load_model, save_model
from glnet.model.published import convert_published
from glnet.reproduction.effort import Effort
from glnet.reproduction.measuring import (
    MIB,
    bare_model,
    estimated,
    gpu_memory,
    parameters_of,
    seconds_of,
)
from glnet.reproduction.methods import METHODS, Method
from glnet.training.config import TrainingConfig
from glnet.training.config_file import read_config
from glnet.training.following.files import write_whole
from glnet.training.run import Watchers, train

REQUEST = "request.json"
RUNS = "runs"
PUBLISHED = ("global_only", "deep", "bidirectional")
"""What one, two and three published checkpoints are."""


class LeftOutError(TrainingError):
    """A method that the request leaves out: for its memory, or since it was never published."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What all methods of an output folder have in common.

    Attributes:
        data: The dataset's folder.
        kind: What it is.
        description: Of a plain folder.
        split: Whose images are evaluated; None: test where there are such images, else validation.
        quick: Whether little is done.
        seeds: How many times every method is trained; the scores are averaged.
        memory: Bytes that a prediction may take on the device; methods that need more are left
            out.
        protocol: How answers are scored, if not as the dataset's benchmark does.
        published: The published checkpoints, in the order of their stages; if there are any,
            nothing is trained.
        changes: To the training configuration of every method, as typed behind ``glnet train``.

    Raises:
        ConfigurationError: If there are no seeds.
    """

    data: str
    kind: DatasetKind = "folder"
    description: str | None = None
    split: str | None = None
    quick: bool = False
    seeds: int = 1
    memory: int | None = None
    protocol: ProtocolName | None = None
    published: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigurationError(f"seeds must be at least 1, got {self.seeds}")

    def shared(self) -> dict[str, object]:
        """What may not change between calls that share an output folder."""
        values = asdict(self)
        return {
            name: str(Path(of).resolve()) if name in {"data", "description"} and of else of
            for name, of in values.items()
            if name not in {"seeds", "memory"}
        }


@dataclass(frozen=True)
class Result:
    """What a method of one seed reached.

    Attributes:
        miou: In 0..1, of the network's own answer, or by the dataset's benchmark.
        figures: The protocol's other numbers.
        parameters: How many.
        multiply_adds: Of the largest image.
        estimated_bytes: Of a prediction of the largest image, on a GPU.
        allocated_mib: Measured, where there is a GPU.
        process_mib: Measured, where there is a GPU.
        megapixels_per_s: Of one image, from its file to its labels, where it was measured.
        downsampling: By how much the image is shrunk that the network sees; 1 for patches.
        images: How many were evaluated.
        per_image: The score of every image by its stem, in 0..1.
    """

    miou: float
    figures: dict[str, float | None]
    parameters: int
    multiply_adds: int
    estimated_bytes: int
    allocated_mib: float | None
    process_mib: float | None
    megapixels_per_s: float
    downsampling: float
    images: int
    per_image: dict[str, float | None]


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
        ConfigurationError: If the folder holds what another request made.
        DatasetError: If the dataset is not as described, or a split has no images.
    """

    folder: Path
    request: Request
    effort: Effort
    note: Callable[[str], None] = lambda _: None
    watchers: Watchers = field(default_factory=Watchers)

    def __post_init__(self) -> None:
        kept, ours = self.folder / REQUEST, self.request.shared()
        if kept.is_file():
            theirs = json.loads(kept.read_text("utf-8"))
            for name, value in json.loads(json.dumps(ours)).items():
                if theirs.get(name) != value:
                    raise ConfigurationError(
                        f"{self.folder} holds what was made with {name} {theirs.get(name)}, this "
                        f"asks for {value}; choose another --output"
                    )
        if not (self.samples and (self.request.published or self.training)):
            raise DatasetError(f"{self.request.data}: training and evaluation need images")
        self.configuration(METHODS["global_only"])  # What is wrong with it shows at once.
        write_whole(kept, json.dumps(ours, indent=2) + "\n")

    @cached_property
    def dataset(self) -> LabelledDataset:
        """The labelled images."""
        kind = self.request.kind
        if self.request.published and kind == "deepglobe":
            # The published networks have the classes in another order.
            kind = "deepglobe-published"
        return open_dataset(self.request.data, kind, self.request.description)

    @property
    def protocol(self) -> ProtocolName:
        """How answers are scored."""
        return self.request.protocol or PROTOCOL_OF_KIND[self.request.kind]

    @cached_property
    def training(self) -> Sequence[LabelledSample]:
        """What methods are trained on."""
        return self.dataset.split("train")

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
            side: Of what enters the network, if not the effort's own.
        """
        start = None
        if method.start is not None:
            start = self.place(METHODS[method.start], seed, side) / "model"
        given = {
            "data.folder": self.request.data,
            "data.dataset": self.request.kind,
            "data.description": self.request.description,
            "output": self.place(method, seed, side),
            "start_from": start,
            "run.seed": seed,
        }
        words = [f"--{name}={value}" for name, value in given.items() if value is not None]
        ours = self.effort.changes(method, len(self.training), self.largest, side)
        return read_config(None, [*words, *ours, *self.request.changes])

    def place(self, method: Method, seed: int, side: int | None = None) -> Path:
        """The folder of a training."""
        sized = method.key if side is None else f"{method.key}_{side}px"
        return self.folder / RUNS / (sized if seed == 0 else f"{sized}_seed{seed}")

    def result(self, method: Method, seed: int = 0, side: int | None = None) -> Result:
        """Train and measure a method, or read what was measured before.

        Raises:
            GLNetError: If it cannot be trained or measured.
            LeftOutError: If the request leaves it out.
        """
        folder = self.place(method, seed, side)
        kept = folder.with_name(f"{folder.name}.json")
        if kept.is_file():
            return Result(**json.loads(kept.read_text("utf-8")))
        model = self.trained(method, seed, side)
        self.note(f"{folder.name}: evaluating")
        found = self._measured(method, model)
        write_whole(kept, json.dumps(asdict(found), indent=2) + "\n")
        return found

    def trained(self, method: Method, seed: int = 0, side: int | None = None) -> Path:
        """The folder of a method's model, which is trained if need be.

        Raises:
            GLNetError: As `result`.
        """
        folder = self.place(method, seed, side)
        if (folder / "model").is_dir():
            return folder / "model"
        if self.request.published:
            return self._converted(method, folder / "model")
        if method.start is not None:
            self.trained(METHODS[method.start], seed, side)
        config = self.configuration(method, seed, side)
        self._require_memory(config)
        self.note(f"{folder.name}: training")
        # Before the configuration is written there is nothing to go on from.
        resume = (folder / "config.yaml").is_file()
        train(config, self.watchers, resume=resume, dataset=self.dataset)
        return folder / "model"

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
        save_model(convert_published(files[:stages]), folder)
        return folder

    def _require_memory(self, config: TrainingConfig) -> None:
        limit = self.request.memory
        if limit is None:
            return
        classes = len(self.dataset.description.classes)
        needed = estimated(bare_model(config, classes), self.largest, counts=False).device_bytes
        if needed > limit:
            raise LeftOutError(
                f"takes {needed / MIB:,.0f} MiB for {self.largest} pixels by estimate, "
                f"{limit / MIB:,.0f} MiB are named"
            )

    def _measured(self, method: Method, model: Path) -> Result:
        settings = Settings(device="auto", patch_batch=4)
        rules = Rules(self.protocol, self.dataset.groups)
        evaluation = evaluate(
            load_model(model), self.samples, self.dataset.description, settings, rules=rules
        )
        figures = _overall(evaluation.figures[evaluation.own])
        predictor = Predictor(model, settings)
        estimate = estimated(predictor.model, self.largest)
        framing = predictor.model.config.framing
        measured = gpu_memory(model, self.largest, predictor.model.bands)
        shrunk = max(self.largest.height, self.largest.width) / framing.thumbnail_size
        return Result(
            miou=figures.get("mIoU") or evaluation.answers[evaluation.own].mean_iou,
            figures=figures,
            parameters=parameters_of(predictor.model),
            multiply_adds=estimate.multiply_adds,
            estimated_bytes=estimate.device_bytes,
            allocated_mib=None if measured is None else measured.allocated,
            process_mib=None if measured is None else measured.process,
            megapixels_per_s=self._speed(predictor),
            downsampling=shrunk if method.sees == "whole" else float(framing.reduction),
            images=evaluation.images,
            per_image={of.stem: of.answers[evaluation.own].score for of in evaluation.per_image},
        )

    def _speed(self, predictor: Predictor) -> float:
        """Of the first image; the evaluation before it has warmed up what there is to warm up."""
        with self.samples[0].open_image() as raster:
            return raster.size.area / 1e6 / seconds_of(predictor, raster)


def _overall(figures: dict[str, dict[str, float | None]]) -> dict[str, float | None]:
    return dict(next(iter(figures.values()), {}))
