"""How many pixels have the same label in low precision as in float32.

    python -m benchmarks.agreement MODEL IMAGE ... [--precision bfloat16] [--device cpu]
        [--patch-batch 4]

Both predictions of an image are compared strip by strip. Where labels differ, it is told how far
the two best classes' float32 scores lie apart, beside all pixels. Writes a dated file into
benchmarks/results.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.common import device_name, heading, natural, paragraph, table, write_result
from glnet.errors import GLNetError
from glnet.geometry import strips
from glnet.inference.machine import resolved
from glnet.inference.settings import Settings
from glnet.inference.streaming import answers_of, predict
from glnet.model.checkpoint import Model, load_model
from glnet.raster import Raster, open_raster

SAMPLE = 8
"""Gaps of all pixels must wait in memory, so only every such row and column is kept."""


class Agreement(NamedTuple):
    """Of some pixels.

    Attributes:
        pixels: How many.
        gaps: float32 score of the best class less the next, of a sample of them.
        differing: The same of all pixels whose label differs.
    """

    pixels: int
    gaps: NDArray[np.float32]
    differing: NDArray[np.float32]

    def cells(self) -> list[str]:
        """As the table shows it: pixels, share, and medians."""
        share = 100 * (1 - self.differing.size / self.pixels)
        medians = [f"{np.median(of):.3g}" if of.size else "-" for of in (self.differing, self.gaps)]
        return [str(self.pixels), f"{share:.4f}", str(self.differing.size), *medians]


def main(words: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(words)
    try:
        whole, low = (
            resolved(Settings(device=options.device, precision=of, patch_batch=options.patch_batch))
            for of in ("float32", options.precision)
        )
        model = load_model(options.model)
        found = {path: _of_image(model, path, whole, low) for path in options.images}
    except GLNetError as error:
        raise SystemExit(str(error)) from error
    write_result(f"agreement-{low.precision}", _report(options, low, found))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--patch-batch", type=natural, default=4)
    return parser


def _of_image(model: Model, path: Path, whole: Settings, low: Settings) -> Agreement:
    with open_raster(path) as raster:
        found = together(_strips(model, raster, whole, low))
    print(path.name, *found.cells(), sep=" | ", flush=True)
    return found


def _strips(model: Model, raster: Raster, whole: Settings, low: Settings) -> Iterable[Agreement]:
    answer, device = answers_of(model)[-1], torch.device(whole.device)
    with predict(model, raster, whole) as exact, predict(model, raster, low) as rounded:
        for strip in strips(raster.size, exact.strip_height()):
            scores = exact.scores(answer, strip, device)
            yield compare(scores, rounded.scores(answer, strip, device))


def compare(scores: Tensor, others: Tensor) -> Agreement:
    """Compare the labels of two families of scores (K, H, W); gaps are those of the first."""
    best, second = scores.topk(2, dim=0).values
    gaps = best - second
    is_other = scores.argmax(dim=0) != others.argmax(dim=0)
    sample = gaps[::SAMPLE, ::SAMPLE].flatten()
    return Agreement(gaps.numel(), sample.cpu().numpy(), gaps[is_other].cpu().numpy())


def together(parts: Iterable[Agreement]) -> Agreement:
    """Of all their pixels; at least one part."""
    pixels, gaps, differing = zip(*parts, strict=True)
    return Agreement(sum(pixels), np.concatenate(gaps), np.concatenate(differing))


def _report(options: argparse.Namespace, low: Settings, found: dict[Path, Agreement]) -> str:
    columns = (
        "image",
        "pixels",
        "same label, %",
        "differing pixels",
        "median gap where labels differ",
        "median gap of all pixels",
    )
    rows = [[path.name, *of.cells()] for path, of in found.items()]
    rows.append(["all", *together(found.values()).cells()])
    text = f"""
        {low.precision} beside float32, {options.model.name}, on {device_name(low.device)},
        {low.patch_batch} patches at once, the collapsed form. Gap: the float32 score of the best
        class less that of the next; scores are sums of logits over the patches that lie there. Of
        all pixels: of every {SAMPLE}th row and column of a strip.
    """
    return f"""{heading(f"Labels in {low.precision} and in float32")}
{paragraph(text)}

{table(columns, rows)}
"""


if __name__ == "__main__":
    main()
