"""The parts of a page, as plain values: a template only arranges them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from glnet.evaluation.report import Evaluation
from glnet.evaluation.tables import TITLES, percent
from glnet.reporting.evaluations import Evaluated
from glnet.reporting.parsed import Node
from glnet.reporting.pictures import MOST_PICTURES, Shown, shown

MIB = 2**20
"""What the paper calls MB."""

MOST_CLASSES = 40
"""A heat map of more cannot be read."""
MOST_MISTAKES = 12

NOTHING, YES = "–", "✓"  # noqa: RUF001 - an en dash is meant.


class Grid(NamedTuple):
    """A table: words in rows under a head; the first ``labels`` columns say what a row is."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    labels: int = 1
    notes: tuple[str, ...] = ()


class Bar(NamedTuple):
    """A value in 0..1, or None, of one answer."""

    answer: str
    series: int
    share: float | None
    words: str


class ClassBars(NamedTuple):
    """The values of one class, and its colour where that is known."""

    name: str
    color: str | None
    bars: tuple[Bar, ...]


class Cell(NamedTuple):
    """A count of pixels and its share of the row."""

    share: float
    words: str
    pixels: str


class Heat(NamedTuple):
    """Which class is taken for which.

    Attributes:
        answer: Whose.
        names: Of the classes; empty where there are too many for a heat map.
        rows: Name, cells and number of pixels of every true class.
        mistakes: The most frequent confusions: truth, answer, share of the truth, pixels.
    """

    answer: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...], str], ...]
    mistakes: Grid


def table_two(
    evaluated: Evaluated, architecture: Node | None, regularization: float | None
) -> Grid:
    """The answers in the form of the paper's Table 2: what took part in each, mIoU and memory.

    Args:
        evaluated: Whose numbers.
        architecture: The network's parts; None where they are not known.
        regularization: The weight of the loss between both branches' maps (Fmreg); None where it is
            not known.
    """
    evaluation = evaluated.evaluation
    memory = _memory(evaluated.about)
    rows = []
    for answer, score in evaluation.answers.items():
        needed = memory.get(answer)
        rows.append(
            (
                _titled(answer, architecture),
                *_marks(answer, architecture, regularization),
                percent(score.mean_iou),
                NOTHING if needed is None else f"{needed / MIB:,.0f}",
            )
        )
    head = ("", "Agg", "Fmreg", "G→L", "G⇌L", "mIoU (%)", "memory (MB)")
    notes = _table_notes(evaluated, memory)
    if any(NOTHING in row[1:5] for row in rows):
        notes.append(f"{NOTHING} under Agg to G⇌L: what is here does not say.")
    return Grid(head, tuple(rows), notes=tuple(notes))


def bars_of(evaluation: Evaluation, colors: Mapping[str, str]) -> tuple[ClassBars, ...]:
    """IoU of every class in every answer."""
    names = list(next(iter(evaluation.answers.values())).iou)
    return tuple(
        ClassBars(
            name,
            colors.get(name),
            tuple(
                Bar(TITLES.get(answer, answer), number, score.iou[name], percent(score.iou[name]))
                for number, (answer, score) in enumerate(evaluation.answers.items())
            ),
        )
        for name in names
    )


def heats_of(evaluation: Evaluation) -> tuple[Heat, ...]:
    """A heat map for every answer, the model's own first."""
    ordered = sorted(evaluation.confusions.items(), key=lambda of: of[0] != evaluation.own)
    names = list(next(iter(evaluation.answers.values())).iou)
    return tuple(_heat(TITLES.get(answer, answer), counts, names) for answer, counts in ordered)


def pictures_of(evaluated: Evaluated) -> tuple[list[Shown], int]:
    """The worst and the best images, and how many are not shown since there are too many."""
    listed = [] if evaluated.about is None else _listed(evaluated.about)
    if not listed:  # Reports of before say only by their files what pictures they have.
        paths = sorted(evaluated.folder.glob("worst_*.png"))
        paths += sorted(evaluated.folder.glob("best_*.png"))
        listed = [(path.stem.replace("_", " "), path.name) for path in paths]
    kept = [of for of in listed if not of[1].startswith("confusion_")]
    return (
        [shown(title, evaluated.folder, name) for title, name in kept[:MOST_PICTURES]],
        max(0, len(kept) - MOST_PICTURES),
    )


