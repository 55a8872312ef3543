"""``glnet data check``: say all that is to be known of labelled images, and all that is wrong."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import groupby
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace
from rich.table import Table

from glnet.cli.console import ProgressDisplay, in_lines, ruled, say, say_json
from glnet.cli.datasets import add_dataset_options
from glnet.cli.parsing import UsageError

if TYPE_CHECKING:
    from glnet.data.check import DatasetReport
    from glnet.data.faults import Fault
    from glnet.data.tally import SplitReport

SHOWN_FAULTS = 5
"""Of each kind; ``--json`` has them all."""

WIDTH = 80


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="Read every image and mask once: counts, sizes, shares of classes, and all "
        "that is wrong. Exit code 1 if something is.",
    )
    # Not required by the parser, so that a misspelt action is complained of first.
    parser.add_argument("action", nargs="?", metavar="check", help="what to do")
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="the dataset's folder")
    add_dataset_options(parser)
    parser.add_argument(
        "--sheet", metavar="SHEET.png", help="also draw images with their masks on top"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a sheet that exists")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def run(options: Namespace) -> int:
    """Check and report; 1 if something is wrong."""
    if options.action != "check" or options.folder is None:
        raise UsageError(_usage(options.action))
    from glnet.data.check import check_dataset  # noqa: PLC0415 - imports GDAL

    display = ProgressDisplay("checking")
    try:
        report = check_dataset(
            options.folder,
            options.dataset,
            options.description,
            sheet=options.sheet,
            overwrite=options.overwrite,
            progress=display.advance,
        )
    finally:
        display.stop()
    if options.json:
        say_json(report.to_dict())
    else:
        show(report)
    return 1 if report.faults else 0


def show(report: "DatasetReport") -> None:
    """Print a report, for people."""
    splits = [of for of in report.splits if of.images or of.absent]
    say(in_lines(_table(report, splits)))
    for remark in report.remarks:
        say(f"note: {remark}")
    if report.proposal is not None:
        say("\nThere is no dataset.yaml. To start from, fill in the names and save as")
        say(f"{report.folder}/dataset.yaml:\n\n{report.proposal}")
    for kind, faults in groupby(report.faults, key=lambda fault: fault.kind):
        _show_faults(kind, list(faults))
    if report.sheet is not None:
        say(f"the contact sheet is {report.sheet}")
    say(_verdict(report))


def _table(report: "DatasetReport", splits: "Sequence[SplitReport]") -> Table:
    table = ruled(f"{report.folder} ({report.kind})")
    table.add_column("split")
    for of in splits:
        table.add_column(of.name, justify="right")
    for title, cell in ROWS.items():
        table.add_row(title, *(cell(of) for of in splits))
    table.add_section()
    for number, info in enumerate(report.classes):
        table.add_row(f"% {info.name}", *(_share(of.shares[number], of) for of in splits))
    ignored = (_share(of.ignored_share, of, of.ignored_pixels) for of in splits)
    table.add_row("% ignored (of all)", *ignored)
    return table


def _cell(value: object) -> str:
    return "-" if value in (None, 0) else str(value)


def _bands(of: "SplitReport") -> str:
    return f"{'/'.join(map(str, of.bands))} {'/'.join(of.dtypes)}"


ROWS: "Mapping[str, Callable[[SplitReport], str]]" = {
    "images": lambda of: str(of.images),
    "not there": lambda of: _cell(of.absent),
    "without mask": lambda of: _cell(of.without_mask),
    "smallest": lambda of: _cell(of.smallest),
    "largest": lambda of: _cell(of.largest),
    "different sizes": lambda of: _cell(of.sizes),
    "bands": _bands,
    "turned by EXIF": lambda of: _cell(of.turned),
}


def _share(share: float, of: "SplitReport", pixels: int = 0) -> str:
    """A percentage, with as many digits as a rare class needs; - where nothing was counted."""
    if not of.labelled_pixels and not pixels:
        return "-"
    return f"{100 * share:.2g}" if 0 < share < 0.01 else f"{100 * share:.1f}"


def _show_faults(kind: str, faults: "Sequence[Fault]") -> None:
    for fault in faults[:SHOWN_FAULTS]:
        say(f"fault ({kind}): {fault.message}")
    rest = len(faults) - SHOWN_FAULTS
    if rest > 0:
        say(f"fault ({kind}): and {rest} more like these; --json lists all")


def _verdict(report: "DatasetReport") -> str:
    count = len(report.faults)
    return f"{count or 'no'} {'fault' if count == 1 else 'faults'} found"


def _usage(action: str | None) -> str:
    """What to type instead."""
    if action is None or get_close_matches(action, ["check"]):
        return "expected: glnet data check FOLDER"
    return f"expected: glnet data check FOLDER, got {action!r} in the place of check"
