"""A whole training run: the stages one after another, a model at the end.

The run folder explains itself::

    config.yaml           the resolved configuration
    run.json              versions, seed, split, seconds per stage
    logs/<stage>/         TensorBoard events and metrics.csv
    checkpoints/<stage>/  last.ckpt
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from glnet.data import SegmentationFolder
from glnet.errors import GLNetError, OutputError
from glnet.evaluation.evaluate import evaluate_folder
from glnet.evaluation.report import Evaluation
from glnet.inference.streaming import Settings
from glnet.model.checkpoint import Model, save_model
from glnet.training.config import TrainingConfig
from glnet.training.keeping import WholeCheckpoints
from glnet.training.preparation import Run, Stage, as_trained
from glnet.training.progress import Report, StageProgress, Steps, unseen
from glnet.training.stages import StageModule


@dataclass(frozen=True)
class RunResult:
    """A finished run: the model's folder, and its scores on the validation split."""

    model: Path
    evaluation: Evaluation

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {"model": str(self.model), **self.evaluation.to_dict()}


WORKER = "in DataLoader worker process"
"""Stands in an error that has come from a reading process, before all of its traceback."""

PACKAGES = ("glnet", "torch", "timm", "lightning", "rasterio", "numpy")


def train(config: TrainingConfig, report: Report, steps: Steps = unseen) -> Model:
    """Train all stages and leave the model in ``output/model``.

    Args:
        config: All of it.
        report: Told after every epoch.
        steps: Told after every step, and after every image that is checked before the first.

    Raises:
        ConfigurationError: If the configuration asks for what cannot be.
        DatasetError: If the images are not as described.
        OutputError: If the output folder exists with something in it, or is not writable, or the
            disk is full.
        RasterError: If an image cannot be read.
    """
    folder = SegmentationFolder.open(config.data.folder, config.data.description)
    output = _new_folder(Path(config.output))
    run = Run(config, folder, steps)
    stages = run.stages()
    _write_text(output / "config.yaml", yaml.safe_dump(_plain(config), sort_keys=False))
    seconds: dict[str, float] = {}
    for stage in stages:
        run.start(stage)
        began = time.monotonic()
        _fit(stage, config, output, [StageProgress(stage.name, report, steps)])
        seconds[stage.name] = round(time.monotonic() - began, 1)
        run.network.eval()
        save_model(as_trained(run.model, stage.name), output / "stages" / stage.name)
        _explain(output, config, folder, seconds)
    save_model(run.model, output / "model")
    return run.model


def train_and_evaluate(config: TrainingConfig, report: Report, steps: Steps = unseen) -> RunResult:
    """Train, then evaluate all answers on the validation split at full resolution.

    Raises:
        ConfigurationError, DatasetError, OutputError, RasterError: As `train`.
    """
    train(config, report, steps)
    output = Path(config.output)
    evaluation = evaluate_folder(
        output / "model",
        config.data.folder,
        config.data.validation,
        Settings(device=config.run.device, patch_batch=config.run.patch_batch),
        description=config.data.description,
        report=output / "report.json",
    )
    return RunResult(output / "model", evaluation)


def _fit(stage: Stage, config: TrainingConfig, output: Path, progress: list[StageProgress]) -> None:
    module = StageModule(stage.step, stage.config, config.run)
    logs = output / "logs"
    checkpoints = ModelCheckpoint(output / "checkpoints" / stage.name, filename="last")
    with _quiet(), _interruptible(), _told_where(stage.name, output):
        trainer = lightning.Trainer(
            accelerator={"cuda": "gpu"}.get(config.run.device, config.run.device),
            devices=1,
            precision=config.run.precision,
            max_epochs=stage.config.epochs,
            logger=[TensorBoardLogger(logs, stage.name, ""), CSVLogger(logs, stage.name, "")],
            callbacks=[*progress, checkpoints],
            plugins=[WholeCheckpoints()],
            check_val_every_n_epoch=min(config.run.validate_every, stage.config.epochs),
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, stage.training, stage.validation)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice on workers, batch sizes and log intervals is not for our users."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*treespec.*")
            yield
    finally:
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


@contextmanager
def _told_where(stage: str, output: Path) -> Iterator[None]:
    """Say where loggers, which only know a reason, could not write; drop workers' tracebacks."""
    try:
        yield
    except GLNetError as error:
        if WORKER not in str(error):
            raise
        _, _, reason = str(error).rstrip().splitlines()[-1].partition(": ")
        raise type(error)(reason) from error
    except OSError as error:
        raise OutputError(
            f"stage {stage} cannot go on in {output}: {error}; is there room on the disk?"
        ) from error


def _new_folder(output: Path) -> Path:
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(f"{output} exists and is not empty; choose another output")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the output folder {output}: {error}") from error
    return output


def _explain(
    output: Path, config: TrainingConfig, folder: SegmentationFolder, seconds: dict[str, float]
) -> None:
    names = (config.data.train, config.data.validation)
    values = {
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": platform.processor() or platform.machine(),
        "seed": config.run.seed,
        "split": {name: [sample.stem for sample in folder.split(name)] for name in names},
        "stage_seconds": seconds,
    }
    _write_text(output / "run.json", json.dumps(values, indent=2) + "\n")


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def _plain(config: TrainingConfig) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values
