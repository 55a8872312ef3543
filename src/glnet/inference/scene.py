"""One image on disk becomes its results: checked, predicted, written, resumable all the while."""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import torch

from glnet.errors import ConfigurationError, RasterError
from glnet.geometry import Window, blocks
from glnet.inference.answering import Answered, Answerer, Wanted
from glnet.inference.audience import Audience
from glnet.inference.forming import Formed
from glnet.inference.grids import placed_grids
from glnet.inference.heap import keeping_small, large_blocks_apart
from glnet.inference.host_memory import POLYGON_BYTES, Beside
from glnet.inference.jobs import Job, check_job
from glnet.inference.journal import unfinished_beside
from glnet.inference.machine import (
    explained_memory,
    forget_peak_device_bytes,
    peak_device_bytes,
    peak_host_bytes,
)
from glnet.inference.overlapping import made_ahead
from glnet.inference.overlay import overlay_bytes
from glnet.inference.predicting import Elsewhere
from glnet.inference.predictor import Predictor
from glnet.inference.refining import Refined, parts_of, patches_of
from glnet.inference.report import Box, SegmentReport
from glnet.inference.result_files import opened_writers, polygon_writer, write_polygons
from glnet.inference.scratch import in_mib
from glnet.inference.settings import Progress, Settings
from glnet.inference.source import AS_IT_IS, Opened, Source, opened
from glnet.inference.starting import Rules, facts_of, identity_of, opened_journal, require_room
from glnet.inference.streaming import (
    Prediction,
    answer_of,
    blending_of,
    is_coarse_to_fine,
    predict,
)
from glnet.inference.tally import Tally
from glnet.inference.unlike import unlike_training
from glnet.raster import (
    LABEL_TILE,
    write_picture,
)
from glnet.vector import boxes_as_geojson, check_boxes, write_boxes


def segment_scene(  # noqa: PLR0913 - what, where to, by whom and how; who looks on
    job: Job,
    predictor: Predictor,
    rules: Rules,
    progress: Progress,
    source: Source = AS_IT_IS,
    announce: Callable[[str], None] = lambda _: None,
    *,
    audience: Audience | None = None,
) -> SegmentReport:
    """Write all results of an image.

    Args:
        job: From where to where.
        predictor: The model and the settings.
        rules: What may happen to files that are there already.
        progress: Told as the passes and the writing go on.
        source: How the image is opened.
        announce: Told what is going to happen, in a line.
        audience: Who looks on.

    Raises:
        OutputError: If a result cannot be written there (found out before the work), or the disk
            is full, or there is an unfinished run that may be neither resumed nor forgotten.
        RasterError: If the image cannot be opened or read, or has changed meanwhile.
        InputMismatchError: If the image has another number of bands than the model takes.
        ConfigurationError: If there is no such device, or not enough memory.
        ClusterError: If others run the network, and keep failing.
    """
    begin, progress = time.perf_counter(), keeping_small(progress)
    forget_peak_device_bytes(predictor.settings.device)
    is_own = rules.resume and unfinished_beside(job.output).exists()
    with explained_memory(str(job.image), predictor.settings), ExitStack() as files:
        # What is there of a run that is resumed is its own.
        check_job(job, overwrite=rules.overwrite or is_own)
        identity = identity_of(job.image)
        framing = predictor.model.config.framing
        image = files.enter_context(
            opened(
                job.image,
                source,
                predictor.settings.scratch or job.output.absolute().parent,
                framing.patch_size * framing.reduction,
                progress,
            )
        )
        raster = image.raster
        beside = _beside(job, image, predictor.model.num_classes)
        beside += Beside(0 if audience is None else audience.host_bytes)
        settings, formed = predictor.fitted(raster, beside)
        is_everywhere = not is_coarse_to_fine(predictor.model, settings)
        if job.boxes is not None:
            _check_boxes(image, is_everywhere=is_everywhere)
        facts = {
            **facts_of(job, raster, identity, predictor, settings, is_everywhere),
            **source.facts(),
            **({} if predictor.loaded is None else predictor.loaded.facts()),
        }
        crew = predictor.crew(job.image, raster, source, settings)
        with opened_journal(job, facts, settings, rules) as (journal, was_resumed):
            coarse = predictor.coarse(
                raster, settings, lambda make: journal.remembered("thumbnail-coarse", make), crew
            )
            boxes = None if coarse is None else coarse.boxes
            parts = parts_of(raster.size, boxes, predictor.model.config, settings.regions)
            refined = Refined(raster.size, coarse, parts)
            scratch = require_room(journal, raster, predictor, settings, parts)
            announce(
                f"{'goes on; ' if was_resumed else ''}{refined.context}; scores take "
                f"{in_mib(scratch)} of {journal.scores_folder} meanwhile"
            )
            scene = _Scene(job, image, predictor, settings, formed, refined)
            if audience is not None:
                model = predictor.model.config
                audience.opens(raster.size, model.classes, placed_grids(parts, model))
            rules = replace(rules, overwrite=rules.overwrite or was_resumed)
            with explained_memory(str(job.image), settings):
                tally = scene.run(Elsewhere(journal, crew), rules, progress, identity, audience)
    return scene.report(tally, time.perf_counter() - begin, scratch, was_resumed=was_resumed)


