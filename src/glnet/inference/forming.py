"""From a model and settings to the form in which its network is computed."""

from typing import NamedTuple

import torch

from glnet.errors import CollapseError
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model
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


def form_of(model: Model, settings: Settings) -> Formed:
    """The form that settings ask for; the plain one for a network that cannot be collapsed.

    Args:
        model: Not changed.
        settings: Resolved, as by `resolved`.
    """
    device, dtype = settings.device, dtype_of(settings)
    if not settings.collapse:
        return Formed(PlainForm(model.network, device, dtype), "plain")
    try:
        return Formed(collapse(model.network, model.bands, device, dtype), "collapsed")
    except CollapseError as error:
        note = f"computed as trained, which is slower, since its head was changed: {error}"
        return Formed(PlainForm(model.network, device, dtype), "plain", note)


def dtype_of(settings: Settings) -> torch.dtype:
    """The type of the network's numbers; the precision is resolved."""
    dtype: torch.dtype = getattr(torch, settings.precision)
    return dtype
