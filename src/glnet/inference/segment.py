"""The entry points: from an image, in memory or on disk, to its labels."""

import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glnet.errors import GLNetError
from glnet.geometry import Size, Window, strips
from glnet.inference.forming import Formed
from glnet.inference.host_memory import Beside
from glnet.inference.jobs import Job, check_job, plan_jobs
from glnet.inference.machine import (
    explained_memory,
    forget_peak_device_bytes,
    is_in_memory,
    peak_device_bytes,
    peak_host_bytes,
)
from glnet.inference.overlapping import made_ahead
from glnet.inference.overlay import LabelPicture, overlay_bytes
from glnet.inference.prediction import Turns
from glnet.inference.predictor import Predictor
from glnet.inference.report import (
    SegmentBatch,
    SegmentFailure,
    SegmentReport,
    Unwatched,
    Watcher,
)
from glnet.inference.settings import Precision, Progress, Settings, quiet
from glnet.inference.streaming import Prediction, answers_of, predict
from glnet.model.checkpoint import Model
from glnet.raster import ArrayRaster, LabelWriter, Raster, open_raster, write_picture

Labels = NDArray[np.uint8]


def segment(
    source: str | Path | NDArray[Any],
    model: Model | str | Path,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    patch_batch: int = 4,
    turns: Turns = "none",
) -> Labels:
    """Label every pixel of an image: (height, width) uint8, indices into ``model.config.classes``.

    Args:
        source: A file, or an array (height, width) or (height, width, bands) in the units that the
            model was trained on (0..255 for 8-bit pictures).
        model: As loaded, or its folder.
        device: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:1``.
        precision: In which numbers the network computes, see `Settings`.
        patch_batch: How many patches enter the network at once.
        turns: Test-time augmentation, see `Settings`.

    Raises:
        RasterError: If the file is no readable picture or the array has other axes.
        InputMismatchError: If the image has another number of bands than the model takes.
        CheckpointError: If the model does not load.
        ConfigurationError: If there is no such device, or not enough memory.
        OutputError: If there is no room for the scratch file.
    """
    predictor = Predictor(
        model, Settings(device=device, precision=precision, patch_batch=patch_batch, turns=turns)
    )
    known = predictor.model
    with _opened(source) as raster, explained_memory(raster.name, predictor.settings):
        settings, formed = predictor.fitted(raster)
        labels = np.empty((raster.size.height, raster.size.width), dtype=np.uint8)
        with (
            explained_memory(raster.name, settings),
            predict(known, raster, settings, form=formed.form) as prediction,
            closing(_label_strips(prediction, known, settings)) as strips_of_labels,
        ):
            for strip, part in strips_of_labels:
                labels[strip.slices] = part
    return labels


