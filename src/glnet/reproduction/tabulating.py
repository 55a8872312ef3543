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
from glnet.reproduction.results import (
    AT_PAPER,
    DOWNSAMPLING,
    ESTIMATED,
    MEASURED,
    MIOU,
    MULTIPLY_ADDS,
    PAPER_MEMORY,
    PAPER_MIOU,
    PARAMETERS,
    SPEED,
    SPREAD,
    ResultRow,
    ResultTable,
)
from glnet.reproduction.running import LeftOutError, Result, Runs
from glnet.training.config_file import read_config


@dataclass(frozen=True)
class Scored:
    """A method's results, one per seed, or why there are none.

    Attributes:
        method: Which.
        results: At least one, unless it was left out.
        skipped: Why it was left out.
        is_failure: Whether that is an error, and not a memory that was named.
    """

    method: Method
    results: tuple[Result, ...] = ()
    skipped: str = ""
    is_failure: bool = False

    @property
    def miou(self) -> float | None:
        """The mean over the seeds, in %."""
        return 100 * fmean(of.miou for of in self.results) if self.results else None


def scored(runs: Runs, method: Method, side: int | None = None) -> Scored:
    """Train and measure a method with every seed; what goes wrong becomes a remark."""
    try:
        seeds = range(runs.request.seeds)
        results = tuple(runs.result(method, seed, side) for seed in seeds)
    except LeftOutError as error:
        return Scored(method, skipped=str(error))
    except GLNetError as error:
        return Scored(method, skipped=str(error), is_failure=True)
    return Scored(method, results)


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
        about=_about(runs),
        rows=rows,
        notes=(*_notes(size or largest), *comparison.paper.notes),
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
    values: dict[str, float | None] = {
        MIOU: of.miou,
        PAPER_MIOU: None if shown.paper is None else shown.paper.miou,
    }
    if of.results:
        values |= _measured(of.results)
    values |= {
        AT_PAPER: None if needed is None else needed / MIB,
        PAPER_MEMORY: None if shown.paper is None else shown.paper.memory,
    }
    return ResultRow(shown.method.key, shown.method.label, values, of.skipped)


def _measured(results: Sequence[Result]) -> dict[str, float | None]:
    first = results[0]
    others = {
        name: [100 * value for of in results if (value := of.figures.get(name)) is not None]
        for name in first.figures
        if name not in {"mIoU", "accuracy"}
    }
    return {
        **({SPREAD: stdev(100 * of.miou for of in results)} if len(results) > 1 else {}),
        **{f"{name} (%)": fmean(values) for name, values in others.items() if values},
        ESTIMATED: first.estimated_bytes / MIB,
        MEASURED: first.process_mib,
        PARAMETERS: first.parameters / 1e6,
        MULTIPLY_ADDS: first.multiply_adds / 1e9,
        SPEED: fmean(of.megapixels_per_s for of in results),
        DOWNSAMPLING: first.downsampling,
    }


def _about(runs: Runs) -> str:
    images, trained = len(runs.samples), len(runs.training)
    seeds = runs.request.seeds
    words = [
        f"Every network was trained on the {trained} training images of {runs.dataset.name} and "
        f"evaluated on {images} images of its {runs.split} split, the largest of "
        f"{runs.largest} pixels"
    ]
    words.append(f", the mean of {seeds} seeds. " if seeds > 1 else ", one run each. ")
    if runs.effort.is_quick:
        words.append(
            "This was a quick run: small backbones from scratch, small patches and little "
            "training. It shows that everything works, not which network is better. "
        )
    if runs.request.changes:
        words.append(f"Changed by {' '.join(runs.request.changes)}. ")
    return "".join(words)


def _notes(size: Size) -> tuple[str, ...]:
    return (
        "Memory is that of a prediction with one patch, or one image, at a time and no gradients; "
        "MB are 2^20 bytes, as gpustat has them. Estimates count tensors and weights on a GPU, not "
        "what its driver takes. As measured, it is what the process takes of the GPU.",
        f"{AT_PAPER}: the network with the paper's backbone and patches, and for whole images at "
        f"the sides that `glnet reproduce` trains with, on an image of {size} pixels.",
        "Networks that see the whole image see it as a square; what is smaller than their strides "
        "is continued by its edge.",
        f"{MULTIPLY_ADDS} and memory are those of the largest image. {SPEED}: one image, from its "
        "file to its labels, on the machine of this run.",
    )
