"""Whose answer a segmentation is."""

from enum import StrEnum


class Answer(StrEnum):
    """The paper's global, local and aggregated segmentation (section 3.2.3).

    And that of the coarse branch of a coarse-to-fine model, of the whole raster (section 3.3).
    """

    COARSE = "coarse"
    GLOBAL = "global"
    LOCAL = "local"
    AGGREGATED = "aggregated"
