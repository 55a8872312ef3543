"""From a configuration to what trains: images, a fresh model, the stages with their data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, get_worker_info

from glnet.data import DatasetDescription, SegmentationFolder
from glnet.errors import ConfigurationError, DatasetError
from glnet.geometry import Size
from glnet.inference.machine import chosen_device
from glnet.model.checkpoint import Model, new_model
from glnet.model.config import Framing, ModelConfig, Normalization, TrainingExtent
from glnet.model.glnet import GLNet
from glnet.raster import Raster, open_raster, thumbnail
from glnet.training.checking import check_framing, check_image, check_splits
from glnet.training.config import NormalizationRule, Placement, StageConfig, TrainingConfig
from glnet.training.progress import Steps, unseen
from glnet.training.samples import (
    Choice,
    LabelledImage,
    Look,
    PatchSamples,
    PixelCache,
    ThumbnailSamples,
)
from glnet.training.starting import start_aggregation, start_local, start_refined
from glnet.training.steps import (
    ContextStep,
    LocalStep,
    RefinedStep,
    Step,
)

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of 8-bit RGB: timm's usual 0.485, 0.456, 0.406 and 0.229, 0.224, 0.225 times 255."""

CONSTANT = 1e-6
"""A deviation below this share of the mean is rounding, not contrast."""

VALIDATION_PATCHES = 12
"""How many patches of every validation image are looked at between epochs."""


@dataclass(frozen=True)
class Stage:
    """A stage of a run: its name, its step, its data."""

    name: str
    config: StageConfig
    step: Step
    training: DataLoader[Any]
    validation: DataLoader[Any]


