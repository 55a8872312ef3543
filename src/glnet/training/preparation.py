"""From a configuration to what trains: images, a fresh model, the stages with their data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import lightning
import numpy as np
import torch
from numpy.typing import NDArray

from glnet.data import ClassInfo, LabelledDataset, LabelledSample
from glnet.errors import CheckpointError, ConfigurationError
from glnet.geometry import Size
from glnet.inference.coarse import least_box
from glnet.inference.machine import chosen_device
from glnet.model.branch import Branch
from glnet.model.checkpoint import Model, load_model, new_model
from glnet.model.config import ModelConfig, Normalization
from glnet.model.glnet import GLNet, required
from glnet.training.boxes import BoxChoice, BoxDrawing, Drawn
from glnet.training.checking import check_framing, check_splits
from glnet.training.config import StageConfig, TrainingConfig
from glnet.training.devices import agreed, dealt, gathered
from glnet.training.feeding import Feed
from glnet.training.images import LabelledImage, PixelCache
from glnet.training.losses import balanced_weights
from glnet.training.pixel_statistics import look_at
from glnet.training.plan import DrawBox, Plan
from glnet.training.portions import Portions
from glnet.training.progress import Steps, unseen
from glnet.training.stages import Feeds
from glnet.training.starting import (
    THUMBNAIL_STAGES,
    start_aggregation,
    start_branch,
    take_over,
)
from glnet.training.steps import ContextStep, LocalStep, Objective, RefinedStep, Step
from glnet.training.tasks import Choice, Schedule, image_by_image, thumbnails_at_once

VALIDATION_PATCHES = 12
"""How many patches of every validation image are looked at between epochs."""


@dataclass(frozen=True)
class Stage:
    """A stage of a run: its name, its step, its data."""

    name: str
    config: StageConfig
    step: Step
    feeds: Feeds


class Setup:
    """A run's parts, made from its configuration.

    Args:
        config: All of it.
        folder: The labelled images.
        steps: Told while they are read for the first time.

    Raises:
        CheckpointError: If the model to start from does not load.
        ConfigurationError: If the configuration asks for what cannot be.
        DatasetError: If the images are not as described.
        RasterError: If an image cannot be read.
    """

    def __init__(
        self, config: TrainingConfig, folder: LabelledDataset, steps: Steps = unseen
    ) -> None:
        self.config = config
        self.folder = folder
        self._device = torch.device(chosen_device(config.run.device))
        self._steps = steps
        check_framing(config.framing)
        known = model_config(config, folder.description.classes)
        lightning.seed_everything(config.run.seed, verbose=False)
        given = None if config.start_from is None else load_model(config.start_from)
        self.training = folder.split(config.data.train)
        self.validation = folder.split(config.data.validation)
        self.found = check_splits(
            folder, (config.data.train, config.data.validation), config.framing, steps
        )
        normalization, extent = look_at(self.training, config.framing, config.run.normalization)
        self.boxes = self._box_choice(known)
        if self.boxes is not None:
            extent = self.boxes.extent or extent
        self.model = _model_to_train(
            replace(
                known,
                normalization=normalization if given is None else _given(given, normalization),
                training_extent=extent,
            ),
            pretrained=config.run.pretrained and given is None,
        )
        self.given: tuple[str, ...] = () if given is None else take_over(self.model, given)
        # Training and validation have workers of their own.
        readers = max(1, 2 * config.data.workers)
        cache = PixelCache(config.data.cache_mib * 2**20 // readers)
        self._images = {
            sample.stem: LabelledImage(
                sample, folder.description, config.framing, self.model.config.normalization, cache
            )
            for sample in (*self.training, *self.validation)
        }

    @property
    def network(self) -> GLNet:
        """What is trained."""
        return self.model.network

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pixels of every class (K,) in the training split."""
        total: NDArray[np.int64] = np.sum(
            [self.found[sample.stem].counts for sample in self.training], axis=0
        )
        return total

    @property
    def absent(self) -> list[str]:
        """The classes that the training split never shows: they cannot be learnt."""
        classes = self.folder.description.classes
        return [of.name for of, count in zip(classes, self.counts, strict=True) if not count]

    def stages(self) -> list[Stage]:
        """The stages that this architecture and configuration have and that are not given."""
        objective = objective_of(self.config, torch.from_numpy(self.counts))
        return [
            Stage(name, stage, step, self._feeds(name, stage))
            for name, stage, step in steps_of(self.config, self.network, objective, self.given)
        ]

    def start(self, stage: Stage) -> None:
        """Give the stage's branch its first weights, and its looks their boxes.

        Raises:
            RasterError: If an image cannot be read.
        """
        start_branch(self.network, stage.name, stage.config.start)
        if stage.name == "local":
            start_aggregation(self.network)
        if self.boxes is not None and stage.name != "coarse" and not self.boxes.knows_predicted:
            self.boxes.take_predicted(
                self._predicted(required(self.network.coarse, "coarse branch"))
            )

    def _predicted(self, coarse: Branch) -> Drawn:
        """Boxes of all images; each is one process's, so that no two processes differ."""
        drawing = BoxDrawing(self.model.config, self._steps)
        with agreed():
            images = dealt(list(self._images.values()))
            drawn = drawing.around_predicted(coarse, images, self._device)
        return {stem: boxes for part in gathered(drawn) for stem, boxes in part.items()}

    def _box_choice(self, known: ModelConfig) -> BoxChoice | None:
        """What looks choose boxes from, which are drawn around the truth."""
        how = self.config.coarse_to_fine
        if how is None:
            return None
        drawing = BoxDrawing(known, self._steps)
        truth = drawing.around_truth(self.training, self.folder.description)
        return BoxChoice(how, least_box(known), truth)

    def _feeds(self, name: str, stage: StageConfig) -> Feeds:
        """How a stage's images come: in training order, and those that are only looked at."""
        choice = choice_of(self.config, name, stage)
        looked_at = Choice(
            patches=VALIDATION_PATCHES, micro_batch=choice.micro_batch, merged=choice.merged
        )
        seed = f"seed {self.config.run.seed} stage {name}"
        return Feeds(
            self._feed(name, self.training, choice, stage.images, seed),
            self._feed(name, self.validation, looked_at, len(self.validation), None),
            self.folder.description.num_classes,
        )

    def _feed(
        self,
        name: str,
        samples: Sequence[LabelledSample],
        choice: Choice,
        images: int,
        seed: str | None,
    ) -> Feed:
        labelled = [self._images[sample.stem] for sample in samples]
        sizes = [self.found[sample.stem].size for sample in samples]
        plan = Plan(
            sizes,
            self.config.framing,
            choice,
            images,
            schedule_of(name),
            seed,
            foreground=lambda number, box: labelled[number].foreground(box),
            box=self._draw_box(name, [sample.stem for sample in samples], sizes, seed),
        )
        portions = Portions(labelled, has_thumbnails=self.network.context is not None)
        return Feed(plan, portions, self.config.data.workers)

    def _draw_box(
        self, name: str, stems: Sequence[str], sizes: Sequence[Size], seed: str | None
    ) -> DrawBox:
        """Which boxes a stage looks at: by luck in training, the largest one in validation."""
        boxes = self.boxes
        if boxes is None or name == "coarse":
            return lambda *_: None
        if seed is None:
            return lambda number, _: boxes.largest(stems[number])
        return lambda number, rng: boxes.by_luck(stems[number], sizes[number], rng)


