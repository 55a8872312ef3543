"""The options of every command that reads labelled images."""

from typing import get_args

from jsonargparse import ArgumentParser

from glnet.data.folder import DatasetKind


def add_dataset_options(parser: ArgumentParser) -> None:
    """Add ``--dataset`` and ``--description``."""
    parser.add_argument(
        "--dataset",
        type=DatasetKind,
        default="folder",
        metavar="KIND",
        help="how it is laid out: folder (images/, masks/, dataset.yaml), or as a benchmark's "
        f"download: {', '.join(get_args(DatasetKind)[1:])}",
    )
    parser.add_argument(
        "--description", metavar="YAML", help="the folder's description, if it lies elsewhere"
    )
