"""How much patches and regions show in the answer: along their borders, and elsewhere.

    python -m benchmarks.seams MODEL IMAGE ... [--region 1024] [--device cpu]

A line lies between two neighbouring columns (or rows) of pixels. Over all lines along which a patch
or region begins or ends, and over all others: how often the label changes across the line, and by
how much probabilities do (half the sum of their differences). The seam index is the one divided by
the other: 1 where borders do not show. Writes a dated file into benchmarks/results.
"""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import heading, natural, paragraph, table, write_result
from glnet.errors import GLNetError
from glnet.geometry import Size, Window, blocks
from glnet.inference.machine import resolved
from glnet.inference.regions import RegionRule, regions_of
from glnet.inference.settings import Settings
from glnet.inference.streaming import Prediction, answers_of, predict
from glnet.model.checkpoint import Model, load_model
from glnet.raster import Raster, open_raster

SIDE = 512
"""Of the blocks in which answers are compared; a block sees one more row and column."""


class Changes(NamedTuple):
    """Sums over all pixels along every line across one axis: (lines,) each."""

    labels: NDArray[np.float64]
    probabilities: NDArray[np.float64]


class Seams(NamedTuple):
    """Mean change per pixel along borders and elsewhere: of labels, of probabilities."""

    borders: tuple[float, float]
    elsewhere: tuple[float, float]

    def cells(self) -> list[str]:
        """As the table shows it."""
        pairs = zip(self.borders, self.elsewhere, strict=True)
        return [
            text
            for border, other in pairs
            for text in (f"{border:.3%}", f"{other:.3%}", f"{border / other:.2f}")
        ]


def main(words: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(words)
    rows = []
    try:
        model = load_model(options.model)
        for name, settings in _ways(options):
            for path in options.images:
                with open_raster(path) as raster:
                    found = seams(model, raster, settings)
                rows.append([name, path.name, *found.cells()])
                print(*rows[-1], sep=" | ", flush=True)
    except GLNetError as error:
        raise SystemExit(str(error)) from error
    write_result("seams", _report(options, rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument("--region", type=natural, help="also in regions of this side")
    parser.add_argument("--device", default="cpu")
    return parser


def _ways(options: argparse.Namespace) -> list[tuple[str, Settings]]:
    base = resolved(Settings(device=options.device, regions=RegionRule("whole")))
    ways = [(f"{of}, whole image", replace(base, blending=of)) for of in ("uniform", "feathered")]
    if options.region:
        parts = RegionRule(side=options.region)
        ways += [
            (f"{of}, regions", replace(base, blending=of, regions=parts))
            for of in ("uniform", "feathered")
        ]
    return ways


def seams(model: Model, raster: Raster, settings: Settings) -> Seams:
    """Changes along the borders of patches and regions, and along all other lines."""
    regions = regions_of(raster.size, model.config, settings.regions).grid
    patches = model.config.framing.grid(regions.patch)
    with predict(model, raster, settings) as prediction:
        rows, columns = _changes(prediction, model, raster.size, settings)
    borders = (
        _borders(regions.rows, regions.patch.height, patches.rows, patches.patch.height),
        _borders(regions.columns, regions.patch.width, patches.columns, patches.patch.width),
    )
    return _compared((rows, columns), borders, raster.size)


def _borders(
    regions: Sequence[int], region: int, patches: Sequence[int], patch: int
) -> Collection[int]:
    """The first pixel behind every line along which something begins or ends."""
    return {
        at
        for start in regions
        for at in (
            start,
            start + region,
            *(start + of for of in patches),
            *(start + of + patch for of in patches),
        )
    }


def _changes(
    prediction: Prediction, model: Model, size: Size, settings: Settings
) -> tuple[Changes, Changes]:
    """Across lines between rows, and between columns."""
    answer, device = answers_of(model)[-1], torch.device(settings.device)
    rows, columns = (
        Changes(np.zeros(length), np.zeros(length)) for length in (size.height, size.width)
    )
    for block in blocks(size, SIDE):
        seen = Size(
            min(block.size.height + 1, size.height - block.row),
            min(block.size.width + 1, size.width - block.column),
        )
        window = Window(block.row, block.column, seen)
        scores = prediction.scores(answer, window, device)
        scores /= prediction.weight(answer, window, device).clamp_min(1e-6)
        probabilities, labels = scores.softmax(dim=0), scores.argmax(dim=0)
        height, width = block.size.height, block.size.width
        for changes, first, axis in ((rows, block.row, 0), (columns, block.column, 1)):
            inside = (
                slice(None) if axis == 0 else slice(0, height),
                slice(None) if axis == 1 else slice(0, width),
            )
            differ = labels[inside].diff(dim=axis).ne(0).double().sum(dim=1 - axis)
            steps = probabilities[:, *inside].diff(dim=1 + axis).abs().sum(dim=0) / 2
            place = slice(first + 1, first + 1 + len(differ))
            changes.labels[place] += differ.cpu().numpy()
            changes.probabilities[place] += steps.double().sum(dim=1 - axis).cpu().numpy()
    return rows, columns


def _compared(
    changes: tuple[Changes, Changes], borders: tuple[Collection[int], Collection[int]], size: Size
) -> Seams:
    sums = np.zeros((2, 3))  # Borders and elsewhere: of labels, of probabilities, pixels.
    for of, at, across in zip(changes, borders, (size.width, size.height), strict=True):
        is_border = np.isin(np.arange(len(of.labels)), list(at))
        for row, chosen in enumerate((is_border, ~is_border)):
            chosen[0] = False  # No line lies before the first pixel.
            sums[row] += [
                of.labels[chosen].sum(),
                of.probabilities[chosen].sum(),
                across * chosen.sum(),
            ]
    border, elsewhere = (tuple(row[:2] / row[2]) for row in sums)
    return Seams(border, elsewhere)


def _report(options: argparse.Namespace, rows: list[list[str]]) -> str:
    columns = (
        *("patches", "image"),
        *("labels that change at borders", "elsewhere", "index"),
        *("change of probabilities at borders", "elsewhere", "index"),
    )
    text = paragraph(
        f"{options.model.name}, on {options.device}. A line lies between two neighbouring rows or "
        "columns of pixels; borders are the lines where a patch or a region begins or ends. The "
        "index is what changes across borders, per pixel, over what changes across other lines."
    )
    return "\n\n".join([heading("Seams"), text, table(columns, rows)])


if __name__ == "__main__":
    main()
