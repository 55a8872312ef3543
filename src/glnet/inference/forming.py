"""From a model and settings to the form in which its network is computed."""

from typing import NamedTuple

import torch

from glnet.errors import CollapseError
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model, StoredModel, load_model
from glnet.model.collapse import collapse
from glnet.model.forms import Form, PlainForm


class Formed(NamedTuple):
    """A form, and why it is not the one that was asked for.

    Attributes:
        form: How the network is computed.
        name: ``collapsed`` or ``plain``.
        note: One line, or nothing.
    """

    form: Form
    name: str
    note: str | None = None


def form_of(model: Model | StoredModel, settings: Settings) -> Formed:
    """The form that settings ask for; the plain one for a network that cannot be collapsed.

    Args:
        model: Not changed. Of a stored one, no more weights are read than the form needs.
        settings: Resolved, as by `resolved`.

    Raises:
        CheckpointError: If weights on disk cannot be read.
    """
    device, dtype = settings.device, dtype_of(settings)
    known, part = (model.model, model.part) if isinstance(model, StoredModel) else (model, None)
    note = None
    if settings.collapse:
        try:
            form = collapse(
                known.network, known.bands, device, dtype, part, keeps=settings.keeps_weights
            )
            return Formed(form, "collapsed")
        except CollapseError as error:
            note = f"computed as trained, which is slower, since its head was changed: {error}"
    whole = load_model(model.folder) if isinstance(model, StoredModel) else model
    return Formed(PlainForm(whole.network, device, dtype), "plain", note)


def dtype_of(settings: Settings) -> torch.dtype:
    """The type of the network's numbers; the precision is resolved."""
    dtype: torch.dtype = getattr(torch, settings.precision)
    return dtype
