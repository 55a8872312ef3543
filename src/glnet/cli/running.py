"""The options of every command that runs a network over images."""

from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace

if TYPE_CHECKING:
    from glnet.inference.streaming import Settings


def add_running_options(parser: ArgumentParser, precision: str) -> None:
    """Add ``--device``, ``--precision`` and its default, ``--patch-batch``, ``--tta``, ...."""
    parser.add_argument(
        "--device",
        default="auto",
        help="where the network runs: auto (a GPU if there is one), cpu, cuda, cuda:1, ...",
    )
    parser.add_argument(
        "--precision",
        type=Literal["auto", "float32", "bfloat16", "float16"],
        default=precision,
        help="in which numbers it computes: auto is bfloat16 or float16 where the device has them",
    )
    parser.add_argument(
        "--patch-batch",
        type=int,
        default=4,
        metavar="N",
        help="patches that enter the network at once; fewer take less memory",
    )
    parser.add_argument(
        "--tta",
        type=Literal["none", "flips", "quarters", "all"],
        default="none",
        help="test-time augmentation: average over the image flipped (4 ways), in quarter turns "
        "(4) or both (8); takes as many times as long",
    )
    parser.add_argument(
        "--no-collapse",
        action="store_true",
        help="compute the head as it was trained, for comparison: slower, the same answer",
    )


def running_settings(options: Namespace) -> "Settings":
    """What these options say."""
    from glnet.inference.streaming import Settings  # noqa: PLC0415 - imports torch

    return Settings(
        device=options.device,
        precision=options.precision,
        patch_batch=options.patch_batch,
        turns=options.tta,
        collapse=not options.no_collapse,
    )
