"""``glnet reproduce``: a table or figure of the paper from own images, ours beside the paper's."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from glnet.cli.console import ProgressDisplay, complain, drawn, say
from glnet.cli.datasets import add_dataset_options
from glnet.cli.training_display import TrainingDisplay
from glnet.data.folder import DatasetKind
from glnet.evaluation.tables import Table

if TYPE_CHECKING:
    from glnet.reproduction.datasets_table import Place
    from glnet.reproduction.request import Request
    from glnet.reproduction.results import ResultTable

NAMES = (
    *("table1", "table2", "table3", "table4", "table5", "table6", "table7"),
    *("fig1a", "fig1b", "fig1c", "fig3", "fig7", "fig8"),
)


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="Make a table or figure of the paper: train and measure every network that it "
        "names on your images, with the paper's numbers beside ours. Writes a page, values and a "
        "picture into OUTPUT/NAME; what was trained stays in OUTPUT/runs, where other tables and "
        "figures find it. Called again, it goes on where it was stopped.",
    )
    parser.add_argument("name", metavar="NAME", help=f"what to make: {', '.join(NAMES)}")
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="FOLDER",
        help="the dataset; table1 takes several, as KIND=FOLDER where a folder is of another kind",
    )
    add_dataset_options(parser)
    parser.add_argument("--output", required=True, metavar="FOLDER", help="where to")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small networks, little training, few images: minutes on a CPU, to see that it works; "
        "the numbers do not compare with the paper's",
    )
    parser.add_argument(
        "--split", help="whose images are evaluated (default: test if there is one, or validation)"
    )
    parser.add_argument(
        "--seeds", type=PositiveInt, default=1, metavar="N", help="trainings of every network"
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="what a prediction may take on the device, such as 2GiB; networks that need more are "
        "left out",
    )
    parser.add_argument(
        "--protocol",
        type=Literal["generic", "deepglobe", "isic", "inria"] | None,
        help="how answers are scored, if not as the dataset's benchmark does",
    )
    parser.add_argument(
        "--published",
        nargs="+",
        default=[],
        metavar="FILE",
        help="the three published checkpoints, global, global to local and local to global: their "
        "rows are evaluated, nothing is trained",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="changes the training configuration of every network, such as run.device=cuda",
    )
    return parser


def run(options: Namespace) -> int:
    """Make it; 1 if a network could not be trained or measured."""
    if options.name == "table1":
        return _statistics(options)
    from glnet.reproduction.effort import PAPER, QUICK  # noqa: PLC0415 - imports torch
    from glnet.reproduction.running import Runs  # noqa: PLC0415
    from glnet.reproduction.targets import target  # noqa: PLC0415
    from glnet.training.run import Watchers  # noqa: PLC0415

    wanted = target(options.name)
    output = Path(options.output)
    with closing(TrainingDisplay()) as display:
        runs = Runs(
            output,
            _request(options),
            QUICK if options.quick else PAPER,
            display.note,
            Watchers(display.epoch, display.step, display.note),
        )
        display.note(f"{options.name}: {wanted.title}")
        made = wanted.make(runs, output / options.name)
    for reason in made.left_out:
        complain(f"left out: {reason}")
    if made.table is not None:
        say(in_short(made.table))
    for path in made.files:
        say(str(path))
    return 1 if made.failures else 0


def in_short(table: "ResultTable") -> str:
    """What a terminal has room for: ours beside the paper's; the page has every column."""
    from glnet.reproduction.results import QUICK, SHORT  # noqa: PLC0415

    columns = [name for name in SHORT if name in table.columns]
    head = ("", *(SHORT[name] for name in columns))
    rows = [(of.label, *(table.words(of, name) for name in columns)) for of in table.rows]
    title = f"{table.title} ({QUICK})" if table.is_quick else table.title
    return drawn(Table(title, head, tuple(rows)))


def _request(options: Namespace) -> "Request":
    from glnet.errors import ConfigurationError  # noqa: PLC0415
    from glnet.inference.budget import parsed_bytes  # noqa: PLC0415
    from glnet.reproduction.request import Request  # noqa: PLC0415

    if len(options.data) != 1:
        raise ConfigurationError(f"{options.name} is made of one dataset, got {len(options.data)}")
    for change in options.set:
        if "=" not in change:
            raise ConfigurationError(f"--set is KEY=VALUE, such as run.device=cuda; got {change}")
    return Request(
        data=options.data[0],
        kind=options.dataset,
        description=options.description,
        split=options.split,
        quick=options.quick,
        seeds=options.seeds,
        memory=None if options.memory is None else parsed_bytes(options.memory),
        protocol=options.protocol,
        published=tuple(options.published),
        changes=tuple(f"--{change}" for change in options.set),
    )


def _statistics(options: Namespace) -> int:
    """Table 1, of one or several datasets."""
    from glnet.reproduction.datasets_table import write_datasets_table  # noqa: PLC0415

    display = ProgressDisplay("counting")
    try:
        counted = write_datasets_table(
            [_place(text, options) for text in options.data],
            Path(options.output) / options.name,
            display.advance,
        )
    finally:
        display.stop()
    for reason in counted.failures:
        complain(f"left out: {reason}")
    for path in counted.files:
        say(str(path))
    return 1 if counted.failures else 0


def _place(text: str, options: Namespace) -> "Place":
    """A dataset of Table 1 as it is typed: a folder, with its kind before it if need be."""
    from glnet.reproduction.datasets_table import Place  # noqa: PLC0415

    kind, equals, folder = text.partition("=")
    if equals and kind in get_args(DatasetKind):
        return Place(folder, cast(DatasetKind, kind))
    return Place(text, options.dataset, options.description)
