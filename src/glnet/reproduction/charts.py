"""Figure 1 of the paper: how good a segmentation is against the memory that it takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from glnet.errors import ConfigurationError
from glnet.reproduction.annotating import FONT, MARK, annotate
from glnet.reproduction.paper import PATCH_SIZE, TABLE_3, Way, best_achievable
from glnet.reproduction.results import QUICK
from glnet.reproduction.styling import GLNET, NEUTRAL, WORDS, blank_figure, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES = (6.4, 4.6)
COLORS = (NEUTRAL, "#009E73", "#CC79A7", "#7A4B2A", "#56B4E9", "#000000")
"""Mostly Okabe and Ito's, without their reds: red is GLNet's."""
MARKERS = ("s", "^", "D", "v", "P", "X")
PAPERS = "#8A8A8A"


class Point(NamedTuple):
    """A method in Figure 1a; GLNet's are red.

    Attributes:
        label: What people call it.
        memory: In MB, over 0.
        miou: In %.
    """

    label: str
    memory: float
    miou: float

    @property
    def is_glnet(self) -> bool:
        """Whether it is drawn in red."""
        return self.label.startswith("GLNet")


class Stop(NamedTuple):
    """A method at one of its sizes.

    Attributes:
        size: What stands beside the point, such as "500" or "1/4".
        memory: In MB, over 0.
        miou: In %.
    """

    size: str
    memory: float
    miou: float


@dataclass(frozen=True)
class Sweep:
    """A line of Figures 1b and 1c: a method at several sizes.

    Attributes:
        label: What people call it; two sweeps of one label have one colour.
        stops: In the order in which the line goes through them.
        is_paper: Whether these are the paper's numbers: drawn hollow and dashed.
    """

    label: str
    stops: Sequence[Stop]
    is_paper: bool = False


def paper_points() -> list[Point]:
    """The paper's points of Figure 1a."""
    rows = [(row.label, row.memory, row.miou) for row in best_achievable()]
    return [Point(label, memory, miou) for label, memory, miou in rows if memory is not None]


def paper_sweeps(way: Way) -> list[Sweep]:
    """What the paper says in numbers of Figures 1b (whole images) and 1c (patches).

    That is GLNet at 500 pixels in both, and in 1c FCN-8s and ICNet at patches of 500 pixels.
    """
    networks = (("fcn8s", way), ("icnet", way)) if way == "patches" else ()
    keys: tuple[tuple[str, Way], ...] = (*networks, ("glnet", ""))
    rows = [row for key, of in keys if (row := TABLE_3.find(key, of)) is not None]
    return [
        Sweep(row.label, (Stop(str(PATCH_SIZE), row.memory, row.miou),), is_paper=True)
        for row in rows
        if row.memory is not None
    ]


def memory_chart(
    points: Sequence[Point],
    paper_points: Sequence[Point],
    path: Path,
    *,
    title: str = "",
    is_quick: bool = False,
) -> list[Path]:
    """Draw Figure 1a: ours filled, the paper's hollow, every one with its name.

    Args:
        points: Ours.
        paper_points: The paper's.
        path: Where to, without suffix: becomes a ``.png`` and a ``.svg``.
        title: Above it.
        is_quick: Whether to say that ours cannot be compared with the paper's.

    Returns:
        The two files.

    Raises:
        ConfigurationError: If there is no point, or one that cannot be drawn.
        OutputError: If a file cannot be written.
    """
    everything = [*points, *paper_points]
    _require(everything, path)
    figure, axes = _blank(title, is_quick=is_quick, has_paper=bool(paper_points))
    for of in points:
        color = GLNET if of.is_glnet else NEUTRAL
        axes.plot(of.memory, of.miou, "o", ms=MARK, color=color, zorder=3 + of.is_glnet)
    for of in paper_points:
        color = GLNET if of.is_glnet else PAPERS
        axes.plot(of.memory, of.miou, "o", ms=MARK, mec=color, mfc="white", mew=1.3, zorder=2)
    _finish(axes, [of.memory for of in everything], [of.miou for of in everything])
    _draw_key(axes, ["ours"] * bool(points) + ["the paper's"] * bool(paper_points))
    inks = [GLNET if of.is_glnet else NEUTRAL for of in points]
    inks += [GLNET if of.is_glnet else PAPERS for of in paper_points]
    places = [(of.memory, of.miou) for of in everything]
    annotate(axes, places, [of.label for of in everything], inks)
    return write_figure(figure, path)


