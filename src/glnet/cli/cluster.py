"""The options of a command that can have others run the network, and what is told of them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.console import complain
from glnet.errors import ConfigurationError

if TYPE_CHECKING:
    from glnet.cluster.executor import ClusterExecutor
    from glnet.cluster.pool import Effort

OPTIONS = {
    "workers": "--workers",
    "gpus_per_worker": "--gpus-per-worker",
    "threads_per_worker": "--threads-per-worker",
}


def add_cluster_options(parser: ArgumentParser) -> None:
    """Add ``--ray`` and what belongs to it."""
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="have workers on a Ray cluster run the network: auto (the cluster that this machine "
        "belongs to, else one of this machine alone), local (that), or host:port",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="how many (default: as many as there is room for)"
    )
    parser.add_argument(
        "--gpus-per-worker",
        type=float,
        metavar="F",
        help="which part of a GPU each takes, such as 1 or 0.5 (default: 0, the CPU)",
    )
    parser.add_argument(
        "--threads-per-worker",
        type=int,
        metavar="N",
        help="with how many threads each computes, and how many CPUs it takes (default: 1)",
    )


@contextmanager
def executor_of(options: Namespace) -> Iterator["ClusterExecutor | None"]:
    """The workers that these options ask for; none where this process runs the network.

    Raises:
        ConfigurationError: If workers are described and no cluster is named, or a number is wrong.
        ClusterError: If there is no such cluster, or no room in it.
    """
    given = {name: options.get(name) for name in OPTIONS if options.get(name) is not None}
    if options.get("ray") is None:
        if given:
            raise ConfigurationError(
                f"{OPTIONS[next(iter(given))]} is for --ray; add --ray auto, or leave it out"
            )
        yield None
        return
    from glnet.cluster.connecting import on_ray  # noqa: PLC0415 - imports torch

    with on_ray(options.ray, tell=complain, **given) as executor:
        yield executor


def efforts_of(executor: "ClusterExecutor") -> dict[str, object]:
    """What was done, for programs."""
    return {
        name: {of: vars(effort) for of, effort in efforts.items()}
        for name, efforts in (
            ("scenes", executor.efforts_of_scenes),
            ("workers", executor.efforts),
        )
    }


def effort_lines(executor: "ClusterExecutor") -> list[str]:
    """What was done, a line for every scene and every worker, aligned."""
    # Images of different folders may have the same name.
    scenes = [(Path(name).name, of) for name, of in executor.efforts_of_scenes.items()]
    rows = [("scene", "pieces", "seconds", "waited", "lost"), *_rows(scenes)]
    rows += [("worker", "pieces", "seconds", "waited", "lost"), *_rows(executor.efforts.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [_line(row, widths) for row in rows]


def _rows(efforts: "Iterable[tuple[str, Effort]]") -> list[tuple[str, ...]]:
    return [
        (name, f"{of.pieces}", f"{of.seconds:.1f}", f"{of.waited_s:.1f}", f"{of.lost}")
        for name, of in efforts
    ]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers = row
    parts = [f"{of:>{width}}" for of, width in zip(numbers, widths[1:], strict=True)]
    return "  ".join([f"{name:<{widths[0]}}", *parts])
