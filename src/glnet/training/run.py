"""A whole training run: the stages one after another, a model at the end.

The run folder explains itself::

    config.yaml           the resolved configuration
    run.json              versions, seed, split, seconds per stage
    logs/<stage>/         TensorBoard events
    checkpoints/<stage>/  last.ckpt and best.ckpt, to go on from
    stages/<stage>/       the model as far as the stage has trained it
    model/                the model after the last one
    report.json           its scores on the validation split, at full resolution
"""

import json
import logging
import platform
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.loggers import TensorBoardLogger

from glnet.data import SegmentationFolder
from glnet.evaluation.evaluate import evaluate_folder
from glnet.evaluation.report import Evaluation
from glnet.inference.streaming import Settings
from glnet.model.checkpoint import Model, load_model, save_model
from glnet.training.config import TrainingConfig
from glnet.training.devices import SummedGradients, is_first
from glnet.training.keeping import BEST, LAST, Keeper, WholeCheckpoints, read_checkpoint
from glnet.training.preparation import Setup, Stage
from glnet.training.progress import Report, StageProgress, Steps, unseen
from glnet.training.resuming import begin, new_folder, old_folder, write_text
from glnet.training.stages import StageModule
from glnet.training.starting import as_trained
from glnet.training.trouble import explained

Note = Callable[[str], None]
"""Told what a user should know beside the progress, a line at a time."""


def unheard(text: str) -> None:
    """Notes that nobody hears."""


@dataclass(frozen=True)
class RunResult:
    """A finished run: the model's folder, and its scores on the validation split."""

    model: Path
    evaluation: Evaluation

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {"model": str(self.model), **self.evaluation.to_dict()}


@dataclass(frozen=True)
class Watchers:
    """Who hears of a run.

    Attributes:
        report: Told after every epoch.
        steps: Told after every step, and after every image that is checked before the first.
        note: Told what else there is to know.
    """

    report: Report
    steps: Steps = unseen
    note: Note = unheard


PACKAGES = ("glnet", "torch", "timm", "lightning", "rasterio", "numpy")


def train(config: TrainingConfig, watchers: Watchers, *, resume: bool = False) -> Model:
    """Train all stages and leave the model in ``output/model``.

    With several devices every process runs this; the first one writes, the others are silent.

    Args:
        config: All of it.
        watchers: Who hears of it.
        resume: Whether the run in the output folder goes on where it was stopped.

    Raises:
        CheckpointError: If a model or checkpoint to go on from does not load.
        ConfigurationError: If the configuration asks for what cannot be, or is not the one that
            the resumed run began with.
        DatasetError: If the images are not as described.
        OutputError: If the output folder exists with something else in it, or is not writable, or
            the disk is full.
        RasterError: If an image cannot be read.
        TrainingError: If the numbers ran away, memory ran out or a process was lost.
    """
    folder = SegmentationFolder.open(config.data.folder, config.data.description)
    output = _folder(config, resume=resume)
    setup = Setup(config, folder, watchers.steps)
    stages = setup.stages()
    if is_first():
        begin(output, config)
    if setup.absent:
        watchers.note(
            f"no pixel of the training split is {' or '.join(setup.absent)}: "
            "what never occurs cannot be learnt"
        )
    seconds = _seconds_before(output)
    for stage in stages:
        if (output / "stages" / stage.name).is_dir():
            _take_weights(setup, output / "stages" / stage.name)
            watchers.note(f"stage {stage.name} is done already")
            continue
        setup.start(stage)
        began = time.monotonic()
        _fit(stage, config, output, watchers)
        seconds[stage.name] = round(time.monotonic() - began, 1)
        setup.network.eval()
        if is_first():
            trained = as_trained(setup.model, stage.name)
            save_model(trained, output / "stages" / stage.name)
            _explain(output, setup, seconds)
    model = as_trained(setup.model, stages[-1].name)
    if is_first():
        save_model(model, output / "model", overwrite=True)
    return model


