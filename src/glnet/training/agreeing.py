"""Whether the processes of a run, which may be on several machines, see the same."""

import hashlib
import socket
from pathlib import Path

from glnet.errors import DatasetError, OutputError
from glnet.training.devices import alike, gathered
from glnet.training.preparation import Setup
from glnet.training.resuming import CONFIG


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