def steps_of(
    config: TrainingConfig, network: GLNet, objective: Objective, done: Sequence[str] = ()
) -> list[tuple[str, StageConfig, Step]]:
    """The steps of the stages that a network and a configuration have and that are not done.

    Raises:
        ConfigurationError: If there is none.
    """
    stages, sampling = config.stages, config.framing.sampling
    steps: list[tuple[str, StageConfig, Callable[[], Step]]] = []
    if network.coarse is not None:
        coarse = network.coarse
        steps.append(("coarse", stages.coarse, lambda: ContextStep(network, objective, coarse)))
    if network.context is not None:
        steps.append(("context", stages.context, lambda: ContextStep(network, objective)))
    if network.local is not None:
        steps.append(("local", stages.local, lambda: LocalStep(network, sampling, objective)))
    if network.refined is not None:
        steps.append(("refined", stages.refined, lambda: RefinedStep(network, sampling, objective)))
    trained = [
        (name, stage, step()) for name, stage, step in steps if stage.epochs and name not in done
    ]
    if not trained:
        raise ConfigurationError(
            "no stage to train: every stage has 0 epochs, or is done in start_from"
        )
    return trained


def model_config(config: TrainingConfig, classes: tuple[ClassInfo, ...]) -> ModelConfig:
    """What a run's model will be, as far as that is known before any image is read.

    Raises:
        ConfigurationError: If there can be no such model.
    """
    how = config.coarse_to_fine
    return ModelConfig(
        classes=classes,
        architecture=config.architecture,
        framing=config.framing,
        coarse_to_fine=None if how is None else how.rule,
    )


def objective_of(config: TrainingConfig, counts: torch.Tensor) -> Objective:
    """What is minimised, given the pixels of every class (K,).

    Raises:
        ConfigurationError: If there is not a weight for each of the classes.
    """
    weights = config.loss.class_weights
    if weights == "none":
        return Objective(loss=config.loss)
    values = balanced_weights(counts) if weights == "balanced" else torch.tensor(weights)
    if len(values) != len(counts):
        raise ConfigurationError(
            f"loss.class_weights must list a weight for each of the {len(counts)} classes, "
            f"got {len(values)}"
        )
    return Objective(loss=config.loss, class_weights=values)


def choice_of(config: TrainingConfig, name: str, stage: StageConfig) -> Choice:
    """Which patches of its images a stage trains on, and how these are laid."""
    data = config.data
    return Choice(
        patches=stage.patches,
        # What is merged must cover the image: members of the grid.
        placement="grid" if name == "refined" else config.run.placement,
        flips=data.flips,
        quarter_turns=data.quarter_turns,
        photometric=data.photometric,
        foreground=data.foreground,
        micro_batch=stage.micro_batch,
        merged=config.run.patch_batch if name == "refined" else 0,
    )


def schedule_of(name: str) -> Schedule:
    """How the images of a stage's step become tasks."""
    return thumbnails_at_once if name in THUMBNAIL_STAGES else image_by_image


def _given(model: Model, measured: Normalization) -> Normalization:
    """The normalisation that a model to start from was trained with."""
    if model.bands != measured.bands:
        raise CheckpointError(
            f"start_from takes {model.bands} bands; the images have {measured.bands}"
        )
    return model.config.normalization


def _model_to_train(config: ModelConfig, *, pretrained: bool) -> Model:
    try:
        return new_model(config, pretrained=pretrained)
    except OSError as error:  # Only what timm fetches or has kept can be missing here.
        raise ConfigurationError(
            f"run.pretrained: the weights of {config.architecture.backbone} cannot be fetched: "
            f"{str(error).rstrip('.')}; connect once, "
            "or set run.pretrained: false to start from fresh weights"
        ) from error
