"""The options of every command that runs a network over images."""

from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import PositiveInt

from glnet.errors import ConfigurationError

if TYPE_CHECKING:
    from glnet.inference.streaming import Settings
    from glnet.model.seeing import Seeing


USUAL_BATCH = 4
MOST_WITHIN_BUDGET = 8
"""Patches that enter the network at once, where nothing is said."""


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
        metavar="N",
        help="patches that enter the network at once; fewer take less memory (default: 4, "
        "at most 16)",
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
    parser.add_argument(
        "--compile",
        action="store_true",
        help="let torch.compile make code for the backbone of the patches: on a CPU with 2 cores "
        "and AVX2 (ResNet-50) 36 s to start, then 0.85 to 1.03 times the speed; no GPU was tried",
    )


def add_refining_option(parser: ArgumentParser) -> None:
    """Add ``--refine-below``."""
    parser.add_argument(
        "--refine-below",
        type=float,
        metavar="P",
        help="refine only patches over which the global branch, before it hears patches, is "
        "somewhere less sure than this (over 0, up to 1) or has several classes; the others keep "
        "its answer, which is faster and not the same (default: refine all); glnet estimate, "
        "--memory and --host-memory do not count on it",
    )


def add_memory_options(parser: ArgumentParser) -> None:
    """Add ``--memory`` and ``--host-memory``."""
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="what tensors may take on the device, such as 2GiB; chooses how many patches enter "
        "the network at once (up to 8, or --patch-batch)",
    )
    parser.add_argument(
        "--host-memory",
        metavar="SIZE",
        help="what this process may take of the host's memory, itself included, such as 1500MiB",
    )


def add_everywhere_option(parser: ArgumentParser) -> None:
    """Add ``--everywhere``."""
    parser.add_argument(
        "--everywhere",
        action="store_true",
        help="have a coarse-to-fine model refine the whole image, not boxes around the foreground",
    )


def add_seeing_options(parser: ArgumentParser) -> None:
    """Add ``--see-patches`` and ``--see-whole``."""
    for what, seen in (("patches", "patches"), ("whole", "the whole image, as a square")):
        parser.add_argument(
            f"--see-{what}",
            type=PositiveInt,
            metavar="PIXELS",
            help=f"have a network of one branch see {seen} of this side",
        )


def seeing_of(options: Namespace) -> "Seeing | None":
    """What these options say of how rasters are seen.

    Raises:
        ConfigurationError: If they say two things.
    """
    from glnet.model.seeing import Seeing  # noqa: PLC0415 - imports torch

    patches, whole = options.get("see_patches"), options.get("see_whole")
    if patches and whole:
        raise ConfigurationError("--see-patches and --see-whole exclude each other; name one")
    if patches:
        return Seeing("patches", patches)
    return Seeing("whole", whole) if whole else None


def running_settings(options: Namespace) -> "Settings":
    """What these options say."""
    from glnet.inference.budget import parsed_bytes  # noqa: PLC0415 - imports torch
    from glnet.inference.streaming import Settings  # noqa: PLC0415

    named = [options.get("memory"), options.get("host_memory")]
    memory, host_memory = (None if text is None else parsed_bytes(text) for text in named)
    usual = USUAL_BATCH if memory is None and host_memory is None else MOST_WITHIN_BUDGET
    return Settings(
        device=options.device,
        precision=options.precision,
        patch_batch=usual if options.patch_batch is None else options.patch_batch,
        memory=memory,
        host_memory=host_memory,
        turns=options.tta,
        collapse=not options.no_collapse,
        compile=options.compile,
        everywhere=bool(options.get("everywhere")),
        refine_below=options.get("refine_below"),
        seeing=seeing_of(options),
    )
