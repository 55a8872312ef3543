"""The paper's figures out of trainings: memory charts, sweeps, panels."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import pstdev
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from glnet.data import LabelledSample
from glnet.evaluation.folder import whole_folder
from glnet.evaluation.opening import opened
from glnet.geometry import Size, Window
from glnet.inference.prediction import Prediction
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings
from glnet.inference.streaming import answers_of
from glnet.raster.writing.pictures import write_picture
from glnet.reproduction.charts import (
    Point,
    Stop,
    Sweep,
    memory_chart,
    paper_points,
    paper_sweeps,
    sweep_chart,
)
from glnet.reproduction.comparisons import COMPARISONS
from glnet.reproduction.measuring import MIB
from glnet.reproduction.methods import METHODS, NAMES
from glnet.reproduction.panels import collect, draw_panels
from glnet.reproduction.paper import PATCH_SIZE, PaperRow, Way, paper_table
from glnet.reproduction.results import ResultTable
from glnet.reproduction.running import Runs
from glnet.reproduction.tables import write_page
from glnet.reproduction.tabulating import Scored, figure_table, scored_all

FIGURE = "figure"
"""What the files of a figure are called."""

PANELS = 2
"""Images that Figures 3 and 7 show."""

FIRST_SEED = "The pictures show the networks of the first seed; numbers are means over all seeds."


class Drawn(NamedTuple):
    """What came of a figure.

    Attributes:
        files: That were written.
        left_out: Methods that are missing, with the reason.
        failures: How many of them are missing because of an error.
        table: The rows, of what is a table.
    """

    files: list[Path]
    left_out: list[str]
    failures: int
    table: ResultTable | None = None


def best_chart(runs: Runs, folder: Path) -> Drawn:
    """Figure 1a: of every network the better of its ways, against the memory that it takes."""
    shown = COMPARISONS["table3"].rows
    found = scored_all(runs, [(row.method, None) for row in shown])
    best: dict[str, Point] = {}
    for of in found:
        # GLNet's two rows are two points.
        label = of.label if of.method.network == "glnet" else NAMES[of.method.network]
        miou = of.miou
        if miou is not None and (label not in best or miou > best[label].miou):
            best[label] = Point(label, of.results[0].estimated_bytes / MIB, miou)
    # A quick run has other networks, images and sizes: one scale would say that they compare.
    theirs = [] if runs.effort.is_quick else paper_points()
    title = f"Figure 1a: mIoU and memory, {Path(runs.dataset.name).name}"
    if theirs:
        title += " (ours: tensors by estimate; the paper's: gpustat)"
    draw = partial(
        memory_chart, list(best.values()), theirs, title=title, is_quick=runs.effort.is_quick
    )
    papers = [row.paper for row in shown]
    table = figure_table(runs, title, found, papers, (*_papers_note(3), *_undrawn(runs)))
    return charted(runs, folder, table, found, draw if best else None)


def side_sweep(runs: Runs, folder: Path, sees: Literal["patches", "whole"]) -> Drawn:
    """Figure 1b (whole images) or 1c (patches): FCN-8s, ICNet and GLNet at several sizes."""
    # Both of GLNet's sizes are one (section 4.1).
    seen = {f"fcn8s_{sees}": sees, f"icnet_{sees}": sees, "bidirectional": "patches"}
    places = [(key, side) for key in seen for side in runs.effort.sides(seen[key], runs.largest)]
    found = scored_all(runs, [(METHODS[key], side) for key, side in places])
    sweeps = []
    for key in seen:
        stops = [
            Stop(str(of.side), of.results[0].estimated_bytes / MIB, of.miou)
            for of in found
            if of.method.key == key and of.miou is not None
        ]
        network = METHODS[key].network
        if stops:
            sweeps.append(Sweep("GLNet" if network == "glnet" else NAMES[network], stops))
    what: Way = "whole image" if sees == "whole" else "patches"
    figure = "1b" if sees == "whole" else "1c"
    title = f"Figure {figure}: mIoU and memory, {Path(runs.dataset.name).name}"
    is_quick = runs.effort.is_quick
    draw = partial(
        sweep_chart,
        [*sweeps, *([] if is_quick else paper_sweeps(what))],
        title=title,
        sizes=f"side of {what}, pixels; of GLNet, of patches and thumbnail",
        is_quick=is_quick,
    )
    notes = (
        "Of Figures 1b and 1c the paper has curves; in numbers it has their points at 500 pixels, "
        "of patches and of GLNet.",
    )
    papers = [_paper_at(of) for of in found]
    table = figure_table(runs, title, found, papers, (*notes, *_undrawn(runs)))
    return charted(runs, folder, table, found, draw if sweeps else None)


def _paper_at(of: Scored) -> PaperRow | None:
    """What the paper's Table 3 has of a network at a side; nothing of whole images."""
    if of.side != PATCH_SIZE or of.method.sees == "whole":
        return None
    return next((row.paper for row in COMPARISONS["table3"].rows if row.method == of.method), None)