def segment_file(  # noqa: PLR0913 - what, where to, by whom and how; each may be left out alone
    image: str | Path,
    output: str | Path,
    model: Model | str | Path,
    settings: Settings,
    *,
    overlay: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> SegmentReport:
    """Write the label map of an image, of its size and with its georeferencing.

    Strips are written as they finish; nothing of the image's size is held. Each result appears
    when it is whole; the label map first.

    Args:
        image: Any file that `open_raster` takes.
        output: GeoTIFF (.tif, .tiff) or PNG, with the colours and names of the classes.
        model: As loaded, or its folder.
        settings: How the prediction runs; its device may be ``auto``.
        overlay: A PNG or JPEG of at most 2048 px: the image with its labels on top.
        overwrite: Whether results that are there already are replaced.
        progress: Told as the passes and the writing go on.

    Raises:
        OutputError: If a result cannot be written there (found out before the work), or the disk
            is full.
        RasterError: If the image cannot be opened or read.
        InputMismatchError: If the image has another number of bands than the model takes.
        CheckpointError: If the model does not load.
        ConfigurationError: If there is no such device, or not enough memory.
    """
    job = Job(image, Path(output), None if overlay is None else Path(overlay))
    return _segmented(job, Predictor(model, settings), overwrite=overwrite, progress=progress)


def _segmented(
    job: Job, predictor: Predictor, *, overwrite: bool, progress: Progress
) -> SegmentReport:
    image, model = job.image, predictor.model
    begin = time.perf_counter()
    forget_peak_device_bytes(predictor.settings.device)
    with explained_memory(str(image), predictor.settings), open_raster(image) as raster:
        check_job(job, overwrite=overwrite)
        drawn = Beside(0 if job.overlay is None else overlay_bytes(raster))
        settings, formed = predictor.fitted(raster, drawn)
        settings = _with_scratch_on_disk(settings, job.output.parent)
        tally = _Tally(raster.size, model)
        with (
            explained_memory(str(image), settings),
            _writer(job, raster, model, overwrite) as writer,
            predict(model, raster, settings, (), progress, formed.form) as prediction,
            closing(_label_strips(prediction, model, settings)) as strips_of_labels,
        ):
            for strip, labels in strips_of_labels:
                writer.write(labels)
                tally.add(strip, labels)
                progress("writing", strip.row_stop, raster.size.height)
        if job.overlay is not None:
            picture = tally.picture.over(raster, [info.color for info in model.config.classes])
            write_picture(job.overlay, picture, overwrite)
    return _report(job, tally, model, settings, formed, time.perf_counter() - begin)


def segment_files(  # noqa: PLR0913 - as `segment_file`
    images: Sequence[str | Path],
    output: str | Path,
    model: Model | str | Path,
    settings: Settings,
    *,
    has_overlay: bool = False,
    overwrite: bool = False,
    watcher: Watcher | None = None,
) -> SegmentBatch:
    """Segment one image after another; one that cannot be segmented does not stop the others.

    Args:
        images: Files.
        output: A file or a folder for one image, a folder for several; see `plan_jobs`.
        model: As loaded, or its folder.
        settings: How the prediction runs; its device may be ``auto``.
        has_overlay: Whether ``<output stem>_overlay.png`` is written beside every label map.
        overwrite: Whether results that are there already are replaced.
        watcher: Told how it goes.

    Raises:
        OutputError: If results would replace each other or an image, or there can be no folder.
        CheckpointError: If the model does not load.
        ConfigurationError: If there is no image or no such device.
    """
    predictor = Predictor(model, settings)
    jobs = plan_jobs(images, output, has_overlay=has_overlay)
    watcher = watcher or Unwatched()
    reports, failures = [], []
    for job in jobs:
        watcher.starts(str(job.image))
        try:
            report = _segmented(job, predictor, overwrite=overwrite, progress=watcher.advances)
        except GLNetError as error:
            failures.append(SegmentFailure(str(job.image), str(error)))
            watcher.fails(failures[-1])
        else:
            reports.append(report)
            watcher.finishes(report)
    return SegmentBatch(tuple(reports), tuple(failures))


class _Tally:
    """What is kept of the labels after they are written: counts, and a small picture."""

    def __init__(self, size: Size, model: Model) -> None:
        self.size = size
        self.picture = LabelPicture(size)
        self._counts = np.zeros(model.num_classes, dtype=np.int64)

    def add(self, strip: Window, labels: Labels) -> None:
        self._counts += np.bincount(labels.ravel(), minlength=len(self._counts))
        self.picture.add(strip, labels)

    @property
    def shares(self) -> list[float]:
        return [int(count) / self.size.area for count in self._counts]


def _with_scratch_on_disk(settings: Settings, folder: Path) -> Settings:
    """Scratch files beside the result, where temporary ones would take memory that is named."""
    if settings.host_memory is None or settings.scratch is not None:
        return settings
    return replace(settings, scratch=folder) if is_in_memory(tempfile.gettempdir()) else settings


def _opened(source: str | Path | NDArray[Any]) -> AbstractContextManager[Raster]:
    if isinstance(source, np.ndarray):
        return nullcontext(ArrayRaster(source))
    return open_raster(source)


def _label_strips(
    prediction: Prediction, model: Model, settings: Settings
) -> Generator[tuple[Window, Labels]]:
    """The model's own answer, from the top down."""
    answer, device = answers_of(model)[-1], torch.device(settings.device)

    def labelled(strip: Window) -> tuple[Window, Labels]:
        return strip, prediction.labels(answer, strip, device)

    rows = strips(prediction.size, prediction.strip_height())
    return made_ahead(labelled, rows, settings.ahead)


def _writer(job: Job, raster: Raster, model: Model, overwrite: bool) -> LabelWriter:
    return LabelWriter(
        job.output,
        raster.size,
        raster.georeference,
        [info.color for info in model.config.classes],
        [info.name for info in model.config.classes],
        overwrite=overwrite,
    )


def _report(
    job: Job,
    tally: _Tally,
    model: Model,
    settings: Settings,
    formed: Formed,
    seconds: float,
) -> SegmentReport:
    names = [info.name for info in model.config.classes]
    has_patches = model.network.local is not None
    return SegmentReport(
        image=str(job.image),
        output=str(job.output),
        overlay=None if job.overlay is None else str(job.overlay),
        height=tally.size.height,
        width=tally.size.width,
        patches=len(model.config.framing.grid(tally.size)) if has_patches else 0,
        class_shares=dict(zip(names, tally.shares, strict=True)),
        seconds=seconds,
        megapixels_per_second=tally.size.area / 1e6 / seconds,
        peak_host_bytes=peak_host_bytes(),
        peak_device_bytes=peak_device_bytes(settings.device),
        device=settings.device,
        precision=settings.precision,
        patch_batch=settings.patch_batch,
        turns=settings.turns,
        form=formed.name,
        compiled=formed.is_compiled,
        note=formed.note,
    )
