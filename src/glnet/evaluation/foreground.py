"""The paper's Figure 8: how much of images is foreground, before and after boxes are drawn.

Boxes are those of a coarse-to-fine model. For any other model of two classes they are drawn around
what its global branch, in the coarse branch's place, takes for foreground.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from glnet.data import IGNORE_INDEX, DatasetDescription, LabelledSample, LabelRaster
from glnet.errors import ConfigurationError, DatasetError
from glnet.evaluation.comparison import Picture, colored
from glnet.evaluation.drawing import INK, MARGIN, PAPER, Color, Row, framed_at, sheet, text_font
from glnet.evaluation.folder import require_free, whole_folder
from glnet.evaluation.looking import error_map, legend, look_at
from glnet.evaluation.opening import opened
from glnet.geometry import Size, Window, strips
from glnet.inference.prediction import strip_height
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model, load_model
from glnet.model.config import CoarseToFine
from glnet.model.glnet import GLNet
from glnet.raster import write_picture
from glnet.raster.writing.output import write_error

PAGE, TABLE, HISTOGRAM, PANELS = "README.md", "boxes.csv", "histogram.png", "panels.png"
TITLE = "Foreground before and after boxes (Figure 8)"

HALF, FIFTH = 0.5, 0.2
"""Of an image: with less foreground than these the paper counts images (section 3.3)."""

BINS = 20
"""Of the histogram, each of 5 % of an image or box."""

BEFORE, AFTER = (70, 110, 200), (205, 70, 60)
"""Blue before, red after, as in the paper."""

SIDE = 320
"""Of a panel, in pixels."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wording:
    """What is said of boxes, and in which files.

    Attributes:
        page: Name of the page, as Markdown.
        table: Name of the values of every image.
        title: Of the page.
        about: A paragraph under it.
        remark: Stands on the page and on both pictures.
        notes: At the end of the page, one line each.
    """

    page: str = PAGE
    table: str = TABLE
    title: str = TITLE
    about: str = ""
    remark: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoxedImage:
    """What boxes do to an image.

    Attributes:
        stem: Of its file.
        size: In pixels.
        boxes: In its pixels; none where no foreground was predicted.
        before: Share of foreground of the labelled pixels; None where none is labelled.
        after: The same within the boxes; None where there are none.
        missed: Share of the foreground that lies outside the boxes; 0 where there is none.
        area: Share of the image that the boxes cover.
    """

    stem: str
    size: Size
    boxes: tuple[Window, ...]
    before: float | None
    after: float | None
    missed: float
    area: float


def draw_boxes(  # noqa: PLR0913 - with what, of what, where to; each may be left out alone
    model: str | Path,
    samples: Sequence[LabelledSample],
    description: DatasetDescription,
    folder: Path,
    settings: Settings,
    *,
    panels: int = 4,
    overwrite: bool = False,
    wording: Wording = Wording(),
    progress: Progress = lambda *_: None,
) -> tuple[BoxedImage, ...]:
    """Write a folder with the histogram, the panels and a table of all images.

    Raises:
        CheckpointError: If the model does not load.
        ConfigurationError: If it has more than two classes, or no branch that sees thumbnails.
        DatasetError: If there is no image, or a mask is not as described.
        InputMismatchError: If images have another number of bands than the model takes.
        OutputError: If the folder cannot be written, or has something else in it.
        RasterError: If an image cannot be read.
    """
    marks = (wording.page, wording.table)
    require_free(folder.absolute(), marks, overwrite)
    if not samples:
        raise DatasetError("there is nothing to draw: the split has no images")
    predictor = Predictor(as_coarse_to_fine(load_model(model)), settings)
    found = []
    for number, sample in enumerate(samples):
        progress(sample.stem, number, len(samples))
        found.append(_boxed(predictor, sample, description))
    by_stem = {sample.stem: sample for sample in samples}
    shown = [by_stem[of.stem] for of in _spread(found, panels)]
    with whole_folder(folder.absolute(), marks, overwrite) as partial:
        write_picture(partial / HISTOGRAM, histogram(found, remark=wording.remark))
        if shown:
            rows, key = _panels(predictor, shown, {of.stem: of for of in found}, description)
            words = f", {wording.remark}" if wording.remark else ""
            write_picture(partial / PANELS, sheet(f"Coarse to fine{words}", rows, key))
        try:
            (partial / wording.table).write_text(_table(found), "utf-8")
            (partial / wording.page).write_text(_page(str(model), found, wording), "utf-8")
        except OSError as error:
            raise write_error(folder, error.strerror or str(error)) from error
    progress("", len(samples), len(samples))
    return tuple(found)


