"""From a raster to all that is known about it: the passes with real pixels.

With `passes.py`, `predict` is the paper's Figure 4 at work. The aggregated scores of a patch are
a local part, known when the patch is first seen, and a global part, which follows from the refined
branch's fused map alone. So patches are read and run once, and only a few class maps per patch
wait in the scratch file. A raster is cut into regions (mostly one: itself); a unit is a region
laid in one way.
"""

from glnet.errors import ConfigurationError
from glnet.inference.box_prediction import BoxPrediction, CoarseLogits, RefinedBox
from glnet.inference.coarse import CoarseAnswer, coarse_answer, coarse_look, coarse_planes
from glnet.inference.forming import form_of
from glnet.inference.machine import resolved
from glnet.inference.pixels import framed, require_bands
from glnet.inference.predicting import (
    HERE,
    Elsewhere,
    Predicting,
    Section,
    blending_of,
    numbered,
)
from glnet.inference.prediction import Prediction
from glnet.inference.settings import Precision, Progress, Settings, quiet
from glnet.inference.sureness import require_context
from glnet.inference.units import Work
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.coarse import coarse_of
from glnet.model.forms import Form
from glnet.model.forms import answers_of as network_answers
from glnet.raster import Raster

__all__ = [
    "Answer",
    "Precision",
    "Prediction",
    "Progress",
    "Settings",
    "answer_of",
    "answers_of",
    "blending_of",
    "predict",
]


def answers_of(model: Model) -> tuple[Answer, ...]:
    """The answers a model can give; the last one is the model's own."""
    return network_answers(model.network)


def answer_of(model: Model, settings: Settings) -> Answer:
    """The answer that settings ask for.

    Raises:
        ConfigurationError: If the model cannot give it.
    """
    known = answers_of(model)
    if settings.answer == "own":
        return known[-1]
    if settings.answer not in known:
        raise ConfigurationError(
            f"this model has no {settings.answer} branch to ask alone; it can give "
            f"{', '.join(known)} (--answer)"
        )
    return Answer(settings.answer)


def predict(  # noqa: PLR0913 - what, where to, how; each may be left out alone
    model: Model,
    raster: Raster,
    settings: Settings,
    wanted: tuple[Answer, ...] = (),
    progress: Progress = quiet,
    form: Form | None = None,
    *,
    elsewhere: Elsewhere = HERE,
    coarse: CoarseAnswer | None = None,
) -> Prediction:
    """Run the network over a raster, every patch once in every way to lay the raster.

    A coarse-to-fine model runs over boxes of it, each as over a raster of its own (section 3.3).

    Args:
        model: Not changed.
        raster: Of the model's band count, any size.
        settings: Where and how.
        wanted: Which answers are to be kept; the model's own by default.
        progress: Told after every batch of patches.
        form: How the network is computed, as `form_of` makes it once for many rasters.
        elsewhere: Where it is noted how far it is, and where it goes on from (started or resumed);
            and who runs the network.
        coarse: What the coarse branch says, where somebody has asked it before.

    Raises:
        ConfigurationError: If there is no such device or precision, or no context branch that
            could be sure of patches.
        InputMismatchError: If the raster has another number of bands than the model takes.
        RasterError: If pixels cannot be read.
        OutputError: If there is no room for the scratch file.
    """
    settings = resolved(settings)
    form = form or form_of(model, settings).form
    wanted = wanted or (answer_of(model, settings),)
    require_bands(raster, model.bands)
    require_context(model, settings)
    work = Work(model, settings, wanted, form)
    if not is_coarse_to_fine(model, settings):
        return Predicting(work, raster, elsewhere).run(progress)
    if coarse is None:
        look = coarse_look(
            form_of(coarse_of(model), settings).form, coarse_planes(model, raster), settings
        )
        coarse = coarse_answer(look, model, raster)
    return _refined(work, raster, elsewhere, coarse, progress)


def is_coarse_to_fine(model: Model, settings: Settings) -> bool:
    """Whether only boxes are refined."""
    return model.config.coarse_to_fine is not None and not settings.everywhere


def _refined(
    work: Work, raster: Raster, elsewhere: Elsewhere, coarse: CoarseAnswer, progress: Progress
) -> Prediction:
    """Predict every box."""
    boxes: list[RefinedBox] = []
    unit, framing = 0, work.model.config.framing
    try:
        for number, place in enumerate(coarse.boxes):
            part = None if place.size == raster.size else place
            section = Section(unit, f"box-{number}-scores")
            predicting = Predicting(work, raster, elsewhere, part, section)
            told = numbered(progress, {"box": (number, len(coarse.boxes))})
            boxes.append(RefinedBox(place, predicting.run(told)))
            unit += predicting.units
    except BaseException:
        for box in boxes:
            box.prediction.close()
        raise
    logits = CoarseLogits(
        coarse.logits, framing.grid(framed(raster, work.model).size), framing.sampling
    )
    return BoxPrediction(raster.size, boxes, logits, has_holes=raster.has_mask)