def train_and_evaluate(
    config: TrainingConfig, watchers: Watchers, *, resume: bool = False
) -> RunResult | None:
    """Train, then evaluate all answers on the validation split at full resolution.

    Returns:
        The result; None in all processes but the first.

    Raises:
        CheckpointError, ConfigurationError, DatasetError, OutputError, RasterError, TrainingError:
            As `train`.
    """
    train(config, watchers, resume=resume)
    if not is_first():
        return None
    output = Path(config.output)
    evaluation = evaluate_folder(
        output / "model",
        config.data.folder,
        config.data.validation,
        Settings(device=config.run.device, patch_batch=config.run.patch_batch),
        description=config.data.description,
        report=output / "report.json",
        overwrite=resume,
    )
    return RunResult(output / "model", evaluation)


def _folder(config: TrainingConfig, *, resume: bool) -> Path:
    if not is_first():
        return Path(config.output)
    return old_folder(config) if resume else new_folder(config)


def _seconds_before(output: Path) -> dict[str, float]:
    """What the stages took that a resumed run has done already."""
    try:
        told = json.loads((output / "run.json").read_text(encoding="utf-8"))
        return dict(told["stage_seconds"])
    except (OSError, ValueError, KeyError, TypeError):  # Then it is not known.
        return {}


def _take_weights(setup: Setup, folder: Path) -> None:
    """Go on from a stage that is done."""
    setup.network.load_state_dict(load_model(folder).network.state_dict(), strict=False)


def _fit(stage: Stage, config: TrainingConfig, output: Path, watchers: Watchers) -> None:
    module = StageModule(stage.step, stage.config, config.run, stage.feeds)
    checkpoints = output / "checkpoints" / stage.name
    with (
        _quiet(),
        _interruptible(),
        explained(stage.name, config, stage.config),
        closing(stage.feeds.training),
        closing(stage.feeds.validation),
    ):
        trainer = lightning.Trainer(
            accelerator={"cuda": "gpu"}.get(config.run.device, config.run.device),
            devices=config.run.devices,
            num_nodes=config.run.num_nodes,
            strategy=_strategy(config),
            precision=config.run.precision,
            max_epochs=stage.config.epochs,
            logger=TensorBoardLogger(output / "logs", stage.name, ""),
            callbacks=[
                StageProgress(stage.name, watchers.report, watchers.steps),
                Keeper(checkpoints, config.run.checkpoint_minutes * 60),
            ],
            plugins=[WholeCheckpoints()],
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            use_distributed_sampler=False,
        )
        last = checkpoints / LAST
        trainer.fit(
            module,
            range(stage.feeds.training.plan.steps),
            range(1),
            ckpt_path=last if last.is_file() else None,
            weights_only=True,
        )
        if config.run.weights == "best":
            _load_best(module, checkpoints / BEST)


def _strategy(config: TrainingConfig) -> Any:  # noqa: ANN401 - a name or Lightning's class
    if config.run.devices * config.run.num_nodes == 1:
        return "auto"
    return SummedGradients()


def _load_best(module: StageModule, best: Path) -> None:
    # Where no label was looked at, no epoch is better than the last.
    if best.is_file():
        module.load_state_dict(read_checkpoint(best)["state_dict"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice on workers, batch sizes and log intervals is not for our users."""
    loggers = [logging.getLogger(f"lightning.{of}") for of in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*treespec.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Keep Ctrl-C what it is: Lightning makes it an exit, and deaf to the next one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def _explain(output: Path, setup: Setup, seconds: dict[str, float]) -> None:
    values = {
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
        "seed": setup.config.run.seed,
        "split": {
            setup.config.data.train: [sample.stem for sample in setup.training],
            setup.config.data.validation: [sample.stem for sample in setup.validation],
        },
        "stage_seconds": seconds,
    }
    write_text(output / "run.json", json.dumps(values, indent=2) + "\n")
