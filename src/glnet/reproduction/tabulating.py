"""From trainings to a table of the paper: ours beside the paper's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from glnet.errors import GLNetError
from glnet.geometry import Size
from glnet.reproduction.comparisons import SIZES, Comparison, Shown
from glnet.reproduction.effort import PAPER
from glnet.reproduction.measuring import MIB, bare_model, estimated
from glnet.reproduction.methods import Method
from glnet.reproduction.paper import PaperRow
from glnet.reproduction.request import LeftOutError, Result
from glnet.reproduction.results import (
    ALLOCATED,
    AT_PAPER,
    DOWNSAMPLING,
    ESTIMATED,
    MEASURED,
    MIOU,
    MULTIPLY_ADDS,
    PARAMETERS,
    SPEED,
    SPREAD,
    ResultRow,
    ResultTable,
    paper_values,
)
from glnet.reproduction.running import Runs
from glnet.training.config_file import read_config

Papers = Sequence[PaperRow | None]
"""Of methods in their order, the paper's rows."""


@dataclass(frozen=True)
class Scored:
    """A method's results, one per seed, or why there are none.

    Attributes:
        method: Which.
        side: Of what enters the network, if not the effort's own.
        results: At least one, unless it was left out.
        skipped: Why it was left out, or some of its seeds.
        is_failure: Whether that is an error, and not a memory that was named.
    """

    method: Method
    side: int | None = None
    results: tuple[Result, ...] = ()
    skipped: str = ""
    is_failure: bool = False

    @property
    def label(self) -> str:
        """The method's, with the side where there are several."""
        return self.method.label if self.side is None else f"{self.method.label}, {self.side} px"

    @property
    def miou(self) -> float | None:
        """The mean over the seeds, in %."""
        return 100 * fmean(of.miou for of in self.results) if self.results else None


def scored(runs: Runs, method: Method, side: int | None = None) -> Scored:
    """Train and measure a method with every seed; what goes wrong becomes a remark."""
    results, skipped = [], ""
    for seed in range(runs.request.seeds):
        try:
            results.append(runs.result(method, seed, side))
        except LeftOutError as error:
            return Scored(method, side, skipped=str(error))
        except GLNetError as error:
            skipped = skipped or (f"seed {seed}: {error}" if runs.request.seeds > 1 else str(error))
    return Scored(method, side, tuple(results), skipped, is_failure=bool(skipped))


def scored_all(runs: Runs, methods: Sequence[tuple[Method, int | None]]) -> list[Scored]:
    """`scored` of every method and side, each with a line that says how far it is."""
    found = []
    for number, (method, side) in enumerate(methods, start=1):
        label = Scored(method, side).label
        runs.note(f"row {number} of {len(methods)}: {label}")
        found.append(scored(runs, method, side))
    return found


def tabulated(
    runs: Runs, comparison: Comparison, found: Sequence[Scored], size: Size | None = None
) -> ResultTable:
    """A table of results.

    Args:
        runs: Where they come from.
        comparison: Which table.
        found: For every row of it.
        size: Of the paper's largest image, if not that of the table's dataset.
    """
    largest, classes = SIZES[comparison.paper.dataset]
    rows = [
        _row(shown, of, size or largest, classes)
        for shown, of in zip(comparison.rows, found, strict=True)
    ]
    return ResultTable(
        title=f"Table {comparison.paper.number}: {comparison.paper.title}",
        about=about(runs, found, seeds=runs.request.seeds),
        rows=rows,
        notes=(*_notes(runs), _at_paper(size or largest), *comparison.paper.notes),
        is_quick=runs.effort.is_quick,
    )


def figure_table(
    runs: Runs, title: str, found: Sequence[Scored], papers: Papers = (), notes: Sequence[str] = ()
) -> ResultTable:
    """What a figure shows, of at least one method.

    Args:
        runs: Where the results come from.
        title: Of the figure.
        found: What it shows.
        papers: The paper's row for each; nothing where the paper has none of them.
        notes: What else to know of it, a line each.
    """
    rows = [
        ResultRow(
            of.method.key if of.side is None else f"{of.method.key}_{of.side}px",
            of.label,
            {
                MIOU: of.miou,
                **(paper_values(paper) if any(papers) else {}),
                **(_measured(of.results) if of.results else {}),
            },
            "" if of.results else of.skipped,
            of.skipped if of.results else "",
        )
        for of, paper in zip(found, papers or [None] * len(found), strict=True)
    ]
    return ResultTable(
        title=title,
        about=about(runs, found, seeds=runs.request.seeds),
        rows=rows,
        notes=(*notes, *_notes(runs)),
        is_quick=runs.effort.is_quick,
    )