def sweep_chart(
    sweeps: Sequence[Sweep],
    path: Path,
    *,
    title: str = "",
    sizes: str = "",
    is_quick: bool = False,
) -> list[Path]:
    """Draw Figure 1b or 1c: a line per method, every point with its size.

    Args:
        sweeps: Ours and the paper's.
        path: Where to, without suffix: becomes a ``.png`` and a ``.svg``.
        title: Above it.
        sizes: What the words at the points are, such as "side of a patch, pixels".
        is_quick: Whether to say that ours cannot be compared with the paper's.

    Returns:
        The two files.

    Raises:
        ConfigurationError: If there is no point, or one that cannot be drawn.
        OutputError: If a file cannot be written.
    """
    stops = [(sweep, stop) for sweep in sweeps for stop in sweep.stops]
    _require([Point(f"{sweep.label}, {of.size}", *of[1:]) for sweep, of in stops], path)
    has_paper = any(sweep.is_paper for sweep in sweeps)
    figure, axes = _blank(title, is_quick=is_quick, has_paper=has_paper)
    styles = _styles(sweeps)
    for sweep in sweeps:
        color, marker = styles[sweep.label]
        axes.plot(
            [stop.memory for stop in sweep.stops],
            [stop.miou for stop in sweep.stops],
            linestyle="" if len(sweep.stops) == 1 else "--" if sweep.is_paper else "-",
            linewidth=1.2,
            color=color,
            marker=marker,
            markersize=MARK - 1,
            markerfacecolor="white" if sweep.is_paper else color,
            label=f"{sweep.label}, the paper's" if sweep.is_paper else sweep.label,
        )
    _finish(axes, [stop.memory for _, stop in stops], [stop.miou for _, stop in stops])
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False,
                fontsize=FONT, title=f"at the points: {sizes}" if sizes else None,
                title_fontsize=FONT - 1, alignment="left")  # fmt: skip
    inks = [styles[sweep.label][0] for sweep, _ in stops]
    places = [(stop.memory, stop.miou) for _, stop in stops]
    lines = [[(stop.memory, stop.miou) for stop in sweep.stops] for sweep in sweeps]
    annotate(axes, places, [stop.size for _, stop in stops], inks, lines)
    return write_figure(figure, path)


def _require(points: Sequence[Point], path: Path) -> None:
    if not points:
        raise ConfigurationError(f"{path}: expected at least one point to draw, got none")
    for of in points:
        if not (0 < of.memory < math.inf and math.isfinite(of.miou)):
            raise ConfigurationError(
                f"{path}: expected memory over 0 MB and a finite mIoU, got {of.memory} and "
                f"{of.miou} of {of.label}; leave it out"
            )


def _styles(sweeps: Sequence[Sweep]) -> dict[str, tuple[str, str]]:
    """A colour and a mark per label."""
    names = list(dict.fromkeys(sweep.label for sweep in sweeps))
    others = [name for name in names if not name.startswith("GLNet")]
    styles = {name: (COLORS[k % 6], MARKERS[k % 6]) for k, name in enumerate(others)}
    return styles | {name: (GLNET, "o") for name in names if name not in styles}


def _blank(title: str, *, is_quick: bool, has_paper: bool) -> tuple["Figure", "Axes"]:
    figure = blank_figure(INCHES)
    axes = figure.add_subplot()
    pad = 18 if is_quick else 6
    axes.set_title(title, fontsize=FONT + 1, loc="left", pad=pad, fontweight="bold")
    if is_quick:
        words = QUICK if has_paper else f"{QUICK}, whose points are left out"
        axes.text(0, 1.015, words, transform=axes.transAxes, fontsize=FONT - 1, color=GLNET)
    axes.set_ylabel("mIoU (%)", fontsize=FONT)
    axes.tick_params(labelsize=FONT - 1)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(visible=True, color="0.92", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _finish(axes: "Axes", memories: Sequence[float], scores: Sequence[float]) -> None:
    """Scales with room for labels; memory by powers, as methods differ tenfold."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator  # noqa: PLC0415

    axes.set_xscale("log")
    axes.set_xlim(min(memories) / 1.35, max(memories) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("memory of a prediction (MB)", fontsize=FONT)
    margin = max(2.0, 0.12 * (max(scores) - min(scores)))
    axes.set_ylim(max(0.0, min(scores) - margin), max(scores) + margin)


def _draw_key(axes: "Axes", names: Sequence[str]) -> None:
    """What filled and hollow mean; outside, where no label comes."""
    from matplotlib.lines import Line2D  # noqa: PLC0415

    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=MARK, label=name, color=WORDS,
               markerfacecolor=WORDS if name == "ours" else "white")
        for name in names
    ]  # fmt: skip
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1.005), ncols=2,
                frameon=False, fontsize=FONT - 1, borderaxespad=0)  # fmt: skip
