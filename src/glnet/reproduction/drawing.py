"""The paper's figures out of trainings: memory charts, sweeps, panels."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import pstdev
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from glnet.data import LabelledSample
from glnet.errors import ConfigurationError
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
from glnet.reproduction.paper import Way
from glnet.reproduction.running import Runs
from glnet.reproduction.tabulating import Scored, scored

PANELS = 2
"""Images that Figures 3 and 7 show."""


class Drawn(NamedTuple):
    """What came of a figure.

    Attributes:
        files: That were written.
        left_out: Methods that are missing, with the reason.
        failures: How many of them are missing because of an error.
    """

    files: list[Path]
    left_out: list[str]
    failures: int


def best_chart(runs: Runs, folder: Path) -> Drawn:
    """Figure 1a: of every network the better of its ways, against the memory that it takes."""
    shown = [row.method for row in COMPARISONS["table3"].rows]
    found = [scored(runs, method) for method in shown]
    best: dict[str, tuple[float, Point]] = {}
    for of in found:
        method = of.method
        # GLNet's two rows are two points.
        label = method.label if method.network == "glnet" else NAMES[method.network]
        miou = of.miou
        if miou is not None and (label not in best or miou > best[label][0]):
            best[label] = (miou, Point(label, of.results[0].estimated_bytes / MIB, miou))
    # A quick run has other networks, images and sizes: one scale would say that they compare.
    theirs = [] if runs.effort.is_quick else paper_points()
    files = memory_chart(
        [point for _, point in best.values()],
        theirs,
        folder / "figure",
        title=f"mIoU against estimated memory, {runs.dataset.name}",
        is_quick=runs.effort.is_quick,
    )
    return _drawn(files, found)


def side_sweep(runs: Runs, folder: Path, sees: str) -> Drawn:
    """Figure 1b (whole images) or 1c (patches): FCN-8s, ICNet and GLNet at several sizes."""
    keys = (f"fcn8s_{sees}", f"icnet_{sees}", "bidirectional")
    found, sweeps = [], []
    for key in keys:
        stops = []
        # Both of GLNet's sizes are one (section 4.1).
        seen = "patches" if key == "bidirectional" else sees
        for side in runs.effort.sides(seen, runs.largest):
            of = scored(runs, METHODS[key], side)
            found.append(of)
            if of.miou is not None:
                stops.append(Stop(str(side), of.results[0].estimated_bytes / MIB, of.miou))
        if stops:
            method = METHODS[key]
            label = "GLNet" if method.network == "glnet" else NAMES[method.network]
            sweeps.append(Sweep(label, stops))
    what: Way = "whole image" if sees == "whole" else "patches"
    if not runs.effort.is_quick:
        sweeps += paper_sweeps(what)
    files = sweep_chart(
        sweeps,
        folder / "figure",
        title=f"mIoU against estimated memory, {runs.dataset.name}",
        sizes=f"side of {what}, pixels; of GLNet, of patches and thumbnail",
        is_quick=runs.effort.is_quick,
    )
    return _drawn(files, found)


def panels(runs: Runs, folder: Path, keys: Sequence[str], number: int) -> Drawn:
    """Figure 3 or 7: images on which the methods' scores differ most, each with two zoom-ins."""
    found = [scored(runs, METHODS[key]) for key in keys]
    usable = [of for of in found if of.results]
    if len(usable) < 2:
        raise ConfigurationError(
            f"Figure {number} compares at least two methods, of {len(found)} there are "
            f"{len(usable)}: " + "; ".join(f"{of.method.key}: {of.skipped}" for of in found)
        )
    files = []
    for sample in _most_disputed(runs.samples, usable):
        runs.note(f"{sample.stem}: drawing")
        picture = _panel(runs, sample, usable, number)
        folder.mkdir(parents=True, exist_ok=True)
        files.append(folder / f"{sample.stem}.png")
        write_picture(files[-1], picture)
    return _drawn(files, found)


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


def _drawn(files: list[Path], found: Sequence[Scored]) -> Drawn:
    left_out = [f"{of.method.label}: {of.skipped}" for of in found if of.skipped]
    return Drawn(files, left_out, sum(of.is_failure for of in found))
