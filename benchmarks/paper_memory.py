"""Memory of every network at the paper's sizes, by estimate, beside Tables 2, 3, 5 and 7.

    python -m benchmarks.paper_memory

Nothing is trained or computed: networks run on tensors without values. Writes a dated file into
benchmarks/results.
"""

import argparse
from collections.abc import Sequence

from benchmarks.common import heading, paragraph, table, write_result
from glnet.reproduction.comparisons import COMPARISONS, SIZES, Comparison
from glnet.reproduction.measuring import MIB
from glnet.reproduction.tabulating import paper_bytes

TABLES = ("table2", "table3", "table5", "table7")
COLUMNS = ("network", "estimated (MB)", "paper (MB)", "order here", "order there")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    options = parser.parse_args()
    parts = [_part(COMPARISONS[name]) for name in options.tables]
    about = paragraph(
        "Tensors and weights on a GPU in float32 while one image is predicted, one patch or one "
        "whole image at a time, no gradients, by glnet estimate; the head of GLNet multiplied "
        "out. The paper's numbers are those of gpustat and hold the driver's share too. Orders "
        "count from the network that takes least, among those that the paper has. MB are 2^20 "
        "bytes. Whole images are not shrunk here, but to half for PSPNet and SegNet. The paper "
        "shrank those of some networks in Table 3 (footnote 4) and of most in Table 5 (footnote "
        "7), to sizes that it does not state; nor does it state the backbones of the compared "
        "networks, which are ResNet-50 and VGG-16 here. So orders among whole images may "
        "differ, and U-Net's place among patches."
    )
    title = heading("Memory at the sizes of the paper")
    write_result("paper-memory", f"{title}\n{about}\n\n{''.join(parts).rstrip()}\n")


def _part(comparison: Comparison) -> str:
    size, classes = SIZES[comparison.paper.dataset]
    found = []
    for row in comparison.rows:
        needed = paper_bytes(row.method, size, classes)
        print(row.method.key, needed, flush=True)
        found.append(None if needed is None else needed / MIB)
    theirs = [None if row.paper is None else row.paper.memory for row in comparison.rows]
    both = [i for i, of in enumerate(theirs) if of is not None and found[i] is not None]
    here, there = _order(found, both), _order(theirs, both)
    rows = [
        [row.method.label, _words(found[i]), _words(theirs[i]), here.get(i, ""), there.get(i, "")]
        for i, row in enumerate(comparison.rows)
    ]
    title = f"## Table {comparison.paper.number}: {size} pixels"
    return f"{title}\n\n{table(COLUMNS, rows)}\n\n"


def _order(values: Sequence[float | None], among: Sequence[int]) -> dict[int, str]:
    known = [values[i] or 0.0 for i in among]
    # Shown as whole numbers: what is alike there shares a place.
    return {i: str(1 + sum(round(of) < round(values[i] or 0.0) for of in known)) for i in among}


def _words(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"  # noqa: RUF001 - an en dash is meant


if __name__ == "__main__":
    main()
