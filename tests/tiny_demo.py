"""The demonstration with scenes, epochs and a network small enough for a test."""

from dataclasses import replace
from pathlib import Path

import pytest

from glnet.training.config import TrainingConfig
from tests.training.tiny_run import tiny_config

LARGE_SIDE = 300
"""Over twice the sides of the others."""


def shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the demonstration tiny for the rest of a test."""
    monkeypatch.setattr("glnet.demo.COUNTS", {"train": 2, "validation": 1})
    monkeypatch.setattr("glnet.demo.SCENE_SIDE", 128)
    monkeypatch.setattr("glnet.demo.LARGE_SIDE", LARGE_SIDE)
    monkeypatch.setattr("glnet.demo.demo_config", _tiny)


def _tiny(folder: Path, seed: int) -> TrainingConfig:
    config = tiny_config(folder / "data", folder / "run")
    return replace(config, run=replace(config.run, seed=seed))
