"""Where the pictures of the fixed images lie, and which of them is the latest."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PICTURE_NAME = re.compile(r"(?P<stage>.+)-(?P<epoch>\d+(?:\.\d+)?)")


class Standing(NamedTuple):
    """Where a stage stands: its name, the epochs and the optimiser steps that are done."""

    stage: str
    epoch: float
    step: int


def picture_path(folder: Path, stem: str, standing: Standing) -> Path:
    """Where the picture of an image at some point lies."""
    whole, part = divmod(round(standing.epoch * 100), 100)
    epoch = f"{whole:03d}" + (f".{part:02d}" if part else "")
    return folder / stem / f"{standing.stage}-{epoch}.png"


def latest_pictures(folder: Path, stages: Sequence[str]) -> list[Path]:
    """The last picture of every image, in the order of the images' names.

    Args:
        folder: That `FixedImages` draws into; may be missing.
        stages: In the order in which they train; pictures of others are passed over.
    """
    latest = []
    for of in sorted(folder.glob("*/")):
        places = {path: _place(path, stages) for path in of.glob("*.png")}
        known = {path: place for path, place in places.items() if place is not None}
        if known:
            latest.append(max(known, key=lambda path: known[path]))
    return latest


def _place(path: Path, stages: Sequence[str]) -> tuple[int, float] | None:
    """Which stage, and which of its epochs, a picture shows."""
    named = PICTURE_NAME.fullmatch(path.stem)
    if named is None or named["stage"] not in stages:
        return None
    return stages.index(named["stage"]), float(named["epoch"])
