"""Which patches keep the context branch's answer, and the scores that they keep.

An opt-in shortcut: a patch over which the context branch is sure of one class everywhere is neither
read nor run by the local branch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glnet.errors import ConfigurationError
from glnet.geometry import PatchGrid
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.resampling import Axis


@dataclass(frozen=True)
class RefineRule:
    """Which patches enter the local branch.

    Attributes:
        below: Those over which a probability of the context branch is below this, or over which it
            has more classes than one.
        frame: (K, h, w) of a patch's scores, for a raster of which no patch enters it.
    """

    below: float
    frame: torch.Size


def refine_rule_of(model: Model, settings: Settings, grid: PatchGrid) -> RefineRule | None:
    """What settings say of a raster's patches; None where all enter the local branch."""
    if settings.refine_below is None:
        return None
    sides = (grid.patch.height, grid.patch.width)
    seen = [-(-side // model.config.framing.reduction) for side in sides]
    cells = [-(-side // model.network.stride) for side in seen]
    return RefineRule(settings.refine_below, torch.Size((model.num_classes, *cells)))


def require_context(model: Model, settings: Settings) -> None:
    """Refuse to ask a branch that there is not.

    Raises:
        ConfigurationError: If patches are to be refined where a context branch is unsure, and the
            model has none.
    """
    if settings.refine_below is not None and model.network.context is None:
        raise ConfigurationError(
            f"refining below a probability of {settings.refine_below:g} asks the context branch, "
            "and this model has none; leave out refine_below (--refine-below)"
        )


def sure_patches(
    logits: Tensor, exchange: Exchange, places: Sequence[PatchIndex], least: float
) -> frozenset[int]:
    """The patches over which one class has at least a probability everywhere.

    That is: at every cell that a patch reaches, and at one more on each side, so that all scores
    that are interpolated for the patch have this class as their best.

    Args:
        logits: (1, K, h, w), the context branch's own answer for the whole raster.
        exchange: Of the raster.
        places: Of all patches, in the order in which they are numbered.
        least: The probability.
    """
    # In float64, where fewer probabilities are rounded to 1.
    found = logits[0].float().cpu().double().softmax(dim=0).max(dim=0)
    is_high, winner = found.values.numpy() >= least, found.indices.numpy()
    rows = _reached(exchange.rows, winner.shape[0])
    columns = _reached(exchange.columns, winner.shape[1])

    def is_sure(place: PatchIndex) -> bool:
        cells = (rows[place[0]], columns[place[1]])
        own = winner[cells]
        return bool(is_high[cells].all() and (own == own[0, 0]).all())

    return frozenset(number for number, place in enumerate(places) if is_sure(place))


def context_scores(
    logits: Tensor, exchange: Exchange, frame: torch.Size, places: Sequence[PatchIndex]
) -> Tensor:
    """The context branch's logits (1, K, h, w) as scores of patches: (N, *frame), float32."""
    return exchange.hear(logits.float(), frame, places).resampled()


def _reached(axis: Axis, cells: int) -> list[slice]:
    """Of so many cells along an axis, those that every patch reaches, and one more on each side."""
    return [
        slice(
            max(0, start * cells // axis.length - 1),
            min(cells, -(-(start + axis.extent) * cells // axis.length) + 1),
        )
        for start in axis.starts
    ]