def _papers_note(number: int) -> tuple[str, ...]:
    table = paper_table(number)
    return (f"The paper's numbers are those of its Table {number}.", *table.notes)


def _undrawn(runs: Runs) -> tuple[str, ...]:
    if not runs.effort.is_quick:
        return ()
    return (
        "The paper's points are not in the picture: a quick run has other networks, images and "
        "sizes, and on one scale they would seem to compare.",
    )


def charted(
    runs: Runs,
    folder: Path,
    table: ResultTable,
    found: Sequence[Scored],
    draw: Callable[[Path], list[Path]] | None,
) -> Drawn:
    """Write a chart, where there is something to draw, with its page and values.

    Raises:
        OutputError: If it cannot be written.
    """
    runs.begin()
    with whole_folder(folder.absolute(), (f"{FIGURE}.md",), overwrite=True) as partial_folder:
        names = [] if draw is None else [path.name for path in draw(partial_folder / FIGURE)]
        pictures = [name for name in names if name.endswith(".png")]
        names += write_page(partial_folder, FIGURE, table, pictures)
    return drawn([folder / name for name in names], found, table)


def panels(runs: Runs, folder: Path, keys: Sequence[str], number: int) -> Drawn:
    """Figure 3 or 7: images on which the methods' scores differ most, each with two zoom-ins.

    Of several seeds, pictures show the first one.
    """
    found = scored_all(runs, [(METHODS[key], None) for key in keys])
    usable = [of for of in found if of.results and _has_first_seed(runs, of)]
    title = f"Figure {number}: {Path(runs.dataset.name).name}"
    runs.begin()
    with whole_folder(folder.absolute(), (f"{FIGURE}.md",), overwrite=True) as partial_folder:
        names = []
        for sample in _most_disputed(runs.samples, usable) if len(usable) > 1 else []:
            runs.note(f"{sample.stem}: drawing")
            names.append(f"{sample.stem}.png")
            write_picture(partial_folder / names[-1], _panel(runs, sample, usable, number))
        papers = [paper_table(2).find(key) for key in keys]
        notes = (*_papers_note(2), *([FIRST_SEED] if runs.request.seeds > 1 else []))
        table = figure_table(runs, title, found, papers, notes)
        names += write_page(partial_folder, FIGURE, table, names)
    return drawn([folder / name for name in names], found, table)


def _has_first_seed(runs: Runs, found: Scored) -> bool:
    """Whether its picture can be drawn; where one seed failed, others may have a score."""
    return runs.request.seeds == 1 or (runs.place(found.method, 0) / "model").is_dir()


class _PredictedMap:
    """What a network says of an image, read window by window."""

    def __init__(self, name: str, size: Size, prediction: Prediction, predictor: Predictor) -> None:
        self.name = name
        self.size = size
        self._prediction = prediction
        self._answer = answers_of(predictor.model)[-1]
        self._device = torch.device(predictor.settings.device)

    def read(self, window: Window) -> NDArray[np.uint8]:
        """The labels of a window."""
        return self._prediction.labels(self._answer, window, self._device)


def _panel(
    runs: Runs, sample: LabelledSample, found: Sequence[Scored], number: int
) -> NDArray[np.uint8]:
    description = runs.dataset.description
    with opened(sample, description) as (raster, truth), ExitStack() as stack:
        answers = []
        for of in found:
            predictor = Predictor(runs.trained(of.method), Settings(device="auto"))
            settings, formed = predictor.fitted(raster)
            prediction = stack.enter_context(predictor.predict(raster, settings, formed))
            answers.append(_PredictedMap(of.method.label, raster.size, prediction, predictor))
        collected = collect(raster, truth, answers)
    quick = ", quick run" if runs.effort.is_quick else ""
    return draw_panels(
        collected,
        [of.method.label for of in found],
        description.classes,
        title=f"Figure {number}: {sample.stem}{quick}",
    )


def _most_disputed(
    samples: Sequence[LabelledSample], found: Sequence[Scored]
) -> list[LabelledSample]:
    """The images whose scores differ most between the methods."""

    def spread(sample: LabelledSample) -> float:
        scores = [of.results[0].per_image.get(sample.stem) for of in found]
        return pstdev([score for score in scores if score is not None] or [0.0])

    return sorted(samples, key=spread, reverse=True)[:PANELS]


def drawn(files: list[Path], found: Sequence[Scored], table: ResultTable | None = None) -> Drawn:
    """What to tell of files and of the methods that they show."""
    left_out = [f"{of.label}: {of.skipped}" for of in found if of.skipped]
    return Drawn(files, left_out, sum(of.is_failure for of in found), table)
