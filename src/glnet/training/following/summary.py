"""``README.md`` of a run folder: what was trained, on what, how it went, how to go on."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from glnet.training.following.files import write_whole
from glnet.training.following.rounds import Round, best_round
from glnet.wording import duration

SUMMARY_FILE = "README.md"

SALIENT = (
    "architecture.backbone",
    "architecture.branches",
    "architecture.sharing",
    "framing.patch_size",
    "framing.thumbnail_size",
    "framing.overlap",
    "framing.reduction",
    "coarse_to_fine.boxes",
    "coarse_to_fine.ratio",
    "coarse_to_fine.truth",
    "coarse_to_fine.jitter",
    "loss.gamma",
    "loss.regularization",
    "run.precision",
    "run.pretrained",
    "run.weight_decay",
    "run.schedule",
)
"""The settings that are shown; all of them are in ``config.yaml``."""

SALIENT_OF_A_STAGE = ("epochs", "learning_rate", "images", "patches")

STAGE_HEAD = (
    "stage",
    "epochs",
    "steps",
    "time",
    "final loss",
    "final mIoU",
    "best mIoU",
    "waiting for data",
    "peak memory",
)

NOTHING = "-"


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a summary says, in plain values.

    Attributes:
        config: The resolved configuration.
        splits: How many images there are, by the name of the split.
        classes: Names, in order.
        rounds: Of all stages, in order.
        versions: By package.
        machine: What it ran on.
        resume: The command that goes on with an interrupted run.
        scores: As `Evaluation.to_dict`; None before the end.
        curves: Pictures in the run folder.
        pictures: Likewise, of the fixed images.
        files: What is where in the run folder, by path; shown as they come.
    """

    config: Mapping[str, Any]
    splits: Mapping[str, int]
    classes: Sequence[str]
    rounds: Sequence[Round]
    versions: Mapping[str, str]
    machine: str
    resume: str
    scores: Mapping[str, Any] | None = None
    curves: Sequence[Path] = ()
    pictures: Sequence[Path] = ()
    files: Mapping[str, str] = field(default_factory=dict)


def write_summary(output: Path, facts: RunFacts) -> Path:
    """Write the summary into the run folder, whatever was there of it before.

    Raises:
        OutputError: If it cannot be written.
    """
    path = output / SUMMARY_FILE
    write_whole(path, summary_text(output, facts))
    return path


def summary_text(output: Path, facts: RunFacts) -> str:
    """The summary as Markdown, with links that hold wherever the run folder is moved to."""
    sections = {
        "Scores": _scores(facts),
        "Stages": _stages(facts.rounds),
        "Curves": _embedded(output, facts.curves),
        "Fixed images": _embedded(output, facts.pictures),
        "Configuration": _configuration(facts.config),
        "Machine": _machine(facts),
        "How to go on": _commands(output, facts),
        "Files": _files(facts.files),
    }
    title = f"# Run {_plain(output.absolute().name)}"
    blocks = [title, _what(facts)]
    for name, text in sections.items():
        if text:
            blocks += [f"## {name}", text]
    return "\n\n".join(blocks) + "\n"


def _what(facts: RunFacts) -> str:
    data, architecture = facts.config.get("data", {}), facts.config.get("architecture", {})
    counts = ", ".join(f"{count} in {_plain(name)}" for name, count in facts.splits.items())
    classes = ", ".join(_plain(name) for name in facts.classes)
    state = "finished" if facts.scores is not None else "not finished (or not evaluated) yet"
    return (
        f"GLNet with {_code(architecture.get('backbone', NOTHING))}, trained by `glnet` "
        f"on {_code(data.get('folder', NOTHING))}: {counts} images; "
        f"{len(facts.classes)} classes: {classes}.\n\nThis run is {state}."
    )


def _scores(facts: RunFacts) -> str:
    if facts.scores is None:
        return ""
    answers: Mapping[str, Any] = facts.scores["answers"]
    rows = [
        ["mIoU", *(_percent(of["mean_iou"]) for of in answers.values())],
        ["accuracy", *(_percent(of["accuracy"]) for of in answers.values())],
    ]
    rows += [
        [_plain(name), *(_percent(of["iou"].get(name)) for of in answers.values())]
        for name in facts.classes
    ]
    split = facts.config.get("data", {}).get("validation", "validation")
    pixels, images = facts.scores["pixels"], facts.scores["images"]
    return (
        f"Percent, on {images} images of {_code(split)} at full resolution "
        f"({pixels:,} labelled pixels). Under mIoU and accuracy stands the IoU of every class; "
        f"`{NOTHING}` where a class does not occur.\n\n"
        + _table(["", *(f"{name} answer" for name in answers)], rows)
    )