def is_finished(job: Job) -> bool:
    """Whether the results of an image are there, and nothing of it is left to resume.

    Who made them cannot be seen of them, so it does not matter.
    """
    try:
        is_whole = all(of.is_file() for of in job.results)
        return is_whole and not unfinished_beside(job.output).exists()
    except OSError:  # Its own run says why.
        return False


class _Scene:
    """What one image's segmentation needs."""

    def __init__(
        self,
        job: Job,
        image: Opened,
        predictor: Predictor,
        settings: Settings,
        formed: Formed,
        refined: Refined,
    ) -> None:
        self._job = job
        self._image = image
        self._raster = image.raster
        self._model = predictor.model
        self._settings = settings
        self._formed = formed
        self._refined = refined
        self._thumbnail = refined.thumbnail_source(image.raster, predictor.model)
        self._refined_patches = 0
        self._unlike: str | None = None
        self._where = {} if predictor.loaded is None else predictor.loaded.facts()
        self._wanted = Wanted(
            confidence=job.confidence is not None, probabilities=job.probabilities is not None
        )

    def run(
        self,
        elsewhere: Elsewhere,
        rules: Rules,
        progress: Progress,
        identity: Mapping[str, object],
        audience: Audience | None = None,
    ) -> Tally:
        """Predict and write; results appear if the image is what it was (`identity_of`)."""
        job, raster, model = self._job, self._raster, self._model
        classes = model.config.classes
        # Made now, as it finds out what is missing.
        polygons = (
            None
            if job.vector is None
            else polygon_writer(job.vector, job, self._image, classes, overwrite=rules.overwrite)
        )
        boxes = self._refined.boxes or ()
        placed = None
        if job.boxes is not None:
            placed = boxes_as_geojson(boxes, raster.georeference, scale=self._image.downsample)
        tally = Tally(raster, [info.name for info in model.config.classes])
        with (
            predict(
                model,
                raster,
                self._settings,
                (),
                progress,
                self._formed.form,
                elsewhere=elsewhere,
                coarse=self._refined.coarse,
            ) as prediction,
            large_blocks_apart(),
            ExitStack() as files,
        ):
            self._refined_patches = prediction.refined_patches
            write = opened_writers(files, job, raster, classes, overwrite=rules.overwrite)
            write = _seen(write, audience)
            tiles = sum(1 for _ in blocks(raster.size, LABEL_TILE))
            with closing(self._answers(prediction)) as answers:
                for number, found in enumerate(answers, start=1):
                    write(found)
                    tally.add(found.window, found.labels)
                    progress("writing", number, tiles)
            self._require_read(identity)
            self._unlike = unlike_training(raster, model.config.normalization)
        if polygons is not None:
            write_polygons(polygons, job.output, progress)
        if job.boxes is not None and placed is not None:
            write_boxes(job.boxes.absolute(), placed, overwrite=rules.overwrite)
        if job.overlay is not None:
            colors = [info.color for info in model.config.classes]
            shown = () if job.boxes is None else boxes
            picture = tally.picture.over(raster, colors, shown)
            write_picture(job.overlay, picture, rules.overwrite)
        return tally

    def _require_read(self, identity: Mapping[str, object]) -> None:
        """Refuse an image of which nothing could be read, or that is another one by now."""
        image = self._job.image
        if sum(of.size.area for of in self._image.damaged) == self._raster.size.area:
            raise RasterError(f"{image} cannot be read anywhere; it may be damaged or gone")
        if identity_of(image) != identity:
            raise RasterError(
                f"{image} has changed while it was read; segment it again once it is whole"
            )

    def _answers(self, prediction: Prediction) -> Generator[Answered]:
        """The answer that is wanted, tile by tile."""
        answerer = Answerer(
            prediction,
            self._raster,
            answer_of(self._model, self._settings),
            self._wanted,
            torch.device(self._settings.device),
        )
        return made_ahead(
            answerer.answered, blocks(self._raster.size, LABEL_TILE), self._settings.ahead
        )

    def report(
        self, tally: Tally, seconds: float, scratch: int, *, was_resumed: bool
    ) -> SegmentReport:
        """How it went."""
        job, model, settings, size = self._job, self._model, self._settings, self._raster.size
        everywhere = parts_of(size, None, model.config, settings.regions)
        refined, boxes = self._refined, self._refined.boxes
        alone = None if settings.answer == "own" else f"the {settings.answer} branch alone"
        image = self._image
        notes = [alone, image.note, self._unlike, _damage(image.damaged), self._formed.note]
        return SegmentReport(
            image=str(job.image),
            output=str(job.output),
            overlay=_name(job.overlay),
            confidence=_name(job.confidence),
            probabilities=_name(job.probabilities),
            vector=_name(job.vector),
            height=size.height,
            width=size.width,
            patches=patches_of(model, refined.parts),
            refined_patches=self._refined_patches,
            patches_everywhere=patches_of(model, everywhere),
            boxes=None
            if boxes is None
            else tuple(Box(of.row, of.column, of.size.height, of.size.width) for of in boxes),
            classes=tally.classes,
            nodata_pixels=tally.nodata_pixels,
            area_basis=tally.area_basis,
            seconds=seconds,
            megapixels_per_second=size.area / 1e6 / seconds,
            peak_host_bytes=peak_host_bytes(),
            peak_device_bytes=peak_device_bytes(settings.device),
            device=str(self._where.get("device", settings.device)),
            precision=str(self._where.get("precision", settings.precision)),
            patch_batch=settings.patch_batch,
            turns=settings.turns,
            context=refined.context,
            thumbnail=self._thumbnail,
            blending=blending_of(model.config, settings),
            resumed=was_resumed,
            scratch_bytes=scratch,
            form=self._formed.name,
            compiled=self._formed.is_compiled,
            damaged=len(self._image.damaged),
            note="; ".join(of for of in notes if of) or None,
        )


