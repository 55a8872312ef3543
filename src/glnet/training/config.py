"""What a training run is told: data, model, losses, stages. Checked when built.

Defaults are the paper's (section 4.1) unless their comment says otherwise; where the published
code differs, its value is named.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from glnet.data import DatasetKind
from glnet.errors import ConfigurationError
from glnet.model.config import Architecture, Boxes, CoarseToFine, Framing
from glnet.training.choices import (
    BatchStatistics,
    ClassWeights,
    NormalizationRule,
    Placement,
    Regularization,
    Schedule,
    Start,
    Strategy,
    Weights,
)
from glnet.training.following.logger_config import logger_configs


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which labelled images.

    Attributes:
        folder: Holds ``images/`` and ``masks/``, or a benchmark as it is downloaded.
        dataset: Which of them.
        description: The dataset's description; ``dataset.yaml`` in the folder by default. A path
            that is not there is looked for beside the configuration file.
        train: Name of the split that trains.
        validation: Name of the split that is looked at meanwhile.
        cache_mib: Decoded images are kept in memory up to this many MiB, by all workers together.
        workers: Processes that read ahead; 0 reads in the main process.
        flips: Mirror images at random (as the published code).
        quarter_turns: Turn them by multiples of 90 degrees at random (as the published code).
        photometric: Change contrast and brightness at random by up to this share of the bands'
            deviation, in all bands alike.
        foreground: Share of the patches that must show another class than the first.

    Raises:
        ConfigurationError: If a number is out of range.
    """

    folder: str
    dataset: DatasetKind = "folder"
    description: str | None = None
    train: str = "train"
    validation: str = "validation"
    cache_mib: int = 1024
    workers: int = 0
    flips: bool = True
    quarter_turns: bool = True
    photometric: float = 0.0
    foreground: float = 0.0

    def __post_init__(self) -> None:
        _at_least(0, "data.", cache_mib=self.cache_mib, workers=self.workers)
        _within(0, 1, "data.", photometric=self.photometric, foreground=self.foreground)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The paper's loss: focal on the main and the auxiliary answers, plus regularisation.

    Attributes:
        gamma: Of the focal loss (published code: 3).
        auxiliary: Weight of the branches' own losses beside the aggregated one.
        regularization: Weight of the distance between the local and global fused maps.
        regularization_norm: Which distance.
        class_weights: How much the pixels of each class count.

    Raises:
        ConfigurationError: If a number is negative.
    """

    gamma: float = 6.0
    auxiliary: float = 1.0
    regularization: float = 0.15
    regularization_norm: Regularization = "euclidean"
    class_weights: ClassWeights = "none"

    def __post_init__(self) -> None:
        if not isinstance(self.class_weights, str):
            for number, weight in enumerate(self.class_weights):
                _at_least(0, "loss.", **{f"class_weights[{number}]": weight})
        _at_least(
            0,
            "loss.",
            gamma=self.gamma,
            auxiliary=self.auxiliary,
            regularization=self.regularization,
        )


@dataclass(frozen=True, kw_only=True)
class StageConfig:
    """How one stage trains.

    Attributes:
        epochs: How often every training image is seen; 0 leaves the stage out.
        learning_rate: Of Adam at the start.
        images: Images per optimiser step, over all devices.
        patches: Patches per image and step (stages that see patches); 0 takes the whole grid.
        micro_batch: Patches, in the coarse and the context stage thumbnails, that run at once with
            a graph: the memory of a step grows with these alone. The paper's mini-batch is 6.
        start: Where the branch's weights start.

    Raises:
        ConfigurationError: If a number is out of range.
    """

    epochs: int
    learning_rate: float
    images: int = 6
    patches: int = 6
    micro_batch: int = 6
    start: Start = "context"

    def __post_init__(self) -> None:
        _at_least(0, "stages.*.", epochs=self.epochs, patches=self.patches)
        _at_least(1, "stages.*.", images=self.images, micro_batch=self.micro_batch)
        if not self.learning_rate > 0:
            raise ConfigurationError(
                f"stages.*.learning_rate must be positive, got {self.learning_rate}"
            )


@dataclass(frozen=True, kw_only=True)
class StagesConfig:
    """The stages, named after the branch that trains (epochs: published code).

    Attributes:
        coarse: The branch that draws boxes; only with ``coarse_to_fine``. Its epochs are those of
            the context stage: the published code has no such branch.
        context: The global branch alone. Starts at the coarse branch's weights where there is one.
        local: The local branch and the aggregation layer, hearing the frozen context branch.
        refined: The global branch that hears the frozen local branch, and the aggregation layer.
    """

    coarse: StageConfig = field(
        default_factory=lambda: StageConfig(epochs=120, learning_rate=1e-4, start="fresh")
    )
    context: StageConfig = field(
        default_factory=lambda: StageConfig(epochs=120, learning_rate=1e-4, start="coarse")
    )
    local: StageConfig = field(
        default_factory=lambda: StageConfig(epochs=50, learning_rate=2e-5, start="fresh")
    )
    refined: StageConfig = field(
        default_factory=lambda: StageConfig(epochs=120, learning_rate=1e-4)
    )


@dataclass(frozen=True, kw_only=True)
class CoarseToFineTraining:
    """Coarse-to-fine segmentation (section 3.3), and which boxes train.

    Every stage after the coarse one looks at boxes of images instead of whole images. The paper
    does not say which boxes train: those of the truth are right, those that the coarse branch
    predicts are what will come in prediction.

    Attributes:
        boxes: ``one`` around all foreground (the paper), or one around ``each`` component.
        ratio: How many pixels of foreground come, at most, on one of background in a box that is
            relaxed (footnote 1: about 1).
        margin: How much farther a box reaches at least on every side, as a share of its height or
            width.
        threshold: How probable foreground must be to be taken for it.
        truth: Share of looks that take a box of the ground truth; the others take one that the
            coarse branch predicts.
        jitter: Each side of a box moves at random by up to this share of the box's height or width.

    Raises:
        ConfigurationError: If a number is out of range.
    """

    boxes: Boxes = "one"
    ratio: float = 1.0
    margin: float = 0.1
    threshold: float = 0.5
    truth: float = 0.5
    jitter: float = 0.1

    def __post_init__(self) -> None:
        _within(0, 1, "coarse_to_fine.", truth=self.truth, jitter=self.jitter)
        _ = self.rule  # which checks the rest

    @property
    def rule(self) -> CoarseToFine:
        """What prediction needs of it."""
        return CoarseToFine(
            boxes=self.boxes, ratio=self.ratio, margin=self.margin, threshold=self.threshold
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """How the machine is used.

    Attributes:
        seed: Of weights, order, augmentation.
        device: ``auto``, ``cpu`` or ``cuda``.
        devices: Processes per machine, one per device; each step's images are dealt out to them.
            With one device on one machine, torchrun or SLURM decides if it has started the command.
        num_nodes: Machines; the command is started on each of them, by torchrun or SLURM.
        strategy: How they work together.
        timeout_s: After so many seconds without an answer a process is taken for lost. More than
            the first process takes for its pictures.
        precision: Lightning's name, such as ``32-true`` or ``bf16-mixed``; ``auto`` is mixed where
            the device computes in half precision by itself.
        patch_batch: Patches that run at once where no gradient is needed.
        pretrained: Start backbones from timm's weights (needs the network once).
        weight_decay: Of Adam (published code: 5e-4).
        schedule: Of the learning rate.
        placement: Where patches of the local stage lie.
        normalization: Where the bands' mean and deviation come from.
        batch_statistics: By what batch normalisation divides in the branch that trains.
        validate_every: Epochs between looks at the validation split; the last epoch is looked at
            in any case.
        weights: Which weights of a stage are kept.
        checkpoint_minutes: A checkpoint is written when an epoch ends and this long after the
            one before, and when a stage ends.

    Raises:
        ConfigurationError: If a number is out of range.
    """

    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: Strategy = "ddp"
    timeout_s: float = 1800.0
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "32-true"
    patch_batch: int = 4
    pretrained: bool = False
    weight_decay: float = 0.0
    schedule: Schedule = "polynomial"
    placement: Placement = "grid"
    normalization: NormalizationRule = "data"
    batch_statistics: BatchStatistics = "micro_batch"
    validate_every: int = 5
    weights: Weights = "last"
    checkpoint_minutes: float = 2.0

    def __post_init__(self) -> None:
        _at_least(1, "run.", patch_batch=self.patch_batch, validate_every=self.validate_every)
        _at_least(1, "run.", devices=self.devices, num_nodes=self.num_nodes)
        _at_least(0, "run.", weight_decay=self.weight_decay, seed=self.seed)
        _at_least(0, "run.", checkpoint_minutes=self.checkpoint_minutes)
        _at_least(1, "run.", timeout_s=self.timeout_s)


@dataclass(frozen=True, kw_only=True)
class FollowConfig:
    """How a run is followed, beside its progress and its own files.

    Attributes:
        tensorboard: Whether TensorBoard's files are written.
        loggers: Other Lightning loggers: mappings of ``class_path`` and ``init_args``.
        pictures: How many validation images are drawn with the answers, the first ones; and how
            many of the worst and of the best the report shows in the end.
        picture_stems: Which ones instead.
        pictures_every: Epochs between pictures, each of which costs a prediction; also drawn when
            a stage ends. 0 draws none.

    Raises:
        ConfigurationError: If a number is negative, or a logger is no such mapping.
    """

    tensorboard: bool = True
    loggers: list[dict[str, Any]] = field(default_factory=list)
    pictures: int = 2
    picture_stems: list[str] = field(default_factory=list)
    pictures_every: float = 20.0

    def __post_init__(self) -> None:
        _at_least(0, "follow.", pictures=self.pictures, pictures_every=self.pictures_every)
        logger_configs(self.loggers)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """A whole run.

    Attributes:
        data: Which labelled images.
        output: Folder of the run; must not exist, or be empty, or hold the run that is resumed.
        start_from: A model whose stages are done, such as another run's ``stages/context``.
        architecture: The network's parts.
        framing: How the network looks at a raster.
        coarse_to_fine: Whether, and how, only boxes around foreground are refined.
        loss: What is minimised.
        stages: How every stage trains.
        run: How the machine is used.
        follow: What is written down meanwhile.
    """

    data: DataConfig
    output: str
    start_from: str | None = None
    architecture: Architecture = field(default_factory=Architecture)
    framing: Framing = field(default_factory=Framing)
    coarse_to_fine: CoarseToFineTraining | None = None
    loss: LossConfig = field(default_factory=LossConfig)
    stages: StagesConfig = field(default_factory=StagesConfig)
    run: RunConfig = field(default_factory=RunConfig)
    follow: FollowConfig = field(default_factory=FollowConfig)


def _at_least(least: float, where: str, **values: float) -> None:
    for name, value in values.items():
        if not value >= least:  # NaN is refused too
            raise ConfigurationError(f"{where}{name} must be at least {least}, got {value}")


def _within(least: float, most: float, where: str, **values: float) -> None:
    for name, value in values.items():
        if not least <= value <= most:
            raise ConfigurationError(f"{where}{name} must be {least} to {most}, got {value}")
