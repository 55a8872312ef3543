"""What refining only where the context branch is unsure saves, and what it costs in mIoU.

    python -m benchmarks.unsure MODEL DATA [--description dataset.yaml] [--rounds 3] [--device cpu]

Every image of a split is predicted with `refine_below` at every threshold, and with all patches
refined, one way after another and round by round. Times are those of the passes and the labels, by
the clock and in CPU time of the process, which depends less on what else the machine does;
multiply-adds are counted in a run of their own. Writes a dated file and a picture into
benchmarks/results.
"""

import argparse
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import heading, natural, paragraph, ratios, spread, table, write_result
from glnet.data import LabelledSample, SegmentationFolder, open_dataset
from glnet.errors import ConfigurationError, GLNetError
from glnet.evaluation.confusion import Confusion
from glnet.evaluation.opening import opened
from glnet.geometry import strips
from glnet.inference.forming import dtype_of, form_of
from glnet.inference.machine import resolved
from glnet.inference.pixels import framed, normalized, read_thumbnail
from glnet.inference.regions import RegionRule
from glnet.inference.settings import Settings
from glnet.inference.streaming import Prediction, answers_of, predict
from glnet.inference.sureness import context_scores, sure_patches
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model, load_model
from glnet.model.exchange import Exchange
from glnet.model.forms import Form
from glnet.raster import Raster

THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
LINE, REFERENCE = "#0072B2", "#D55E00"
"""Okabe and Ito's, told apart with any kind of colour vision."""


@dataclass
class Found:
    """What one way to predict took and gave, over all images.

    Attributes:
        confusion: Of the model's own answer.
        seconds: Of all images, round by round, by the clock.
        cpu_seconds: The same in CPU time.
        patches: How many there are.
        refined: How many of them entered the local branch.
        multiply_adds: Of convolutions and matrix products.
        sure: How many patches kept the context branch's answer, by their class.
    """

    confusion: Confusion
    seconds: list[float]
    cpu_seconds: list[float]
    patches: int = 0
    refined: int = 0
    multiply_adds: int = 0
    sure: Counter[int] = field(default_factory=Counter)