def colors_of(about: Node | None) -> dict[str, str]:
    """The classes' colours by name, as far as they are known."""
    configuration = None if about is None else about.get("configuration")
    classes = None if configuration is None else configuration.get("classes")
    found = {}
    for of in [] if classes is None else classes.elements():
        color = of.at("color").text()
        if (
            len(color) == 7
            and color[0] == "#"
            and set(color[1:].lower()) <= set("0123456789abcdef")
        ):
            found[of.at("name").text()] = color
    return found


def _listed(about: Node) -> list[tuple[str, str]]:
    pictures = about.get("pictures")
    found = [] if pictures is None else pictures.elements()
    return [(of.at("title").text(), of.at("file").text()) for of in found]


def _memory(about: Node | None) -> dict[str, float]:
    node = None if about is None else about.get("memory")
    known = {} if node is None else {name: of.number() for name, of in node.items()}
    return {name: of for name, of in known.items() if of is not None}


def _table_notes(evaluated: Evaluated, memory: Mapping[str, float]) -> list[str]:
    about = evaluated.about
    largest = None if about is None else about.get("largest")
    notes = []
    if memory and largest is not None:
        notes.append(
            f"Memory is that of predicting an image of {largest.words()} pixels, the largest, on a "
            "GPU with one patch at a time, by estimate; MB are 2^20 bytes, as in the paper."
        )
    else:
        notes.append("Memory was not kept by the glnet that evaluated this; evaluate again.")
    notes.append(
        "Rows are the answers of one network, trained together. The paper's rows are networks of "
        "their own: glnet reproduce table2 trains each."
    )
    return notes


def _titled(answer: str, architecture: Node | None) -> str:
    network = None if architecture is None else architecture.get("network")
    if network is not None and network.value != "glnet":
        return f"{network.words()}, {TITLES.get(answer, answer)}"
    return TITLES.get(answer, answer)


def _marks(
    answer: str, architecture: Node | None, regularization: float | None
) -> tuple[str, str, str, str]:
    """What took part in an answer: aggregation, the loss between maps, what was heard."""
    if architecture is None:
        return (YES if answer == "aggregated" else "", NOTHING, NOTHING, NOTHING)
    parts = {name: of.words() for name, of in architecture.items()}
    depth, sharing = parts.get("sharing_depth", ""), parts.get("sharing")
    hears_both = sharing == "bidirectional" and answer in {"global", "aggregated"}
    hears_global = sharing != "none" and answer in {"local", "aggregated"} and not hears_both
    fmreg = ""
    if answer in {"local", "aggregated"} and parts.get("branches") == "both":
        fmreg = NOTHING if regularization is None else YES if regularization > 0 else ""
    return (
        YES if answer == "aggregated" else "",
        fmreg,
        depth if hears_global else "",
        depth if hears_both else "",
    )


def _heat(answer: str, counts: Sequence[Sequence[int]], names: Sequence[str]) -> Heat:
    rows = [*names, "ignored"] if sum(counts[-1]) else list(names)
    is_readable = len(names) <= MOST_CLASSES
    return Heat(
        answer,
        tuple(names) if is_readable else (),
        tuple(_heat_row(name, counts[k]) for k, name in enumerate(rows)) if is_readable else (),
        _mistakes(counts, names),
    )


def _heat_row(name: str, counts: Sequence[int]) -> tuple[str, tuple[Cell, ...], str]:
    pixels = sum(counts)
    cells = (
        Cell(
            of / pixels if pixels else 0.0, f"{100 * of / pixels:.1f}" if pixels else "-", f"{of:,}"
        )
        for of in counts
    )
    return name, tuple(cells), f"{pixels:,}"


def _mistakes(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Grid:
    """The confusions of most pixels."""
    found = [
        (count, truth, answered)
        for truth in range(len(names))
        for answered, count in enumerate(counts[truth])
        if answered != truth and count
    ]
    found.sort(reverse=True)
    rows = tuple(
        (names[truth], names[answered], percent(count / sum(counts[truth])), f"{count:,}")
        for count, truth, answered in found[:MOST_MISTAKES]
    )
    return Grid(("truth", "answer", "% of the truth", "pixels"), rows, labels=2)
