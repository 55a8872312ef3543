"""Bars of what forms of a patch take: time over the bare backbone with its range, and memory."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = {
    "backbone": "#999999",
    "plain": "#D55E00",
    "hearing": "#56B4E9",
    "collapsed": "#009E73",
    "smp": "#CC79A7",
}
"""Okabe and Ito's, told apart with any kind of colour vision; by a word of the name."""

WIDTH_INCHES, BAR_INCHES, MARGIN_INCHES = 12.0, 0.15, 0.9


class Measured(NamedTuple):
    """What a way to compute patches took.

    Attributes:
        name: Of the way.
        title: The same for readers.
        batch: Patches at once.
        seconds: Per patch, round by round.
        ratios: Over the bare backbone, round by round.
        peak_bytes: Of one run.
        multiply_adds: Per patch.
    """

    name: str
    title: str
    batch: int
    seconds: list[float]
    ratios: list[float]
    peak_bytes: int
    multiply_adds: float


def draw_bars(results: Mapping[str, Sequence[Measured]], title: str, target: Path) -> None:
    """Draw a row of two panels per precision, a bar per way and number of patches at once."""
    bars = max(map(len, results.values()))
    heights = len(results) * (BAR_INCHES * 1.25 * bars + MARGIN_INCHES) + 0.4
    figure = Figure(figsize=(WIDTH_INCHES, heights), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplots(len(results), 2, sharey="row", squeeze=False, width_ratios=(3, 2))
    for (time, memory), (precision, measured) in zip(panels, results.items(), strict=True):
        _draw_row(time, memory, measured)
        time.set_title(f"{precision}: time over the bare backbone, median and range")
        memory.set_title("MiB of one run")
    figure.savefig(target, dpi=110)


def _draw_row(time: Axes, memory: Axes, measured: Sequence[Measured]) -> None:
    names = list(dict.fromkeys(of.name for of in measured))
    batches = sorted({of.batch for of in measured})
    thickness = 0.8 / len(batches)
    places = [
        names.index(of.name) + thickness * (batches.index(of.batch) - (len(batches) - 1) / 2)
        for of in measured
    ]
    medians = [statistics.median(of.ratios) for of in measured]
    ranges = [
        [middle - min(of.ratios) for middle, of in zip(medians, measured, strict=True)],
        [max(of.ratios) - middle for middle, of in zip(medians, measured, strict=True)],
    ]
    colors = [_color(of.name) for of in measured]
    time.barh(
        places, medians, thickness, xerr=ranges, color=colors, edgecolor="white", ecolor="0.3"
    )
    time.axvline(1, color="0.3", linewidth=0.8)
    time.set_yticks(range(len(names)), list(dict.fromkeys(of.title for of in measured)))
    time.set_ylim(len(names) - 0.4, -0.6)  # the first one on top
    mebibytes = [of.peak_bytes / 2**20 for of in measured]
    memory.barh(places, mebibytes, thickness, color=colors, edgecolor="white")
    ends = [max(of.ratios) for of in measured]
    _write(time, places, ends, [f"{of:.2f}" for of in medians])
    words = [
        f"{of:.0f}  ({each.batch} at once)" for of, each in zip(mebibytes, measured, strict=True)
    ]
    _write(memory, places, mebibytes, words)


def _write(
    axes: Axes, places: Sequence[float], ends: Sequence[float], words: Sequence[str]
) -> None:
    """Put a word behind every bar."""
    for place, end, word in zip(places, ends, words, strict=True):
        axes.annotate(
            word,
            (end, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=7,
        )
    axes.set_xlim(0, 1.4 * max(ends))
    axes.grid(visible=True, axis="x", color="0.9")
    axes.set_axisbelow(True)


def _color(name: str) -> str:
    return next(color for word, color in COLORS.items() if word in name)