def main(words: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(words)
    try:
        model = load_model(options.model)
        if model.network.context is None or model.network.local is None:
            raise ConfigurationError(f"{options.model} needs a context branch and a local branch")
        data = open_dataset(options.data, description=options.description)
        found, highest = _measured(model, data, options)
    except GLNetError as error:
        raise SystemExit(str(error)) from error
    names = [info.name for info in model.config.classes]
    target = write_result("unsure", _report(options, found, highest, names))
    _draw(found, target.with_suffix(".png"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--description", type=Path, help="of the dataset, if not its dataset.yaml")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--rounds", type=natural, default=1)
    parser.add_argument("--device", default="cpu")
    return parser


Results = dict[float | None, Found]
"""By threshold; None where all patches are refined."""


def _measured(
    model: Model, data: SegmentationFolder, options: argparse.Namespace
) -> tuple[Results, list[float]]:
    """All ways, and the highest probability that the context branch gives to each class."""
    base = resolved(Settings(device=options.device, regions=RegionRule("whole")))
    form = form_of(model, base).form
    highest, rounds = [0.0] * model.num_classes, options.rounds
    found: Results = {
        below: Found(Confusion(model.num_classes), [0.0] * rounds, [0.0] * rounds)
        for below in (None, *THRESHOLDS)
    }
    for sample in data.split(options.split):
        with opened(sample, data.description) as (raster, _):
            logits = _context_logits(model, raster, base, form)
            for below, of in found.items():
                if below is not None:
                    of.sure += _sure_classes(model, raster, logits, below)
        best = logits[0].softmax(dim=0).amax(dim=(1, 2)).tolist()
        highest = [max(pair) for pair in zip(highest, best, strict=True)]
        _see(
            sample,
            data,
            model,
            form,
            [(replace(base, refine_below=b), f) for b, f in found.items()],
        )
    return found, highest


def _see(
    sample: LabelledSample,
    data: SegmentationFolder,
    model: Model,
    form: Form,
    ways: list[tuple[Settings, Found]],
) -> None:
    """Predict an image in all ways: counted first, then timed round by round."""
    device, answer = torch.device(ways[0][0].device), answers_of(model)[-1]

    def labels(prediction: Prediction, raster: Raster) -> list[torch.Tensor]:
        height = prediction.strip_height()
        return [prediction.best(answer, of, device) for of in strips(raster.size, height)]

    with opened(sample, data.description) as (raster, truth):
        predict(model, raster, ways[0][0], form=form).close()  # What is made once is not counted.
        for settings, of in ways:
            with (
                FlopCounterMode(display=False) as counter,
                predict(model, raster, settings, form=form) as prediction,
            ):
                pass
            of.multiply_adds += counter.get_total_flops() // 2
            of.patches += len(model.config.framing.grid(raster.size))
            of.refined += prediction.refined_patches
        for number in range(len(ways[0][1].seconds)):
            for settings, of in ways:
                begin, cpu_begin = time.perf_counter(), time.process_time()
                with predict(model, raster, settings, form=form) as prediction:
                    found = labels(prediction, raster)
                    height = prediction.strip_height()
                seconds = time.perf_counter() - begin
                of.seconds[number] += seconds
                of.cpu_seconds[number] += time.process_time() - cpu_begin
                print(sample.stem, settings.refine_below, f"{seconds:.2f} s", flush=True)
                if number == 0:
                    for part, strip in zip(found, strips(raster.size, height), strict=True):
                        of.confusion.add(part, truth.read(strip))


def _context_logits(model: Model, raster: Raster, settings: Settings, form: Form) -> torch.Tensor:
    seen = read_thumbnail(framed(raster, model), model.config.framing)
    pixels = normalized(seen.pixels, model.config.normalization, seen.valid)[None]
    with torch.inference_mode():
        thumbnail = pixels.to(settings.device, dtype_of(settings))
        logits = form.see_whole(thumbnail, [Answer.GLOBAL]).logits
    assert logits is not None
    return logits.float().cpu()


def _sure_classes(model: Model, raster: Raster, logits: torch.Tensor, below: float) -> Counter[int]:
    """How many patches would not be refined, by their class."""
    grid = model.config.framing.grid(framed(raster, model).size)
    exchange = Exchange(grid, model.config.framing.sampling)
    sure = sure_patches(logits, exchange, grid.places, below)
    if not sure:
        return Counter()
    places = [grid.places[number] for number in sorted(sure)]
    frame = torch.Size((model.num_classes, 1, 1))
    scores = context_scores(logits, exchange, frame, places)
    return Counter(scores.argmax(dim=1).flatten().tolist())


def _report(
    options: argparse.Namespace, found: Results, highest: list[float], names: list[str]
) -> str:
    every = found[None]
    columns = [
        "refine below",
        "mIoU",
        *names,
        "patches refined",
        "seconds",
        "time",
        "CPU time",
        "10^9 mul-adds",
    ]
    rows = []
    for below, of in found.items():
        counts = of.confusion.result()
        rows.append(
            [
                "all" if below is None else f"{below:g}",
                f"{counts.mean_iou:.2%}",
                *(f"{iou:.2%}" for iou in counts.iou),
                f"{of.refined} of {of.patches} ({of.refined / of.patches:.0%})",
                f"{statistics.median(of.seconds):.1f}",
                spread(ratios(of.seconds, every.seconds)),
                spread(ratios(of.cpu_seconds, every.cpu_seconds)),
                f"{of.multiply_adds / 1e9:.1f}",
            ]
        )
    text = paragraph(
        f"{options.model.name} on {options.device}, the {options.split} split of "
        f"{options.data.name}, whole images, rounds: {options.rounds}. Patches over which the "
        "context branch gives one class at least this probability everywhere keep its answer. "
        "Seconds are those of all images (median); time and CPU time are over those of refining "
        "all patches, round by round (median, range). By how much they differ from 1 where all are "
        "refined is the noise of this run. Beside mIoU stands the IoU of every class."
    )
    return "\n\n".join(
        [heading("Refining where unsure"), text, table(columns, rows), _sure(found, highest, names)]
    )


def _sure(found: Results, highest: list[float], names: list[str]) -> str:
    """Of which classes sure patches are."""
    sure = sum((of.sure for of in found.values()), Counter())
    never = [name for number, name in enumerate(names) if not sure[number]]
    rows = [
        [f"{below:g}", *(of.sure[number] for number in range(len(names)))]
        for below, of in found.items()
        if below is not None
    ]
    rows.append(["highest probability anywhere", *(f"{of:.3f}" for of in highest)])
    text = "Patches that were not refined, by class."
    if never:
        text += f" At no threshold was a whole patch surely {' or '.join(never)}."
    return "\n\n".join([paragraph(text), table(["refine below", *names], rows)])


def _draw(found: Results, target: Path) -> None:
    """Time and mIoU by threshold, each with the line of refining all."""
    every = found[None]
    ways = {f"{below:g}": of for below, of in found.items() if below is not None}
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    time_axes, score_axes = figure.subplots(1, 2)
    times = [ratios(of.cpu_seconds, every.cpu_seconds) for of in ways.values()]
    middle = [statistics.median(of) for of in times]
    _curve(time_axes, list(ways), middle, 1.0, "CPU time over refining all (median, range)")
    time_axes.vlines(range(len(ways)), [min(of) for of in times], [max(of) for of in times], LINE)
    time_axes.set_ylim(bottom=0)
    scores = [100 * of.confusion.mean_iou for of in ways.values()]
    _curve(score_axes, list(ways), scores, 100 * every.confusion.mean_iou, "mIoU, %")
    figure.savefig(target, dpi=110)


def _curve(axes: Axes, names: list[str], values: list[float], reference: float, title: str) -> None:
    axes.axhline(reference, color=REFERENCE, linewidth=2, linestyle="--", label="all refined")
    axes.plot(range(len(names)), values, color=LINE, marker="o", label="refined below")
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("probability below which patches are refined")
    axes.set_title(title)
    axes.grid(visible=True, axis="y", color="0.9")
    axes.legend(loc="lower right")


if __name__ == "__main__":
    main()
