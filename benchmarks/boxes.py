"""What the boxes of a coarse-to-fine model save, and what they cost or bring.

    python -m benchmarks.boxes MODEL DATA [--description dataset.yaml] [--split all]

Every image of a split is segmented with boxes and with `--everywhere`, in turn, from its file to
the label map on disk; multiply-adds are counted in runs of their own. Writes a dated file into
benchmarks/results.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

import numpy as np
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import heading, paragraph, table, write_result
from glnet.data import LabelledSample, SegmentationFolder, open_dataset
from glnet.errors import GLNetError
from glnet.geometry import strips
from glnet.inference.report import SegmentReport
from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.inference.starting import Rules
from glnet.raster import Palette, open_raster

FOREGROUND = 1
ROWS = 512


@dataclass(frozen=True)
class Way:
    """An image segmented in one way.

    Attributes:
        report: How it went.
        multiply_adds: Of convolutions and matrix products.
        both: Pixels of foreground that are so.
        either: Pixels that are foreground, or are called so.
    """

    report: SegmentReport
    multiply_adds: int
    both: int
    either: int

    @property
    def area(self) -> int:
        """In pixels."""
        return self.report.height * self.report.width

    @property
    def jaccard(self) -> float:
        """Intersection over union of the foreground, in %."""
        return 100 * self.both / max(1, self.either)

    @property
    def mean_iou(self) -> float:
        """The same, and that of the background, in the mean."""
        return (self.jaccard + 100 * (self.area - self.either) / (self.area - self.both)) / 2


Pair = tuple[Way, Way]
"""With boxes, and everywhere."""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--description", type=Path, help="of the dataset, if not its dataset.yaml")
    parser.add_argument("--split", default="all")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args(words)
    boxed = Settings(precision=options.precision)
    everywhere = replace(boxed, everywhere=True)
    try:
        data = open_dataset(options.data, description=options.description)
        pairs: list[Pair] = [
            (
                _segmented(sample, data, options.model, boxed),
                _segmented(sample, data, options.model, everywhere),
            )
            for sample in data.split(options.split)
        ]
    except GLNetError as error:
        raise SystemExit(str(error)) from error
    write_result(f"boxes-{options.data.resolve().name}", _report(pairs))


def _segmented(
    sample: LabelledSample, data: SegmentationFolder, model: Path, settings: Settings
) -> Way:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "labels.tif"
        report = segment_file(sample.name, output, model, settings)
        with FlopCounterMode(display=False) as counter:
            segment_file(sample.name, output, model, settings, rules=Rules(overwrite=True))
        both = either = 0
        with open_raster(output, Palette.KEEP) as found, sample.open_labels(data.description) as of:
            for strip in strips(found.size, ROWS):
                ours = found.read(strip)[0] == FOREGROUND
                truth = of.read(strip) == FOREGROUND
                both += int(np.count_nonzero(ours & truth))
                either += int(np.count_nonzero(ours | truth))
    return Way(report, counter.get_total_flops() // 2, both, either)


def _report(pairs: Sequence[Pair]) -> str:
    rows = [_row(Path(of[0].report.image).stem, [of]) for of in pairs]
    text = paragraph(
        """
        Every figure with boxes, and after the stroke without (`--everywhere`); shares are those of
        what is done without. Seconds are from the file to the label map on disk, one run of each
        in turn. Jaccard index of the foreground and mean IoU in %; in the last row means over the
        images, and sums of all else.
        """
    )
    columns = ("image", "size", "patches", "share", "multiply-adds (G)", "share", "seconds")
    lines = table(
        (*columns, "share", "Jaccard", "mIoU"), [*rows, _row(f"{len(pairs)} images", pairs)]
    )
    return f"{heading('Boxes of a coarse-to-fine model')}\n{text}\n\n{lines}"


def _row(name: str, pairs: Sequence[Pair]) -> list[str]:
    boxed, everywhere = zip(*pairs, strict=True)

    def sums(of: Sequence[Way]) -> tuple[float, float, float]:
        return (
            sum(way.report.patches for way in of),
            sum(way.multiply_adds for way in of) / 1e9,
            sum(way.report.seconds for way in of),
        )

    cells = []
    for ours, theirs, digits in zip(sums(boxed), sums(everywhere), (0, 1, 1), strict=True):
        cells += [f"{ours:.{digits}f} / {theirs:.{digits}f}", f"{ours / theirs:.2f}"]
    scores = [
        " / ".join(f"{np.mean([score(way) for way in of]):.1f}" for of in (boxed, everywhere))
        for score in (attrgetter("jaccard"), attrgetter("mean_iou"))
    ]
    one = boxed[0].report
    return [name, f"{one.width}x{one.height}" if len(pairs) == 1 else "", *cells, *scores]


if __name__ == "__main__":
    main()