def paper_bytes(method: Method, size: Size, classes: int) -> float | None:
    """Device memory by estimate of the network of the paper's size; None where it cannot be."""
    changes = PAPER.changes(method, 1, size)
    config = read_config(None, ["--data.folder=.", "--output=.", *changes])
    try:
        return estimated(bare_model(config, classes), size, counts=False).device_bytes
    except GLNetError:
        return None


def _row(shown: Shown, of: Scored, size: Size, classes: int) -> ResultRow:
    needed = paper_bytes(shown.method, size, classes)
    values = {
        MIOU: of.miou,
        **paper_values(shown.paper),
        **(_measured(of.results) if of.results else {}),
        AT_PAPER: None if needed is None else needed / MIB,
    }
    remark = ("", of.skipped) if of.results else (of.skipped, "")
    return ResultRow(shown.method.key, shown.method.label, values, *remark)


def _measured(results: Sequence[Result]) -> dict[str, float | None]:
    first = results[0]
    others = {
        name: [100 * value for of in results if (value := of.figures.get(name)) is not None]
        for name in first.figures
        if name != "accuracy" and 100 * (first.figures[name] or 0) != 100 * first.miou
    }
    return {
        **({SPREAD: stdev(100 * of.miou for of in results)} if len(results) > 1 else {}),
        **{f"{name} (%)": fmean(values) for name, values in others.items() if values},
        ESTIMATED: first.estimated_bytes / MIB,
        ALLOCATED: first.allocated_mib,
        MEASURED: first.process_mib,
        PARAMETERS: first.parameters / 1e6,
        MULTIPLY_ADDS: first.multiply_adds / 1e9,
        SPEED: fmean(of.megapixels_per_s for of in results),
        DOWNSAMPLING: first.downsampling,
    }


def about(runs: Runs, found: Sequence[Scored], seeds: int) -> str:
    """What was trained and evaluated, and how, in a paragraph."""
    images = len(runs.samples)
    words = []
    if runs.request.published:
        words.append("The published checkpoints were")
    else:
        words.append(f"Networks were trained on the {len(runs.training)} training images and")
    words.append(f"evaluated on {images} images of the {runs.split} split of {runs.dataset.name},")
    words.append(f"the largest of {runs.largest} pixels;")
    words.append(f"the mean of {seeds} seeds." if seeds > 1 else "one run each.")
    left_out = sum(not of.results for of in found)
    if left_out:
        words.append(f"{left_out} of {len(found)} are missing.")
    if runs.effort.is_quick:
        words.append(
            "This was a quick run: small backbones from scratch, small patches and little "
            "training. It shows that everything works, not which network is better."
        )
    if runs.request.changes:
        words.append(f"Changed by {' '.join(runs.request.changes)}.")
    return " ".join(words)


def _notes(runs: Runs) -> tuple[str, ...]:
    _, headline = runs.protocol.headline
    return (
        f"{MIOU} is the figure by which the protocol {runs.protocol.name} judges: {headline}.",
        "Memory is that of a prediction with one patch, or one image, at a time and no gradients; "
        "MB are 2^20 bytes, as gpustat has them. Estimates count tensors and weights on a GPU, not "
        "what its driver takes. Allocated are tensors on a GPU that is there; measured is all that "
        "the process takes of it.",
        "Networks that see the whole image see it as a square, of one side for images of all "
        "sizes; what is smaller than their strides is continued by its edge.",
        f"{DOWNSAMPLING}, {MULTIPLY_ADDS} and memory are those of the largest image. {SPEED}: one "
        "image, from its file to its labels, on the machine of this run.",
    )


def _at_paper(size: Size) -> str:
    return (
        f"{AT_PAPER}: the network with the paper's backbone and patches, and for whole images at "
        f"the sides that `glnet reproduce` trains with, on an image of {size} pixels."
    )
