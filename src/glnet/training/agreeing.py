"""Whether the processes of a run, which may be on several machines, see the same."""

import hashlib
import socket
from pathlib import Path

from glnet.errors import DatasetError, OutputError
from glnet.training.config import TrainingConfig
from glnet.training.devices import alike, gathered
from glnet.training.preparation import Setup, Stage
from glnet.training.resuming import CONFIG
from glnet.training.starting import THUMBNAIL_STAGES


def check_alike(setup: Setup) -> None:
    """All processes must have found the same images, with the same labels.

    Raises:
        DatasetError: If one has not; says which one.
    """
    seen = gathered((socket.gethostname(), _fingerprint(setup)))
    (first, wanted), *others = seen
    for number, (host, of) in enumerate(others, start=2):
        if of != wanted:
            raise alike(
                DatasetError(
                    f"process {number} of {len(seen)}, on {host}, sees other images in "
                    f"{setup.config.data.folder} than the first one, on {first}; all need the "
                    "same files there"
                )
            )


def _fingerprint(setup: Setup) -> str:
    """Of the images' names, sizes and classes."""
    found = [
        (name, of.stem, setup.found[of.stem].size, setup.found[of.stem].counts.tolist())
        for name, samples in (("train", setup.training), ("validation", setup.validation))
        for of in samples
    ]
    return hashlib.sha256(repr(found).encode()).hexdigest()


def check_begun(output: Path) -> None:
    """The folder of a run that has begun must be seen by all processes.

    Raises:
        OutputError: If it is not.
    """
    if not (output / CONFIG).is_file():
        raise OutputError(
            f"the run's folder {output.absolute()} is not the first process's here; it must lie "
            "where all machines see it"
        )


def fewer_at_once(stage: Stage, config: TrainingConfig, processes: int) -> str | None:
    """What to know where processes run fewer thumbnails at once than one process would.

    Then batch normalisation divides by the statistics of fewer, which is another training.
    """
    images, at_once = stage.config.images, stage.config.micro_batch
    share = -(-images // processes)
    is_split = processes > 1 and -(-images // at_once) < processes and share < at_once
    by_them = config.run.batch_statistics == "micro_batch" and stage.name in THUMBNAIL_STAGES
    if not (is_split and by_them):
        return None
    return (
        f"stage {stage.name}: {processes} processes share out a step's {images} thumbnails, so "
        f"that batch normalisation sees {share} at once, not {min(images, at_once)}; with "
        f"stages.{stage.name}.micro_batch: {share} one process learns the same"
    )