def _stages(rounds: Sequence[Round]) -> str:
    stages = {each.stage: [of for of in rounds if of.stage == each.stage] for each in rounds}
    if not stages:
        return ""
    rows = [stage_row(stage, of) for stage, of in stages.items()]
    return (
        "mIoU in percent on patches and thumbnails of the validation split, as looked at during "
        "training. Every round is in [history.csv](history.csv).\n\n" + _table(STAGE_HEAD, rows)
    )


def stage_row(stage: str, rounds: Sequence[Round]) -> list[str]:
    """What a stage came to in words, as `STAGE_HEAD`; of at least one round."""
    last, best = rounds[-1], best_round(rounds)
    looks = [of.validation_miou for of in rounds if of.validation_miou is not None]
    peaks = [of.peak_memory_mib for of in rounds if of.peak_memory_mib is not None]
    reached = "" if best is None else f" (epoch {best.epoch:.4g})"
    waiting = waiting_share(rounds)
    return [
        stage,
        f"{last.epoch:.4g}",
        str(last.step),
        duration(sum(of.seconds for of in rounds)),
        f"{last.loss:.4f}",
        _percent(looks[-1] if looks else None),
        _percent(None if best is None else best.validation_miou) + reached,
        NOTHING if waiting is None else f"{100 * waiting:.0f} %",
        f"{max(peaks):,.0f} MiB" if peaks else NOTHING,
    ]


def waiting_share(rounds: Sequence[Round]) -> float | None:
    """Share of the time that was spent waiting for data, over rounds of unequal length."""
    known = [(of.seconds, of.waiting_share) for of in rounds if of.waiting_share is not None]
    total = sum(seconds for seconds, _ in known)
    return sum(seconds * share for seconds, share in known) / total if total > 0 else None


def _configuration(config: Mapping[str, Any]) -> str:
    known = {key: _looked_up(config, key) for key in SALIENT}
    settings = _table(
        ["setting", "value"],
        [[_code(key), _code(of)] for key, of in known.items() if of is not None],
        "---",
    )
    stages = config.get("stages", {})
    table = _table(
        ["stage", *SALIENT_OF_A_STAGE],
        [
            [name, *(str(of.get(key, NOTHING)) for key in SALIENT_OF_A_STAGE)]
            for name, of in stages.items()
            if of.get("epochs") and (name != "coarse" or config.get("coarse_to_fine"))
        ],
    )
    return f"All settings are in [config.yaml](config.yaml); these stand out:\n\n{settings}" + (
        f"\n\n{table}" if stages else ""
    )


def _machine(facts: RunFacts) -> str:
    versions = ", ".join(f"{name} {of}" for name, of in facts.versions.items())
    seed = _looked_up(facts.config, "run.seed")
    return f"{facts.machine}; {versions}; seed {seed}."


def _commands(output: Path, facts: RunFacts) -> str:
    folder, model = shlex.quote(str(output)), shlex.quote(str(output / "model"))
    lines = [
        "# segment an image",
        f"glnet segment IMAGE.tif --model {model} --output LABELS.tif",
        "",
        "# measure again",
        evaluation_command(output, facts.config),
        "",
        "# one page of all this, to hand on",
        f"glnet report {folder}",
        "",
        "# go on where the run was interrupted",
        facts.resume,
        "",
        "# curves and pictures in the browser",
        f"tensorboard --logdir {folder}/logs",
    ]
    return "\n".join(["```sh", *lines, "```"])


def evaluation_command(output: Path, config: Mapping[str, Any]) -> str:
    """What measures a run's model again on its validation split."""
    data = config.get("data") or {}
    words = ["glnet", "evaluate", str(output / "model"), str(data.get("folder", "DATA"))]
    words += ["--split", str(data.get("validation", "validation"))]
    if data.get("dataset", "folder") != "folder":
        words += ["--dataset", str(data["dataset"])]
    if data.get("description"):
        words += ["--description", str(data["description"])]
    return shlex.join(words)


def _files(files: Mapping[str, str]) -> str:
    return _table(["file", "what it is"], [[_code(path), of] for path, of in files.items()], "---")


def _embedded(output: Path, pictures: Sequence[Path]) -> str:
    """Pictures by links that are relative to the run folder."""
    shown = []
    for path in pictures:
        place = path.relative_to(output) if path.is_relative_to(output) else path
        words = _plain(" ".join(place.with_suffix("").parts[1:] or place.parts))
        shown.append(f"![{words}]({quote(place.as_posix())})")
    return "\n\n".join(shown)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], ruler: str = "---:") -> str:
    """A table whose columns but for the first are numbers; ``---`` as ruler if they are texts."""
    if not rows:
        return ""
    rulers = ["---", *(ruler for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rulers, *rows))


def _percent(share: float | None) -> str:
    return NOTHING if share is None or share != share else f"{100 * share:.1f}"  # noqa: PLR0124


def _looked_up(config: Mapping[str, Any], key: str) -> object:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    for sign in "\\`*_[]<>|#":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _code(value: object) -> str:
    """A value as code, which may stand in a table."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "\\|")
    return f"`{text}`"
