"""What a folder holds of a training or an evaluation: all that is there, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from glnet.errors import OutputError
from glnet.reporting.evaluations import NUMBERS, Evaluated, read_evaluation
from glnet.reporting.parsed import Node, read_text, read_yaml
from glnet.reporting.parsed import read_json as read_facts
from glnet.training.following.history import read_history
from glnet.training.following.rounds import Round

CONFIG, FACTS, HISTORY, MODEL, STAGES, REPORT, EVALUATION = (
    "config.yaml",
    "run.json",
    "history.csv",
    "model",
    "stages",
    "report",
    "evaluation",
)
"""What lies in the folder of a run: ``report`` is a user's own, the others are the training's."""

TEXTS = ("folder", "dataset", "description", "validation")
"""What a configuration says of its images."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training, as far as it has come.

    Attributes:
        config: Its configuration.
        configuration: The same, as it stands in the file.
        facts: Versions, machine, splits; None where it had not come so far.
        rounds: In the order in which they were trained.
        written: When the last of them was written.
        stages_done: Whose models are there.
        has_model: Whether all of them are done.
    """

    config: Node
    configuration: str
    facts: Node | None
    rounds: tuple[Round, ...]
    written: datetime | None
    stages_done: tuple[str, ...]
    has_model: bool

    @property
    def plain(self) -> Mapping[str, Any]:
        """The configuration as plain values."""
        assert isinstance(self.config.value, dict)
        return self.config.value

    @property
    def stages(self) -> dict[str, float]:
        """How many epochs every stage has that trains, in order."""
        is_coarse_to_fine = self.config.get("coarse_to_fine") is not None
        named = self.config.get("stages")
        found = {}
        for name, stage in [] if named is None else named.items():
            epochs = stage.get("epochs")
            number = None if epochs is None else epochs.number()
            if number and (name != "coarse" or is_coarse_to_fine):
                found[name] = number
        return found


@dataclass(frozen=True)
class Findings:
    """What a folder holds.

    Attributes:
        folder: Its path.
        training: If it is that of a run.
        evaluated: If something was evaluated.
    """

    folder: Path
    training: Training | None
    evaluated: Evaluated | None


def read_folder(folder: Path) -> Findings:
    """Read the folder of a run, or of an evaluation.

    Raises:
        OutputError: If it is neither, or a file in it is damaged, naming the file and the line.
    """
    if not folder.is_dir():
        raise OutputError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}; expected the folder of a "
            "training (glnet train), or of a report (glnet evaluate --report)"
        )
    training = _training(folder) if (folder / CONFIG).is_file() else None
    if training is None and not (folder / NUMBERS).is_file():
        raise OutputError(
            f"{folder} holds neither a training ({CONFIG}) nor an evaluation ({NUMBERS}); expected "
            "the output folder of glnet train, or one of glnet evaluate --report"
        )
    return Findings(folder, training, _evaluated(folder, training))


def _training(folder: Path) -> Training:
    config = read_yaml(folder / CONFIG)
    if not isinstance(config.value, dict):
        raise OutputError(f"{folder / CONFIG} is no configuration: expected keys and values")
    if (data := config.get("data")) is not None:
        for key in TEXTS:
            if (named := data.get(key)) is not None:
                named.text()
    history, facts = folder / HISTORY, folder / FACTS
    is_begun = history.is_file()
    written = datetime.fromtimestamp(history.stat().st_mtime, UTC) if is_begun else None
    done = sorted(of.name for of in (folder / STAGES).glob("*/") if not of.name.startswith("."))
    return Training(
        config=config,
        configuration=read_text(folder / CONFIG),
        facts=read_facts(facts) if facts.is_file() else None,
        rounds=tuple(read_history(history)) if is_begun else (),
        written=written,
        stages_done=tuple(done),
        has_model=(folder / MODEL / "config.json").is_file(),
    )


def _evaluated(folder: Path, training: Training | None) -> Evaluated | None:
    """Of a run, what was asked for by name, then the training's own, then its numbers alone."""
    own = [] if training is None else [folder / REPORT, folder / EVALUATION]
    places = [*own, folder]
    found = (place / NUMBERS for place in places)
    return next((read_evaluation(path) for path in found if path.is_file()), None)
