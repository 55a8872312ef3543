"""A model that is ready to predict one raster after another."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glnet.inference.budget import Fitting
from glnet.inference.coarse import (
    CoarseAnswer,
    CoarseLook,
    Remember,
    coarse_answer,
    coarse_look,
    coarse_planes,
    made_now,
)
from glnet.inference.executing import Crew, Executor, Image, Loaded
from glnet.inference.forming import Formed, form_of
from glnet.inference.host_memory import NOTHING, Beside
from glnet.inference.machine import explained_memory, resolved
from glnet.inference.pixels import require_bands
from glnet.inference.predicting import Elsewhere
from glnet.inference.prediction import Prediction
from glnet.inference.settings import Settings
from glnet.inference.source import Source
from glnet.inference.streaming import answer_of, is_coarse_to_fine, predict
from glnet.inference.sureness import require_context
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model, StoredModel, open_model
from glnet.model.coarse import coarse_of, stored_coarse_of
from glnet.model.digest import digest_of
from glnet.model.forms import answers_of
from glnet.model.seeing import seeing, stored_seeing
from glnet.raster import Raster, RasterFile


class Predictor:
    """What rasters share: the model, in the form in which it is computed, and the settings.

    Args:
        model: As loaded, or its folder, of which no more weights are read than are needed.
        settings: Their device and precision may be ``auto``.
        keeps_all: Whether all answers for every raster will be kept, not the model's own alone.
        executor: Who runs the network, if not this process.

    Attributes:
        model: The network has no weights where the model is a folder.
        settings: Resolved, for this process.
        loaded: Others that run the network, if there are any; they have the model ready.

    Raises:
        CheckpointError: If the model does not load.
        ConfigurationError: If there is no such device or precision, or the settings ask for a
            branch that the model has not.
        ClusterError: If the executor's workers cannot run it.
    """

    def __init__(
        self,
        model: Model | str | Path,
        settings: Settings,
        *,
        keeps_all: bool = False,
        executor: Executor | None = None,
    ) -> None:
        self.settings = resolved(settings if executor is None else executor.here(settings))
        with explained_memory("the model", self.settings):
            found = _seeing(model if isinstance(model, Model) else open_model(model), settings)
        self._found = found
        self._digest: str | None = None
        self.model = found if isinstance(found, Model) else found.model
        require_context(self.model, self.settings)
        own = (answer_of(self.model, self.settings),)
        wanted = answers_of(self.model.network) if keeps_all else own
        self._fitting = Fitting(self.model, self.settings, wanted)

        self._formed = _forms_of(found, self.settings)
        self._coarse = self._coarse_part()
        self._coarse_formed = (
            None
            if self._coarse is None
            else _forms_of(self._coarse, replace(self.settings, compile=False))
        )
        _ = self.formed  # What is wrong shows at once.
        self.loaded: Loaded | None = None
        if executor is not None:
            self.loaded = executor.load(model, settings, self.digest())

    def _coarse_part(self) -> Model | StoredModel | None:
        """The coarse branch as a model, where it is asked."""
        if not is_coarse_to_fine(self.model, self.settings):
            return None
        found = self._found
        return stored_coarse_of(found) if isinstance(found, StoredModel) else coarse_of(found)

    def coarse(
        self,
        raster: Raster,
        settings: Settings,
        remember: Remember = made_now,
        crew: Crew | None = None,
    ) -> CoarseAnswer | None:
        """What the coarse branch says of a raster; None where the model, or its use, has none.

        Args:
            raster: Opened.
            settings: As `fitted` gives them.
            remember: Where the thumbnail is kept.
            crew: Who runs it, if not this process.

        Raises:
            RasterError: If pixels cannot be read.
            InputMismatchError: If the raster has another number of bands than the model takes.
        """
        if self._coarse is None:
            return None
        if crew is not None:
            require_bands(raster, self.model.bands)
            return coarse_answer(crew.coarse(remember), self.model, raster)
        planes = remember(lambda: coarse_planes(self.model, raster))
        return coarse_answer(self.coarse_look(planes, settings), self.model, raster)

    def coarse_look(self, planes: NDArray[np.float32], settings: Settings) -> CoarseLook:
        """What the coarse branch says of a thumbnail, as `coarse_planes` reads it."""
        assert self._coarse_formed is not None
        form = self._coarse_formed(settings.keeps_weights).form
        return coarse_look(form, planes, settings)

    def crew(self, image: Image, raster: Raster, source: Source, settings: Settings) -> Crew | None:
        """The others that run the network, set to an image; None where this process does.

        Args:
            image: Which.
            raster: The same, as this process has opened it.
            source: How it is opened.
            settings: As `fitted` gives them.
        """
        if self.loaded is None:
            return None
        wanted = (answer_of(self.model, settings),)
        return self.loaded.crew(image, raster, source, settings, wanted)

    def predict(
        self,
        raster: Raster,
        settings: Settings,
        formed: Formed,
        wanted: tuple[Answer, ...] = (),
        crew: Crew | None = None,
    ) -> Prediction:
        """Run the network over a raster; `streaming.predict` says what comes of it.

        Args:
            raster: Opened.
            settings: As `fitted` gives them, with the form.
            formed: The form.
            wanted: Which answers are kept; the model's own by default.
            crew: Who runs it, if not this process.
        """
        coarse = self.coarse(raster, settings, crew=crew)
        return predict(
            self.model,
            raster,
            settings,
            wanted,
            form=formed.form,
            elsewhere=Elsewhere(crew=crew),
            coarse=coarse,
        )

    def digest(self) -> str:
        """A checksum of the model: its configuration and all its weights."""
        if self._digest is None:
            self._digest = digest_of(self._found)
        return self._digest

    @property
    def formed(self) -> Formed:
        """The form of the settings, as far as no memory that they name asks for another one."""
        return self._formed(self.settings.keeps_weights)

    def fitted(self, raster: Raster, beside: Beside = NOTHING) -> tuple[Settings, Formed]:
        """The settings for a raster, within the memory that they name, and the form to compute.

        Args:
            raster: Opened. If it is decoded whole, that counts.
            beside: What else the caller will hold for it.

        Raises:
            ConfigurationError: If that memory is not enough.
        """
        decoded = raster.decoded_bytes if isinstance(raster, RasterFile) else 0
        settings = self._fitting.of(raster.name, raster.size, beside + Beside(decoded))
        return settings, self.formed_for(settings)

    def formed_for(self, settings: Settings) -> Formed:
        """The form to compute, for settings that `fitted` gave."""
        return self._formed(settings.keeps_weights)


def _forms_of(model: Model | StoredModel, settings: Settings) -> Callable[[bool], Formed]:
    """A model's form, by whether its weights stay ready; each is made once.

    It knows nothing of whoever asks: both would stay in memory until Python looks for cycles.
    """
    return cache(lambda keeps: form_of(model, replace(settings, keeps_weights=keeps)))


def _seeing(found: Model | StoredModel, settings: Settings) -> Model | StoredModel:
    """The model, seeing rasters as the settings say."""
    if settings.seeing is None:
        return found
    if isinstance(found, StoredModel):
        return stored_seeing(found, settings.seeing)
    return seeing(found, settings.seeing)
