"""The entry points: from an image, in memory or on disk, to its labels."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glnet.errors import GLNetError
from glnet.geometry import strips
from glnet.inference.answering import Answerer, Wanted
from glnet.inference.audience import Audience
from glnet.inference.executing import Executor
from glnet.inference.jobs import Extras, Job, job_of, plan_jobs
from glnet.inference.machine import explained_memory
from glnet.inference.prediction import strip_height
from glnet.inference.predictor import Predictor
from glnet.inference.report import (
    SegmentBatch,
    SegmentFailure,
    SegmentReport,
    Unwatched,
    Watcher,
)
from glnet.inference.scene import is_finished, segment_scene
from glnet.inference.settings import Precision, Progress, Settings, quiet
from glnet.inference.source import AS_IT_IS, Source
from glnet.inference.starting import Rules
from glnet.inference.streaming import answers_of
from glnet.inference.together import Outcome, one_by_one, together
from glnet.inference.turns import Turns
from glnet.model.checkpoint import Model
from glnet.raster import ArrayRaster, Raster, open_raster

Labels = NDArray[np.uint8]

LABELS_ALONE = Extras()
NEVER_REPLACE = Rules()


def segment(  # noqa: PLR0913 - what, by whom and how; each may be left out alone
    source: str | Path | NDArray[Any],
    model: Model | str | Path,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    patch_batch: int = 4,
    turns: Turns = "none",
    executor: Executor | None = None,
) -> Labels:
    """Label every pixel of an image: (height, width) uint8, indices into ``model.config.classes``.

    Pixels that are no measurements (nodata, transparent, masked, no number) are 255.

    Args:
        source: A file, or an array (height, width) or (height, width, bands) in the units that the
            model was trained on (0..255 for 8-bit pictures).
        model: As loaded, or its folder.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:1``.
        precision: In which numbers the network computes, see `Settings`.
        patch_batch: How many patches enter the network at once.
        turns: Test-time augmentation, see `Settings`.
        executor: Who runs the network, such as `glnet.on_ray` gives; this process by default.

    Raises:
        RasterError: If the file is no readable picture or the array has other axes.
        InputMismatchError: If the image has another number of bands than the model takes.
        CheckpointError: If the model does not load.
        ConfigurationError: If there is no such device, or not enough memory.
        OutputError: If there is no room for the scratch file.
    """
    settings = Settings(device=device, precision=precision, patch_batch=patch_batch, turns=turns)
    predictor = Predictor(model, settings, executor=executor)
    known = predictor.model
    with _opened(source) as raster, explained_memory(raster.name, predictor.settings):
        settings, formed = predictor.fitted(raster)
        labels = np.empty((raster.size.height, raster.size.width), dtype=np.uint8)
        with (
            explained_memory(raster.name, settings),
            predictor.predict(
                raster, settings, formed, crew=predictor.crew(source, raster, AS_IT_IS, settings)
            ) as prediction,
        ):
            on = torch.device(settings.device)
            answerer = Answerer(prediction, raster, answers_of(known)[-1], Wanted(), on)
            for window in strips(raster.size, strip_height(raster.size)):
                labels[window.slices] = answerer.answered(window).labels
    return labels


def segment_file(  # noqa: PLR0913 - what, where to, by whom and how; each may be left out alone
    image: str | Path,
    output: str | Path,
    model: Model | str | Path,
    settings: Settings,
    *,
    extras: Extras = LABELS_ALONE,
    rules: Rules = NEVER_REPLACE,
    source: Source = AS_IT_IS,
    progress: Progress = quiet,
    executor: Executor | None = None,
) -> SegmentReport:
    """Write the label map of an image, of its size and with its georeferencing.

    Tiles are written as they finish; nothing of the image's size is held. Each result appears when
    it is whole. While it runs, and if it is stopped, what it has done lies in
    ``<output>.unfinished``.

    Args:
        image: Any file that `open_raster` takes.
        output: GeoTIFF (.tif, .tiff) or PNG, with the colours and names of the classes.
        model: As loaded, or its folder.
        settings: How the prediction runs; its device may be ``auto``.
        extras: What is wanted beside the label map.
        rules: What may happen to files that are there already.
        source: How the image is opened.
        progress: Told as the passes and the writing go on.
        executor: Who runs the network, such as `glnet.on_ray` gives; this process by default.

    Raises:
        OutputError: If a result cannot be written there (found out before the work), or the disk
            is full, or an unfinished run is there that may be neither resumed nor forgotten.
        RasterError: If the image cannot be opened or read.
        InputMismatchError: If the image has another number of bands than the model takes.
        CheckpointError: If the model does not load.
        ConfigurationError: If there is no such device, or not enough memory.
    """
    predictor = Predictor(model, settings, executor=executor)
    return segment_scene(job_of(image, Path(output), extras), predictor, rules, progress, source)


def segment_files(  # noqa: PLR0913 - as `segment_file`
    images: Sequence[str | Path],
    output: str | Path,
    model: Model | str | Path,
    settings: Settings,
    *,
    extras: Extras = LABELS_ALONE,
    rules: Rules = NEVER_REPLACE,
    source: Source = AS_IT_IS,
    watcher: Watcher | None = None,
    executor: Executor | None = None,
    audience: Audience | None = None,
) -> SegmentBatch:
    """Segment one image after another; one that cannot be segmented does not stop the others.

    With an executor, several at once.

    Args:
        images: Files.
        output: A file or a folder for one image, a folder for several; see `plan_jobs`.
        model: As loaded, or its folder.
        settings: How the prediction runs; its device may be ``auto``.
        extras: What is wanted beside the label maps.
        rules: What may happen to files that are there already; with ``resume``, images whose
            results are all there are passed over, whichever model made them.
        source: How images are opened.
        watcher: Told how it goes.
        executor: Who runs the network, such as `glnet.on_ray` gives; this process by default.
        audience: Who looks on; at one image at a time, so not where an executor runs several.

    Raises:
        OutputError: If results would replace each other or an image, or there can be no folder.
        CheckpointError: If the model does not load.
        ConfigurationError: If there is no image or no such device.
    """
    predictor = Predictor(model, settings, executor=executor)
    jobs = plan_jobs(images, output, extras)
    watcher = watcher or Unwatched()
    done = frozenset() if rules.done is None else rules.done
    passes_over = rules.resume and rules.done is None
    finished = [job for job in jobs if passes_over and is_finished(job)]
    for job in finished:
        watcher.passes_over(str(job.image))
    left = [job for job in jobs if job not in finished and str(job.image) not in done]

    looks_on = audience if executor is None or len(left) < 2 else None

    def run(job: Job, told: Watcher) -> Outcome:
        try:
            return segment_scene(
                job, predictor, rules, told.advances, source, told.announces, audience=looks_on
            )
        except GLNetError as error:
            return SegmentFailure(str(job.image), str(error))
        except OSError as error:  # Of a disk or a server, which may be well again for the next.
            reason = " ".join(str(error).split())
            return SegmentFailure(str(job.image), f"{job.image} cannot be segmented: {reason}")

    outcomes = list(
        one_by_one(left, run, watcher)
        if executor is None
        else together(left, run, watcher, executor)
    )
    return SegmentBatch(
        tuple(of for of in outcomes if isinstance(of, SegmentReport)),
        tuple(of for of in outcomes if isinstance(of, SegmentFailure)),
        tuple(str(job.image) for job in finished),
    )


def _opened(source: str | Path | NDArray[Any]) -> AbstractContextManager[Raster]:
    if isinstance(source, np.ndarray):
        return nullcontext(ArrayRaster(source))
    return open_raster(source)
