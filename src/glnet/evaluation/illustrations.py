"""The pictures of a report: the worst and the best images, and which class is taken for which."""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from glnet.data import DatasetDescription, LabelledSample
from glnet.evaluation.comparison import Picture, colored
from glnet.evaluation.drawing import MOST_CLASSES, Row, enlarged, framed_at, heat_map, sheet
from glnet.evaluation.looking import IGNORED, Look, Panels, error_map, legend, look_at
from glnet.evaluation.report import Evaluation
from glnet.evaluation.tables import TITLES, percent
from glnet.geometry import Window
from glnet.inference.predictor import Predictor
from glnet.model.checkpoint import Model

SIDE = 360
"""Of a panel, in pixels."""


class Illustration(NamedTuple):
    """A picture, what it is called and the name of its file."""

    title: str
    file: str
    picture: Picture


class Choice(NamedTuple):
    """An image that is shown, and why: such as "worst 1"."""

    rank: str
    stem: str
    score: float


def choices(evaluation: Evaluation, pictures: int) -> list[Choice]:
    """So many of the worst and of the best images; none twice, where there are few."""
    ranked = evaluation.ranked()
    half = len(ranked) // 2
    worst = ranked[: min(pictures, len(ranked) - half)]
    best = ranked[::-1][: min(pictures, half)]
    return [
        Choice(f"{kind} {rank}", image.stem, score)
        for kind, images in (("worst", worst), ("best", best))
        for rank, (score, image) in enumerate(images, start=1)
    ]


def show_images(
    chosen: Sequence[Choice],
    predictor: Predictor,
    samples: Sequence[LabelledSample],
    description: DatasetDescription,
    progress: Callable[[str, int, int], None],
) -> list[Illustration]:
    """Predict the chosen images once more and draw them; labels of all images are never kept.

    Raises:
        DatasetError, InputMismatchError, RasterError: If a file cannot be read any more.
    """
    by_stem = {sample.stem: sample for sample in samples}
    shown = []
    for done, of in enumerate(chosen):
        progress(f"drawing {of.stem}", done, len(chosen))
        look = look_at(predictor, by_stem[of.stem], description, SIDE)
        title = f"{of.rank}: {of.stem}, score {percent(of.score)} %"
        file = f"{of.rank.replace(' ', '_')}_{_in_file_names(of.stem)}.png"
        shown.append(Illustration(title, file, drawn(title, look, predictor.model)))
    return shown


def show_confusions(evaluation: Evaluation, names: Sequence[str]) -> list[Illustration]:
    """A heat map per answer; none where there are too many classes to read one."""
    if len(names) > MOST_CLASSES:
        return []
    return [
        Illustration(
            f"confusion, {TITLES.get(answer, answer)}",
            f"confusion_{answer}.png",
            heat_map(f"confusion, {TITLES.get(answer, answer)}", counts, names),
        )
        for answer, counts in evaluation.confusions.items()
    ]


def drawn(title: str, look: Look, model: Model) -> Picture:
    """The sheet of one image: whole and, where that is shrunk, its window of most errors."""
    names = [info.name for info in model.config.classes]
    colors = [info.color for info in model.config.classes]
    note = f"whole image, {look.size} pixels"
    rows = [_row(note, look.whole, look.whole.picture, colors)]
    if look.zoom is not None:
        image = framed_at(look.whole.picture, look.window, look.size)
        rows = [
            _row(f"{note}, shrunk", look.whole, image, colors),
            _row(_place(look.window), look.zoom, look.zoom.picture, colors),
        ]
    shown = [look.whole] if look.zoom is None else [look.whole, look.zoom]
    return sheet(title, rows, legend(shown, names, colors))


def _row(note: str, panels: Panels, image: Picture, colors: Sequence[tuple[int, int, int]]) -> Row:
    """The four panels; the image may have marks on it that the error map must not show."""
    pictures = (
        ("image", image),
        ("truth", colored(panels.truth, colors, IGNORED)),
        ("answer", colored(panels.answer, colors)),
        ("errors" if len(colors) == 2 else "errors, as answered", error_map(panels, colors)),
    )
    return Row(note, [(caption, enlarged(picture, SIDE)) for caption, picture in pictures])


def _place(window: Window) -> str:
    place = f"row {window.row}, column {window.column}"
    return f"most errors, as it is: {window.size} pixels from {place} (framed above)"


def _in_file_names(stem: str) -> str:
    """What any file system and any page can name; the rank before it tells equal ones apart."""
    return re.sub(r"[^\w.-]+", "_", stem)[:80]
