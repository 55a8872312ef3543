"""Curves of a run as pictures: one of every stage, one of all."""

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glnet.training.following.files import write_whole
from glnet.training.following.rounds import LOSSES, Round, best_round

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OVERVIEW = "overview"
SIZE_INCHES = (11.0, 7.5)
DOTS_PER_INCH = 110
MANY = 40
"""Points beyond which they are no longer marked one by one."""

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")
"""Okabe and Ito's, told apart with any kind of colour vision."""
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), "-")
MARKERS = ("o", "s", "^", "D", "v", "x")

TITLES = ("training loss", "learning rate", "gradient norm", "validation mIoU, percent")
"""Of the four panels of a sheet."""

Value = Callable[[Round], float | None]


def draw_curves(rounds: Sequence[Round], folder: Path) -> list[Path]:
    """Draw losses, learning rate, gradient norm and validation mIoU.

    Args:
        rounds: Of all stages, in order. Values that are missing, or not finite, leave no point.
        folder: Gets ``overview.png`` and ``<stage>.png``; what is there already is replaced.

    Returns:
        The overview, then a picture per stage; nothing where there are no rounds.

    Raises:
        OutputError: If a picture cannot be written.
    """
    if not rounds:
        return []
    stages = {each.stage: [of for of in rounds if of.stage == each.stage] for each in rounds}
    sheets = {OVERVIEW: _overview(stages)}
    sheets |= {stage: _stage(stage, of) for stage, of in stages.items()}
    paths = []
    for name, figure in sheets.items():
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=DOTS_PER_INCH)
        write_whole(folder / f"{name}.png", content.getvalue())
        paths.append(folder / f"{name}.png")
    return paths


def _stage(stage: str, rounds: Sequence[Round]) -> "Figure":
    figure, panels = _sheet(f"{stage} stage")
    fill_with_stage(panels, rounds)
    return figure


def fill_with_stage(panels: Sequence["Axes"], rounds: Sequence[Round]) -> None:
    """Draw a stage into four empty panels, as `TITLES` names them."""
    loss, rate, norm, miou = panels
    for axes, name in zip(panels, TITLES, strict=True):
        _prepare(axes, name)
    names = [name for name in LOSSES if any(name in each.losses for each in rounds)]
    curves: list[tuple[str, Value]] = [(name, _loss_named(name)) for name in names]
    if len(names) > 1:
        curves.insert(0, ("sum", lambda of: of.loss))
    curves.append(("validation", lambda of: of.validation_loss))
    for number, (name, value) in enumerate(curves):
        _line(loss, rounds, value, number, name)
    _line(rate, rounds, lambda of: of.learning_rate, 0)
    _line(norm, rounds, lambda of: of.gradient_norm, 0, "mean of a round")
    _line(norm, rounds, lambda of: of.gradient_norm_max, 1, "largest of a round")
    _line(miou, rounds, _percent, 0)
    _finish((loss, rate, norm, miou), "epoch", rounds[-1].epoch)
    _name_best(miou, rounds)


def _overview(stages: dict[str, list[Round]]) -> "Figure":
    figure, panels = _sheet("all stages")
    fill_with_all(panels, stages)
    return figure


def fill_with_all(panels: Sequence["Axes"], stages: dict[str, list[Round]]) -> None:
    """Draw all stages, one after another, into four empty panels, as `TITLES` names them."""
    loss, rate, norm, miou = panels
    for axes, name in zip(panels, TITLES, strict=True):
        _prepare(axes, name)
    begun, ends = 0.0, list[float]()
    for number, (stage, rounds) in enumerate(stages.items()):
        values: tuple[tuple[Axes, Value], ...] = (
            (loss, lambda of: of.loss),
            (rate, lambda of: of.learning_rate),
            (norm, lambda of: of.gradient_norm),
            (miou, _percent),
        )
        for axes, value in values:
            _line(axes, rounds, value, number, stage, begun=begun)
        begun += rounds[-1].epoch
        ends.append(begun)
    _finish((loss, rate, norm, miou), "epochs of the stages, one after another", begun)
    for axes in (loss, rate, norm, miou):
        for end in ends[:-1]:
            axes.axvline(end, color="0.6", linewidth=0.8)


def _sheet(title: str) -> tuple["Figure", list["Axes"]]:
    # Loading matplotlib takes a second, and prediction does without.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=SIZE_INCHES)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(0.06, 0.07, 0.98, 0.91, wspace=0.15, hspace=0.28)
    figure.suptitle(title)
    return figure, [figure.add_subplot(2, 2, place) for place in range(1, 5)]


def _prepare(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontsize="medium")
    axes.grid(visible=True, color="0.9")
    axes.set_axisbelow(True)


def _line(
    axes: "Axes",
    rounds: Sequence[Round],
    value: Value,
    style: int,
    label: str | None = None,
    *,
    begun: float = 0.0,
) -> None:
    """A curve through the rounds that have a finite value; says how many have another."""
    known = [(begun + each.epoch, value(each)) for each in rounds]
    points = [(at, of) for at, of in known if of is not None and math.isfinite(of)]
    lost = sum(of is not None for _, of in known) - len(points)
    if not points and not lost:
        return
    if lost:
        label = f"{label + ': ' if label else ''}{lost} not finite"
    place = style % len(COLORS)
    axes.plot(
        [at for at, _ in points],
        [of for _, of in points],
        color=COLORS[place],
        linestyle=LINES[place],
        linewidth=1.4,
        marker=MARKERS[place] if len(points) <= MANY else None,
        markersize=4,
        label=label,
    )


def _finish(panels: Sequence["Axes"], label: str, end: float) -> None:
    """Scales and legends, once the curves are there."""
    loss, rate, norm, _ = panels
    loss.margins(y=0.2)  # Room for the legend.
    loss.set_ylim(bottom=0)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    if max(_heights(norm), default=0.0) > 0:
        _scale_by_powers(norm)
    for axes in panels:
        axes.set_xlabel(label)
        axes.set_xlim(0, 1.03 * end or 1.0)
        if not _heights(axes):
            _say(axes, "nothing known yet")
        if (entries := len(axes.get_legend_handles_labels()[0])) > 0:
            axes.legend(fontsize="small", framealpha=0.8, ncols=1 if entries <= 3 else 3)


def _scale_by_powers(axes: "Axes") -> None:
    from matplotlib.ticker import LogFormatter  # noqa: PLC0415

    axes.set_yscale("log", nonpositive="mask")  # A norm of 0 leaves a gap.
    for axis in ("major", "minor"):
        formatter = LogFormatter(minor_thresholds=(2, 0.4))
        getattr(axes.yaxis, f"set_{axis}_formatter")(formatter)


def _name_best(axes: "Axes", rounds: Sequence[Round]) -> None:
    best = best_round(rounds)
    if best is not None and (miou := _percent(best)) is not None:
        words = f"{axes.get_title()} (best {miou:.1f} at epoch {best.epoch:.4g})"
        axes.set_title(words, fontsize="medium")


def _heights(axes: "Axes") -> list[float]:
    """Of every point that is drawn."""
    return [of for line in axes.get_lines() for of in np.asarray(line.get_ydata(), float).tolist()]


def _say(axes: "Axes", text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", color="0.4", transform=axes.transAxes)


def _loss_named(name: str) -> Value:
    return lambda of: of.losses.get(name)


def _percent(of: Round) -> float | None:
    return None if of.validation_miou is None else 100 * of.validation_miou
