"""From a model and settings to the form in which its network is computed."""

from dataclasses import dataclass

import torch

from glnet.errors import CollapseError
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model, StoredModel
from glnet.model.collapse import CollapsedForm, collapse, has_own_head
from glnet.model.compiling import Compiling
from glnet.model.forms import Form, PlainForm


@dataclass(frozen=True)
class Formed:
    """A form, and why it is not the one that was asked for.

    Attributes:
        form: How the network is computed.
        name: ``collapsed`` or ``plain``.
        because: Why it is not collapsed, if that was asked for, in one line.
        compiling: What became of compiling, if that was asked for; known once it has run.
    """

    form: Form
    name: str
    because: str | None = None
    compiling: Compiling | None = None

    @property
    def is_compiled(self) -> bool:
        """Whether code was made for the backbone, as far as is known."""
        return self.compiling is not None and self.compiling.failure is None

    @property
    def note(self) -> str | None:
        """What is not as it was asked for, as far as is known: one line, or nothing."""
        failure = None if self.compiling is None else self.compiling.failure
        notes = [] if self.because is None else [self.because]
        if failure is not None:
            notes.append(f"computed without --compile, which failed: {failure}")
        return "; ".join(notes) or None


def form_of(model: Model | StoredModel, settings: Settings) -> Formed:
    """The form that settings ask for; the plain one for a network that cannot be collapsed.

    Args:
        model: Not changed. Of a stored one, no more weights are read than the form needs.
        settings: Resolved, as by `resolved`.

    Raises:
        CheckpointError: If weights on disk cannot be read.
    """
    form, because = _form_of(model, settings)
    compiling = form.compile() if settings.compile else None
    return Formed(
        form, "collapsed" if isinstance(form, CollapsedForm) else "plain", because, compiling
    )


def _form_of(model: Model | StoredModel, settings: Settings) -> tuple[Form, str | None]:
    """The form, and why it is not collapsed, if that was asked for."""
    device, dtype = settings.device, dtype_of(settings)
    known, part = (model.model, model.part) if isinstance(model, StoredModel) else (model, None)
    because = None
    if settings.collapse and has_own_head(known.network):
        try:
            form = collapse(
                known.network, known.bands, device, dtype, part, keeps=settings.keeps_weights
            )
        except CollapseError as error:
            because = f"computed as trained, which is slower, since its head was changed: {error}"
        else:
            return form, None
    whole = model.whole() if isinstance(model, StoredModel) else model
    return PlainForm(whole.network, device, dtype), because


def dtype_of(settings: Settings) -> torch.dtype:
    """The type of the network's numbers; the precision is resolved."""
    dtype: torch.dtype = getattr(torch, settings.precision)
    return dtype
