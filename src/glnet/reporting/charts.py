"""Curves of a run as pictures of lines and words (SVG) that take the colours of their page."""

import io
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from glnet.training.following.curves import COLORS, TITLES, fill_with_all, fill_with_stage
from glnet.training.following.rounds import Round

SIZE_INCHES = (5.0, 3.1)
"""So small that words of 10 points can be read where the page is a phone's."""

INK, PAPER = "#010203", "#fdfcfb"
"""Colours that nothing else has, to be found again in what is drawn."""

PAGE_COLORS = {
    INK: "var(--ink)",
    PAPER: "var(--paper)",
    "#e6e6e6": "var(--rule)",
    "#999999": "var(--faint)",
    "#666666": "var(--faint)",
    **{color.lower(): f"var(--line-{number})" for number, color in enumerate(COLORS)},
}
"""What stands in the drawing, and the page's own name for it."""

LOOK: dict[Any, Any] = {
    "svg.fonttype": "none",  # Words stay words: found by searching, read aloud.
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.facecolor": "none",
    "legend.facecolor": PAPER,
    "legend.edgecolor": "0.9",
    "text.parse_math": False,
}


class Chart(NamedTuple):
    """A panel: what it shows, and its SVG."""

    title: str
    svg: Markup


class Charts(NamedTuple):
    """The panels of a stage, or of all."""

    title: str
    panels: tuple[Chart, ...]


def charts_of(rounds: Sequence[Round]) -> list[Charts]:
    """All stages one after another, where there are several, then every stage in detail."""
    stages = {each.stage: [of for of in rounds if of.stage == each.stage] for each in rounds}
    drawn = []
    if len(stages) > 1:
        drawn.append(_drawn("all stages", partial(fill_with_all, stages=stages)))
    for stage, of in stages.items():
        drawn.append(_drawn(f"{stage} stage", partial(fill_with_stage, rounds=of)))
    return drawn


def _drawn(title: str, fill: Callable[[Sequence[Axes]], None]) -> Charts:
    # As it is drawn, matplotlib looks at these again.
    with mpl.rc_context(LOOK | {"svg.hashsalt": title}):
        figures = [Figure(figsize=SIZE_INCHES, layout="constrained") for _ in TITLES]
        panels = [figure.add_subplot() for figure in figures]
        fill(panels)
        shown = [
            Chart(name, _svg(figure, f"{title}: {name}"))
            for name, figure in zip(TITLES, figures, strict=True)
        ]
    return Charts(title, tuple(shown))


def _svg(figure: Figure, title: str) -> Markup:
    FigureCanvasSVG(figure)
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    # Names of groups, which are the same in all drawings of a page.
    drawing = re.sub(r'<g id="[^"]*"', "<g", drawing)
    drawing = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', _opening(title), drawing, count=1)
    pattern = "|".join(map(re.escape, PAGE_COLORS))
    return Markup(re.sub(pattern, lambda found: PAGE_COLORS[found[0]], drawing))


def _opening(title: str) -> str:
    label = str(escape(title)).replace("\\", r"\\")
    return (
        r'<svg viewBox="\1" role="img" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'aria-label="{label}">'
    )