def as_coarse_to_fine(model: Model) -> Model:
    """The model itself, or one whose global branch draws the boxes as well.

    Raises:
        ConfigurationError: If it has more than two classes, or no global branch.
    """
    if model.config.coarse_to_fine is not None:
        return model
    own = model.network
    if own.context is None:
        raise ConfigurationError(
            "boxes are drawn by a branch that sees the whole image; this model has the local "
            "branch alone"
        )
    config = replace(model.config, coarse_to_fine=CoarseToFine())
    network = GLNet(own.context, own.local, own.refined, own.aggregation, own.context)
    return Model(network.eval(), config)


def _boxed(
    predictor: Predictor, sample: LabelledSample, description: DatasetDescription
) -> BoxedImage:
    with opened(sample, description) as (raster, labels):
        settings, _ = predictor.fitted(raster)
        coarse = predictor.coarse(raster, settings)
        assert coarse is not None
        whole = _counts(labels, Window(0, 0, raster.size))
        inside = sum((_counts(labels, box) for box in coarse.boxes), np.zeros(2, np.int64))
        covered = sum(box.size.area for box in coarse.boxes) / raster.size.area
        missed = (whole[1] - inside[1]) / whole[1] if whole[1] else 0.0
        return BoxedImage(
            sample.stem,
            raster.size,
            coarse.boxes,
            _share(whole),
            _share(inside),
            float(missed),
            covered,
        )


def _counts(labels: LabelRaster, window: Window) -> NDArray[np.int64]:
    """Pixels of background and of foreground in a window, strip by strip."""
    counts = np.zeros(2, np.int64)
    for strip in strips(window.size, strip_height(window.size)):
        read = labels.read(strip.moved(window.row, window.column))
        counts += np.array([np.sum(read == 0), np.sum((read > 0) & (read != IGNORE_INDEX))])
    return counts


def _share(counts: NDArray[np.int64]) -> float | None:
    return float(counts[1] / counts.sum()) if counts.sum() else None


