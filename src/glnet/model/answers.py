"""Whose answer a segmentation is."""

from enum import StrEnum


class Answer(StrEnum):
    """The paper's global, local and aggregated segmentation (section 3.2.3)."""

    GLOBAL = "global"
    LOCAL = "local"
    AGGREGATED = "aggregated"
