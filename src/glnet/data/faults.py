"""What may be wrong with labelled images, collected so that all of it can be told at once."""

from typing import Literal, NamedTuple

FaultKind = Literal[
    "name",
    "image without mask",
    "mask without image",
    "split",
    "unreadable",
    "size",
    "bands",
    "encoding",
    "value",
]
"""In the order in which they are told."""


class Fault(NamedTuple):
    """Something that keeps images from being used, and which ones."""

    kind: FaultKind
    message: str
    names: tuple[str, ...]