class Run:
    """A run's parts, made from its configuration.

    Args:
        config: All of it.
        folder: The labelled images.
        steps: Told while they are read for the first time.

    Raises:
        ConfigurationError: If the configuration asks for what cannot be.
        DatasetError: If the images are not as described.
        RasterError: If an image cannot be read.
    """

    def __init__(
        self, config: TrainingConfig, folder: SegmentationFolder, steps: Steps = unseen
    ) -> None:
        self.config = config
        chosen_device(config.run.device)
        check_framing(config.framing)
        lightning.seed_everything(config.run.seed, verbose=False)
        training = folder.split(config.data.train)
        validation = folder.split(config.data.validation)
        check_splits(folder, (config.data.train, config.data.validation), config.framing, steps)
        normalization, extent = look_at(
            [sample.image for sample in training], config.framing, config.run.normalization
        )
        self.model = _model_to_train(
            ModelConfig(
                classes=folder.description.classes,
                architecture=config.architecture,
                framing=config.framing,
                normalization=normalization,
                training_extent=extent,
            ),
            pretrained=config.run.pretrained,
        )
        cache = PixelCache(config.data.cache_mib * 2**20)

        def images(samples: Sequence[Any], described: DatasetDescription) -> list[LabelledImage]:
            return [
                LabelledImage(sample, described, config.framing, normalization, cache)
                for sample in samples
            ]

        self.training = images(training, folder.description)
        self.validation = images(validation, folder.description)

    @property
    def network(self) -> GLNet:
        """What is trained."""
        return self.model.network

    def stages(self) -> list[Stage]:
        """The stages that this architecture and configuration have, in order."""
        config, stages = self.config, []
        if self.network.context is not None and config.stages.context.epochs:
            stages.append(self._context_stage())
        if self.network.local is not None and config.stages.local.epochs:
            step = LocalStep(self.network, config.framing.sampling, config.loss)
            placement = config.run.placement
            stages.append(self._patch_stage("local", config.stages.local, step, placement))
        if self.network.refined is not None and config.stages.refined.epochs:
            refined = RefinedStep(
                self.network, config.framing.sampling, config.loss, config.run.patch_batch
            )
            stages.append(self._patch_stage("refined", config.stages.refined, refined, "grid"))
        if not stages:
            raise ConfigurationError("no stage to train: every stage has 0 epochs")
        return stages

    def start(self, stage: Stage) -> None:
        """Give the stage's branch its first weights."""
        from_context = stage.config.start == "context"
        if stage.name == "local":
            if from_context:
                start_local(self.network)
            start_aggregation(self.network)
        elif stage.name == "refined" and from_context:
            start_refined(self.network)

    def _context_stage(self) -> Stage:
        data, config = self.config.data, self.config.stages.context
        choice = Choice(flips=data.flips, quarter_turns=data.quarter_turns)
        training = ThumbnailSamples(self.training, choice, self.config.run.seed)
        validation = ThumbnailSamples(self.validation, Choice(), 0)
        return Stage(
            "context",
            config,
            ContextStep(self.network, self.config.loss),
            self._loader(training, config.images, shuffle=True),
            self._loader(validation, config.images),
        )

    def _patch_stage(
        self, name: str, config: StageConfig, step: Step, placement: Placement
    ) -> Stage:
        data = self.config.data
        choice = Choice(
            patches=config.patches,
            placement=placement,
            flips=data.flips,
            quarter_turns=data.quarter_turns,
        )
        training = PatchSamples(self.training, choice, self.config.run.seed)
        validation = PatchSamples(
            self.validation, Choice(patches=VALIDATION_PATCHES, repeatable=True), 0
        )
        return Stage(
            name,
            config,
            step,
            self._loader(training, config.images, shuffle=True, collate=_as_list),
            self._loader(validation, 1, collate=_as_list),
        )

    def _loader(
        self,
        samples: Any,  # noqa: ANN401
        batch: int,
        *,
        shuffle: bool = False,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> DataLoader[Any]:
        return DataLoader(
            samples,
            batch_size=batch,
            shuffle=shuffle,
            num_workers=self.config.data.workers,
            collate_fn=collate,
            worker_init_fn=_reseed,
        )


def _model_to_train(config: ModelConfig, *, pretrained: bool) -> Model:
    try:
        return new_model(config, pretrained=pretrained)
    except OSError as error:  # Only what timm fetches or has kept can be missing here.
        raise ConfigurationError(
            f"run.pretrained: the weights of {config.architecture.backbone} cannot be fetched: "
            f"{str(error).rstrip('.')}; connect once, "
            "or set run.pretrained: false to start from fresh weights"
        ) from error


def _reseed(_: int) -> None:
    """Give a reading process luck of its own, new in every epoch; all start as copies of us."""
    worker: Any = get_worker_info()
    worker.dataset.reseed(worker.seed)


def _as_list(looks: list[Look]) -> list[Look]:
    return looks


def as_trained(model: Model, stage: str) -> Model:
    """The model as far as a stage has trained it: what trains later is left out."""
    network, architecture = model.network, model.config.architecture
    if stage == "context":
        network = GLNet(network.context, None, None, None)
        architecture = replace(architecture, branches="global", sharing="none", aggregation=False)
    elif stage == "local" and network.refined is not None:
        network = GLNet(network.context, network.local, None, network.aggregation)
        architecture = replace(architecture, sharing="global_to_local")
    return Model(network, replace(model.config, architecture=architecture))


def look_at(
    images: Sequence[Path], framing: Framing, rule: NormalizationRule
) -> tuple[Normalization, TrainingExtent]:
    """Open every training image once: the bands' statistics, and the range of sizes.

    Raises:
        ConfigurationError: If ImageNet's statistics are asked for images of other than 3 bands.
        DatasetError: If there are no images, their bands differ in number, or one is too small.
        RasterError: If an image cannot be read.
    """
    if not images:
        raise DatasetError("the training split has no images")
    sizes: list[Size] = []
    statistics: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for path in images:
        with open_raster(path) as raster:
            check_image(raster, framing, len(statistics[0][0]) if statistics else raster.bands)
            sizes.append(raster.size)
            statistics.append(_statistics(raster, framing, rule))
    means, squares = (np.mean(of, axis=0) for of in zip(*statistics, strict=True))
    extent = TrainingExtent(
        smallest=min(sizes, key=lambda of: of.area), largest=max(sizes, key=lambda of: of.area)
    )
    return _normalization(means, squares, rule), extent


def _statistics(
    raster: Raster, framing: Framing, rule: NormalizationRule
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and mean square of every band, measured on the thumbnail where they are needed."""
    if rule != "data":
        return np.zeros(raster.bands), np.zeros(raster.bands)
    pixels = thumbnail(raster, framing.thumbnail).astype(np.float64)
    return pixels.mean(axis=(1, 2)), np.square(pixels).mean(axis=(1, 2))


def _normalization(
    means: NDArray[np.float64], squares: NDArray[np.float64], rule: NormalizationRule
) -> Normalization:
    bands = len(means)
    if rule == "published":
        return Normalization((0.0,) * bands, (255.0,) * bands)
    if rule == "imagenet":
        if bands != 3:
            raise ConfigurationError(f"normalization: imagenet needs 3 bands, got {bands}")
        return Normalization(IMAGENET_MEAN, IMAGENET_STD)
    deviations = np.sqrt(np.maximum(squares - np.square(means), 0))
    # A band without any variation says nothing; it only must not divide by zero or by rounding.
    deviations[deviations <= CONSTANT * np.abs(means)] = 1.0
    return Normalization(_rounded(means), _rounded(deviations))


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
