"""A configuration file and a dataset that a command trains on in a second."""

from dataclasses import asdict
from pathlib import Path

import yaml

from tests.training.tiny_run import tiny_config, write_scenes


def write_data(folder: Path) -> Path:
    return write_scenes(folder / "data").root


def write_config(folder: Path, data: Path, row: str = "bidirectional") -> Path:
    """The file; the run it describes goes to ``folder / "run"``."""
    config = tiny_config(data, folder / "run", row)
    file = folder / "train.yaml"
    file.write_text(yaml.safe_dump(asdict(config)))
    return file