def _spread(found: Sequence[BoxedImage], panels: int) -> list[BoxedImage]:
    """Images with boxes, from little foreground to much, evenly."""
    ordered = sorted((of for of in found if of.boxes), key=lambda of: (of.before or 0, of.stem))
    count = min(panels, len(ordered))
    return [ordered[(2 * k + 1) * len(ordered) // (2 * count)] for k in range(count)]


# The histogram


def histogram(
    found: Sequence[BoxedImage],
    size: Size = Size(420, 760),  # noqa: B008 - frozen
    remark: str = "",
) -> Picture:
    """How many images have which share of foreground, before and after: (height, width, 3)."""
    before, after = (
        np.histogram([of for of in shares if of is not None], BINS, (0, 1))[0]
        for shares in ([of.before for of in found], [of.after for of in found])
    )
    picture = Image.new("RGB", (size.width, size.height), PAPER)
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = 60, 86, size.width - 20, size.height - 56
    most = max(1, int(before.max()), int(after.max()))
    draw.text((MARGIN, 16), "Foreground, share of the pixels", INK, text_font(16), "lm")
    draw.text((size.width - 20, 16), remark, INK, text_font(12), "rm")
    for place, (color, words) in enumerate(
        ((BEFORE, "of the whole image"), (AFTER, "of the boxes"))
    ):
        at = MARGIN + 190 * place
        draw.rectangle((at, 36, at + 14, 50), fill=color)
        draw.text((at + 20, 43), words, INK, text_font(13), "lm")
    for tick in _ticks(most):
        high = bottom - (bottom - top) * tick / most
        draw.line((left, high, right, high), fill=(225, 225, 225))
        draw.text((left - 6, high), str(tick), INK, text_font(12), "rm")
    wide = (right - left) / BINS
    for number in range(BINS):
        start = left + number * wide
        for place, (counts, color) in enumerate(((before, BEFORE), (after, AFTER))):
            x = start + wide * (0.1 + 0.4 * place)
            high = bottom - (bottom - top) * counts[number] / most
            draw.rectangle((x, high, x + 0.4 * wide - 1, bottom), fill=color)
    draw.line((left, bottom, right, bottom), fill=INK)
    for tenth in range(0, 11, 2):
        x = left + (right - left) * tenth / 10
        draw.text((x, bottom + 14), f"{10 * tenth} %", INK, text_font(12), "mm")
    draw.text(((left + right) / 2, bottom + 38), "foreground", INK, text_font(13), "mm")
    draw.text((MARGIN, top - 18), "images", INK, text_font(12), "lm")
    return np.asarray(picture)


def _ticks(most: int) -> list[int]:
    step = max(1, most // 5)
    return list(range(0, most + 1, step))


# The panels


def _panels(
    predictor: Predictor,
    samples: Sequence[LabelledSample],
    found: dict[str, BoxedImage],
    description: DatasetDescription,
) -> tuple[list[Row], list[tuple[Color, str]]]:
    """Image with boxes, truth, answer in the boxes, and what is wrong; and the legend."""
    colors = [info.color for info in description.classes]
    names = [info.name for info in description.classes]
    rows, shown = [], []
    for sample in samples:
        of, look = found[sample.stem], look_at(predictor, sample, description, SIDE)
        whole, pictures = look.whole, []
        for picture in (whole.picture, colored(whole.truth, colors), colored(whole.answer, colors)):
            framed = picture
            for box in of.boxes:
                framed = framed_at(framed, box, look.size)
            pictures.append(framed)
        pictures.append(error_map(whole, colors))
        shown.append(whole)
        captions = ("image and box", "truth", "answer", "errors")
        note = f"{of.stem}: foreground {_percent(of.before)} before, {_percent(of.after)} in boxes"
        rows.append(Row(note, list(zip(captions, pictures, strict=True))))
    return rows, legend(shown, names, colors)


# The words


def _table(found: Sequence[BoxedImage]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "height", "width", "boxes", "area", "before", "after", "missed"])
    for of in found:
        shares = ["" if share is None else f"{share:.6f}" for share in (of.before, of.after)]
        missed = f"{of.missed:.6f}"
        size = [of.size.height, of.size.width]
        writer.writerow([of.stem, *size, len(of.boxes), f"{of.area:.6f}", *shares, missed])
    return text.getvalue()


def _page(model: str, found: Sequence[BoxedImage], wording: Wording) -> str:
    with_boxes = [of for of in found if of.boxes]
    before, after = [of.before for of in found], [of.after for of in with_boxes]
    facts = [
        f"model: {model}",
        f"images: {len(found)}, {len(found) - len(with_boxes)} of them without a box",
        f"foreground before: {_mean(before)} of an image (mean)",
        f"foreground after: {_mean(after)} of its boxes (mean)",
        f"under 50 % foreground: {_under(before, HALF)} of images before, {_under(after, HALF)} of "
        "those with boxes after",
        f"under 20 % foreground: {_under(before, FIFTH)} of images before, {_under(after, FIFTH)} "
        "of those with boxes after",
        f"boxes cover {_mean([of.area for of in found])} of an image (mean)",
        f"foreground outside the boxes: {_mean([of.missed for of in found])} of it (mean)",
    ]
    remark = wording.remark
    lines = [f"# {wording.title}", ""]
    lines += [f"**{remark[0].upper()}{remark[1:]}.**", ""] if remark else []
    lines += [wording.about, ""] if wording.about else []
    lines += [*(f"- {of}" for of in facts), ""]
    lines += [f"![histogram]({HISTOGRAM})", ""]
    lines += [f"![panels]({PANELS})", ""] if with_boxes else []
    lines.append(f"Every image: {wording.table}.")
    lines += ["", "## Notes", "", *(f"- {of}" for of in wording.notes)] if wording.notes else []
    return "\n".join(lines) + "\n"


def _under(shares: Sequence[float | None], limit: float) -> str:
    known = [of for of in shares if of is not None]
    return _percent(sum(of < limit for of in known) / len(known)) if known else "unknown"


def _mean(shares: Sequence[float | None]) -> str:
    known = [of for of in shares if of is not None]
    return _percent(float(np.mean(known))) if known else "unknown"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share:.1%}"
