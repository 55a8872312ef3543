"""What a run folder says of its run, kept up to date while it trains."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from glnet.inference.hardware import hardware
from glnet.inference.streaming import Settings
from glnet.training.following.files import write_whole
from glnet.training.following.follower import Followed
from glnet.training.following.history import History, read_history
from glnet.training.following.logger_config import logger_configs
from glnet.training.following.loggers import build_loggers, check_loggers
from glnet.training.following.picture_files import latest_pictures
from glnet.training.following.pictures import FixedImages, fixed_samples
from glnet.training.following.summary import RunFacts, write_summary
from glnet.training.preparation import Setup
from glnet.training.resuming import CONFIG, as_yaml
from glnet.training.starting import STAGES, as_trained

PACKAGES = ("glnet", "torch", "timm", "lightning", "rasterio", "numpy")

FILES = {
    "config.yaml": "the resolved configuration",
    "run.json": "versions, machine, seed, splits",
    "history.csv": "losses, rates, gradient norms, scores, memory, round by round",
    "curves/": "the same as pictures",
    "pictures/": "the answers to some validation images while it learnt",
    "logs/": "TensorBoard",
    "checkpoints/": "per stage, the last moment and the best one",
    "stages/": "the model after every stage",
    "model/": "the model after the last one",
    "report.json": "its scores on the validation split at full resolution",
    "evaluation/": "the same as tables, with the worst and best images",
}


class Diary:
    """Keeps the files by which a run explains itself.

    Args:
        output: The run's folder.
        setup: What trains.
        stages: That train, in order.

    Raises:
        ConfigurationError: If a logger cannot be made, or a picture is wanted of no image.
        OutputError: If the history that is there cannot be read.
    """

    def __init__(self, output: Path, setup: Setup, stages: Sequence[str]) -> None:
        self._output = output
        self._setup = setup
        self._stages = stages
        follow = setup.config.follow
        self._loggers = logger_configs(follow.loggers)
        check_loggers(self._loggers)
        self._history = History(output / "history.csv")
        samples = fixed_samples(setup.validation, follow.picture_stems, follow.pictures)
        self._images = FixedImages(
            samples,
            setup.folder.description,
            output / "pictures",
            as_trained,
            Settings(patch_batch=setup.config.run.patch_batch),
        )

    def begin(self) -> None:
        """Say what is about to run."""
        config, setup = self._setup.config, self._setup
        values = {
            "versions": {name: version(name) for name in PACKAGES},
            "python": platform.python_version(),
            "machine": machine(),
            "hardware": hardware(),
            "seed": config.run.seed,
            "classes": [info.name for info in setup.folder.description.classes],
            "split": {
                config.data.train: [sample.stem for sample in setup.training],
                config.data.validation: [sample.stem for sample in setup.validation],
            },
        }
        write_whole(self._output / "run.json", json.dumps(values, indent=2) + "\n")
        self.explain()

    def followed(self, stage: str, steps_done: int) -> Followed:
        """With what a stage is followed.

        Args:
            stage: Its name.
            steps_done: How many of its steps were done before.
        """
        config = self._setup.config
        return Followed(
            stage=stage,
            model=self._setup.model,
            history=self._history,
            curves=self._output / "curves",
            images=self._images,
            pictures_every=config.follow.pictures_every,
            loggers=build_loggers(
                self._loggers,
                self._output,
                stage,
                tensorboard=config.follow.tensorboard,
                resumed_at=steps_done,
            ),
            configuration=as_yaml(config),
        )

    def explain(self) -> None:
        """Write the summary of what is known so far."""
        explain_scores(self._output, None)


def explain_scores(output: Path, scores: Mapping[str, Any] | None) -> None:
    """Write the summary from the files of the run, and its scores where they are known."""
    run = json.loads((output / "run.json").read_text(encoding="utf-8"))
    history = output / "history.csv"
    facts = RunFacts(
        config=yaml.safe_load((output / CONFIG).read_text(encoding="utf-8")),
        splits={name: len(stems) for name, stems in run["split"].items()},
        classes=run["classes"],
        rounds=read_history(history) if history.exists() else [],
        versions=run["versions"],
        machine=f"{run['machine']}, Python {run['python']}",
        resume=f"glnet train {output / CONFIG} --resume",
        scores=scores,
        curves=sorted((output / "curves").glob("*.png")),
        pictures=latest_pictures(output / "pictures", STAGES),
        files=FILES,
    )
    write_summary(output, facts)


def machine() -> str:
    """The machine in a few words."""
    return f"{platform.system()} {platform.machine()}"
