"""What the pictures of tables and the charts have in common: colours, blank figures, files."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from glnet.training.following.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GLNET = "#C8102E"
"""Red, as in the paper."""
NEUTRAL, PALE, WORDS = "#35618F", "#C3CBD4", "#4A4A4A"

DOTS_PER_INCH = 200


def blank_figure(inches: tuple[float, float]) -> "Figure":
    """A figure of (width, height) inches that no window belongs to."""
    # Loading matplotlib takes a second, and prediction does without.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=inches)
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: "Figure", path: Path) -> list[Path]:
    """Write a figure as PNG and as SVG, each whole; what is there is replaced.

    Args:
        figure: What to write.
        path: Without suffix; or with one of the two, which is replaced.

    Raises:
        OutputError: If a file cannot be written.
    """
    from matplotlib import rc_context  # noqa: PLC0415

    stem = path.name.removesuffix(".png").removesuffix(".svg")
    contents = {}
    # Neither dates nor random names: the same chart is the same file.
    with rc_context({"svg.hashsalt": "glnet"}):
        for suffix, metadata in (("png", None), ("svg", {"Date": None})):
            content = io.BytesIO()
            figure.savefig(
                content,
                format=suffix,
                dpi=DOTS_PER_INCH,
                metadata=metadata,
                bbox_inches="tight",
                pad_inches=0.08,
            )
            contents[path.with_name(f"{stem}.{suffix}")] = content.getvalue()
    for target, content_bytes in contents.items():
        write_whole(target, content_bytes)
    return list(contents)
