"""``glnet evaluate``: measure a model's answers on labelled images."""

from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.console import ProgressDisplay, say, say_json
from glnet.cli.datasets import add_dataset_options
from glnet.cli.running import (
    add_everywhere_option,
    add_memory_options,
    add_refining_option,
    add_running_options,
    add_seeing_options,
    running_settings,
)
from glnet.cli.scores import score_table


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="IoU per class, mIoU and accuracy of every answer, at full resolution, and "
        "the numbers of a benchmark's protocol.",
    )
    parser.add_argument("model", metavar="MODEL", help="the model's folder")
    parser.add_argument("data", metavar="DATA", help="the dataset's folder")
    add_dataset_options(parser)
    parser.add_argument("--split", default="validation", help="which of its images")
    parser.add_argument(
        "--protocol",
        type=Literal["generic", "deepglobe", "isic", "inria"] | None,
        help="how answers are scored, if not as the dataset's benchmark does: generic (IoU over "
        "all pixels), deepglobe (six classes, and the published counting), isic (Jaccard per "
        "image), inria (per city)",
    )
    parser.add_argument("--output", metavar="REPORT.json", help="also write the numbers there")
    parser.add_argument(
        "--report",
        metavar="FOLDER",
        help="also make a report there: tables, and pictures of the worst and the best images",
    )
    parser.add_argument(
        "--pictures",
        type=int,
        default=3,
        metavar="N",
        help="how many of the worst images the report shows, and of the best",
    )
    add_running_options(parser, precision="float32")
    add_refining_option(parser)
    add_memory_options(parser)
    add_everywhere_option(parser)
    add_seeing_options(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a report that exists")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def run(options: Namespace) -> int:
    """Evaluate and report."""
    from glnet.evaluation.evaluate import ReportFolder, evaluate_folder  # noqa: PLC0415
    from glnet.inference.heap import share_one_heap  # noqa: PLC0415

    share_one_heap()
    settings = running_settings(options)
    folder = options.report and ReportFolder(Path(options.report), options.pictures)
    with ExitStack() as stack:
        display = ProgressDisplay("evaluating")
        stack.callback(display.stop)
        evaluation = evaluate_folder(
            options.model,
            options.data,
            options.split,
            settings,
            description=options.description,
            kind=options.dataset,
            protocol=options.protocol,
            report=options.output,
            report_folder=folder or None,
            overwrite=options.overwrite,
            progress=display.advance,
        )
    if options.json:
        say_json(evaluation.to_dict())
    else:
        say(score_table(evaluation.to_dict()))
        if options.report:
            say(f"the report is in {options.report}; one page: glnet report {options.report}")
        if evaluation.note is not None:
            say(evaluation.note)
    return 0