def _seen(write: Callable[[Answered], None], audience: Audience | None) -> Callable[..., None]:
    """What is written is shown to who looks on."""
    if audience is None:
        return write

    def written(found: Answered) -> None:
        write(found)
        audience.sees(found.window, found.labels)

    return written


def _check_boxes(image: Opened, *, is_everywhere: bool) -> None:
    if is_everywhere:
        raise ConfigurationError(
            "--boxes is for coarse-to-fine models that refine boxes alone; leave it out"
        )
    raster = image.raster
    check_boxes(raster.size, raster.georeference, scale=image.downsample)


def _beside(job: Job, image: Opened, classes: int) -> Beside:
    """What is held for other results than labels: the most of what comes one after another."""
    bands = (job.confidence is not None) + classes * (job.probabilities is not None)
    tiles = 3 * bands * LABEL_TILE**2
    polygons = 0 if job.vector is None else POLYGON_BYTES
    picture = 0 if job.overlay is None else overlay_bytes(image.raster)
    return Beside(max(tiles, polygons, picture, image.decoder_bytes))


def _damage(windows: list[Window]) -> str | None:
    """What could not be read, with the first places."""
    if not windows:
        return None
    places = [
        f"rows {of.row}..{of.row_stop}, columns {of.column}..{of.column_stop}" for of in windows[:3]
    ]
    more = f" and {len(windows) - 3} more places" if len(windows) > 3 else ""
    return f"could not be read, so there is no label: {'; '.join(places)}{more}"


def _name(path: Path | None) -> str | None:
    return None if path is None else str(path)
