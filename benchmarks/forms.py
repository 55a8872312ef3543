"""One patch in every form of the network, and in others: time, memory, multiply-adds.

    python -m benchmarks.forms [--backbone resnet50] [--patch 508] [--rounds 5] [--batches 1 2 4 8]
        [--threads N] [--precisions float32] [--device cpu] [--only NAME ...]

All run in turn in one process; the ratio to the bare backbone is taken round by round, at the same
number of patches at once. Before anything is timed, the forms of a network must agree. Writes a
dated file and a picture into benchmarks/results.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.bars import Measured, draw_bars
from benchmarks.common import (
    device_name,
    distance,
    heading,
    interleaved,
    mebibytes,
    natural,
    paragraph,
    ratios,
    spread,
    table,
    write_result,
)
from benchmarks.patch_ways import (
    BACKBONE,
    CLASSES,
    FORMS,
    NAMES,
    NETWORKS,
    OTHERS,
    SMP,
    Run,
    Way,
    build_ways,
    is_missing,
    make_scene,
    other_side,
)
from glnet.errors import ConfigurationError
from glnet.inference.live_bytes import LiveBytes
from glnet.inference.machine import chosen_device, chosen_precision

ALLOWED = 1e-2
"""Difference of forms in float32, in shares of the largest score; a GPU's float32 convolutions
round to 10 bits."""


class Result(NamedTuple):
    """Of one precision.

    Attributes:
        difference: The largest between two forms of one network, in shares of the largest score.
        measured: Every way with every number of patches at once.
    """

    difference: float
    measured: list[Measured]


def main(words: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(words)
    torch.set_num_threads(options.threads)
    try:
        options.device = chosen_device(options.device)
        precisions: list[str] = [chosen_precision(of, options.device) for of in options.precisions]
        with torch.inference_mode():
            results = {of: _of_precision(of, options) for of in precisions}
    except ConfigurationError as error:
        raise SystemExit(str(error)) from error
    target = write_result("forms", _report(options, results))
    measured = {precision: of.measured for precision, of in results.items()}
    draw_bars(measured, _title(options), target.with_suffix(".png"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--patch", type=natural, default=508)
    parser.add_argument("--rounds", type=natural, default=5)
    parser.add_argument("--batches", type=natural, nargs="+", default=[1, 2, 4, 8], metavar="N")
    parser.add_argument("--threads", type=natural, default=torch.get_num_threads())
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    return parser


# What is measured


def _of_precision(precision: str, options: argparse.Namespace) -> Result:
    """Build all ways, compare them, measure them."""
    dtype = getattr(torch, precision)
    scene = make_scene(options.patch, max(options.batches), options.device, dtype)
    names = set(options.only or NAMES)
    ways = build_ways(options.backbone, scene, names, options.device, dtype)
    found = difference(ways)
    if precision == "float32" and not found <= ALLOWED:
        raise ValueError(f"the forms of a network are not the same: they differ by {found}")
    measured = [_measured(ways, batch, options) for batch in options.batches]
    return Result(found, list(chain.from_iterable(measured)))


def difference(ways: Mapping[str, Way]) -> float:
    """The largest between two forms of one network, in shares of the largest score."""
    largest = 0.0
    for network in NETWORKS:
        names = [f"{network}-{form}" for form in FORMS if f"{network}-{form}" in ways]
        scores = [{network: _scores(ways[name])} for name in names]
        largest = max([largest, *(distance(of, scores[0]) for of in scores[1:])])
    return largest


def _scores(way: Way) -> Tensor:
    scores = way(1)()
    assert isinstance(scores, Tensor)
    return scores.float()


def _measured(
    ways: Mapping[str, Way], batch: int, options: argparse.Namespace
) -> Iterator[Measured]:
    counts = {name: _multiply_adds(way(batch)) for name, way in ways.items()}  # also warms up
    peaks = {name: _peak(way(batch), options.device) for name, way in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        runs = {name: _finished(way(batch), options.device) for name, way in ways.items()}
        for name, of in interleaved(runs, 1).items():
            seconds[name] += of
    for name, of in seconds.items():
        yield Measured(
            name=name,
            title=_title_of(name, options.patch),
            batch=batch,
            seconds=[each / batch for each in of],
            ratios=ratios(of, seconds[BACKBONE]),
            peak_bytes=peaks[name],
            multiply_adds=counts[name] / batch,
        )


def _multiply_adds(run: Run) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops()) / 2


def _peak(run: Run, device: str) -> int:
    """The most bytes that tensors of one run take at once, beyond what was there before."""
    if device == "cpu":
        with LiveBytes(device) as live:
            run()
        return int(live.peak)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return int(torch.cuda.max_memory_allocated(device)) - before


def _finished(run: Run, device: str) -> Callable[[], object]:
    """The same, which ends when the device has ended."""
    if device == "cpu":
        return run

    def finished() -> None:
        run()
        torch.cuda.synchronize(device)

    return finished


# What is written


def _title(options: argparse.Namespace) -> str:
    return f"A patch of {options.patch} px, {options.backbone}, {CLASSES} classes"


def _title_of(name: str, patch: int) -> str:
    if name == BACKBONE:
        return "bare backbone"
    if name in OTHERS:
        return f"{OTHERS[name]} (smp), {other_side(name, patch)} px"
    network, form = name.rsplit("-", 1)
    return f"{network.replace('-', ' ')}, {form}"


def _report(options: argparse.Namespace, results: Mapping[str, Result]) -> str:
    packages = ["torch", "timm", *([SMP.replace("_", "-")] if find_spec(SMP) else [])]
    tables = [
        f"## {precision}, {batch} at once\n\n"
        + _table([of for of in result.measured if of.batch == batch])
        for precision, result in results.items()
        for batch in options.batches
    ]
    return "\n".join(
        [
            heading(f"{_title(options)}, in every form", packages),
            paragraph(_words(options, results)),
            "",
            _left_out(options),
            "\n\n".join(tables),
            "",
        ]
    )


def _words(options: argparse.Namespace, results: Mapping[str, Result]) -> str:
    each = ", ".join(f"{of.difference:.0e} in {name}" for name, of in results.items())
    return f"""
        On {device_name(options.device)}; one image of noise in which a patch is what 508 px are in
        2448x2448; fresh weights. Local: that branch alone; aggregation: no sharing; all others
        aggregate as well. Plain: every heard map is cropped and enlarged (`grid_sample`) to the
        size of the branch's own, concatenated and convolved; merged by `interpolate`. Hearing:
        glnet's `PlainForm`, which also computes the local branch's own answer. Collapsed: glnet's
        default. Scores of the forms of a network differ by at most (shares of the largest) {each}.
        A run is `see_patches`, the merge (bidirectional) and the far part, to scores at stride 4;
        without the thumbnail's passes, reading and scratch. In low precision weights are cast, but
        `PlainForm`'s, which are cast by autocast in every run. Networks of
        segmentation_models_pytorch (smp) give scores at full size; where they insist, patches are
        padded to a multiple of 32, the side behind the name. Seconds are medians (range) of
        {options.rounds} rounds in turn. MiB: the most that tensors of one run take at once, without
        weights, pixels and merged maps; on a CPU without what libraries take within an operation.
        Multiply-adds are those of convolutions and matrix products.
    """


def _left_out(options: argparse.Namespace) -> str:
    names = [name for name in options.only or NAMES if is_missing(name, options.backbone)]
    if not names:
        return ""
    has_smp = find_spec(SMP) is not None
    why = f"has no encoder {options.backbone}" if has_smp else "is not installed: make bench does"
    return f"Left out: {', '.join(names)}, since {SMP} {why}.\n"


def _table(measured: Sequence[Measured]) -> str:
    columns = ["", "ms per patch", "over the backbone", "MiB", "10^9 multiply-adds per patch"]
    rows = [
        (
            of.title,
            spread([1000 * each for each in of.seconds], 1),
            spread(of.ratios),
            mebibytes(of.peak_bytes),
            f"{of.multiply_adds / 1e9:.2f}",
        )
        for of in measured
    ]
    return table(columns, rows)


if __name__ == "__main__":
    main()
