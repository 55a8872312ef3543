"""``glnet report``: one page of a training or an evaluation, to open from disk and hand on."""

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.console import in_binary_units, say


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="Write one HTML file of a training or an evaluation: scores, curves, "
        "confusions, the worst and the best images, configuration, versions and hardware. It opens "
        "from disk, without a server or a network.",
    )
    parser.add_argument(
        "run",
        metavar="RUN",
        help="the output folder of glnet train, also while it runs, or of glnet evaluate --report",
    )
    parser.add_argument(
        "--output", metavar="FILE.html", help="where to (default: report.html in that folder)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")
    return parser


def run(options: Namespace) -> int:
    """Write the page and say where it is."""
    from glnet.reporting.writing import write_report  # noqa: PLC0415 - imports matplotlib

    path = write_report(options.run, options.output, overwrite=options.overwrite)
    say(f"{path}: {in_binary_units(path.stat().st_size)}, opens in any browser")
    return 0
