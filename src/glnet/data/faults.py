"""What may be wrong with labelled images, collected so that all of it can be told at once."""

from typing import Literal, NamedTuple, get_args

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

ORDER: tuple[FaultKind, ...] = get_args(FaultKind)


class Fault(NamedTuple):
    """Something that keeps images from being used, and which ones."""

    kind: FaultKind
    message: str
    names: tuple[str, ...]
