"""One image on disk becomes its results: checked, predicted, written, resumable all the while."""

import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import torch

import glnet
from glnet.errors import OutputError, RasterError
from glnet.geometry import Size, Window, blocks, strips
from glnet.inference.answering import NODATA_LABEL, Answered, Answerer, Wanted
from glnet.inference.forming import Formed
from glnet.inference.host_memory import POLYGON_BYTES, Beside
from glnet.inference.jobs import Job, check_job
from glnet.inference.journal import Journal, score_bytes, unfinished_beside
from glnet.inference.machine import (
    explained_memory,
    forget_peak_device_bytes,
    peak_device_bytes,
    peak_host_bytes,
)
from glnet.inference.overlapping import made_ahead
from glnet.inference.overlay import overlay_bytes
from glnet.inference.pixels import LEAST_SIDE
from glnet.inference.prediction import TURNS, strip_height
from glnet.inference.predictor import Predictor
from glnet.inference.regions import Regions, regions_of
from glnet.inference.report import SegmentReport
from glnet.inference.scratch import in_mib
from glnet.inference.settings import Progress, Settings
from glnet.inference.source import AS_IT_IS, Opened, Source, opened
from glnet.inference.streaming import Prediction, answers_of, blending_of, predict
from glnet.inference.tally import Tally
from glnet.raster import (
    CONFIDENCE,
    LABEL_TILE,
    LabelWriter,
    Palette,
    Raster,
    ScoreWriter,
    open_raster,
    write_picture,
)
from glnet.raster.writing.output import remove_partials_of
from glnet.vector import Flavor, PolygonWriter


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What may happen to files that are there already.

    Attributes:
        overwrite: Whether results that are there are replaced, and an unfinished run forgotten.
        resume: Whether an unfinished run goes on.
    """

    overwrite: bool = False
    resume: bool = False


def segment_scene(
    job: Job,
    predictor: Predictor,
    rules: Rules,
    progress: Progress,
    source: Source = AS_IT_IS,
    announce: Callable[[str], None] = lambda _: None,
) -> SegmentReport:
    """Write all results of an image.

    Args:
        job: From where to where.
        predictor: The model and the settings.
        rules: What may happen to files that are there already.
        progress: Told as the passes and the writing go on.
        source: How the image is opened.
        announce: Told what is going to happen, in a line.

    Raises:
        OutputError: If a result cannot be written there (found out before the work), or the disk
            is full, or there is an unfinished run that may be neither resumed nor forgotten.
        RasterError: If the image cannot be opened or read, or has changed meanwhile.
        InputMismatchError: If the image has another number of bands than the model takes.
        ConfigurationError: If there is no such device, or not enough memory.
    """
    begin = time.perf_counter()
    forget_peak_device_bytes(predictor.settings.device)
    is_own = rules.resume and unfinished_beside(job.output).exists()
    with explained_memory(str(job.image), predictor.settings), ExitStack() as files:
        # What is there of a run that is resumed is its own.
        check_job(job, overwrite=rules.overwrite or is_own)
        identity = _identity(job.image)
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
        settings, formed = predictor.fitted(raster, beside)
        regions = regions_of(raster.size, predictor.model.config, settings.regions)
        facts = {
            **_facts(job, raster, identity, predictor, settings, regions),
            **source.facts(),
        }
        journal, was_resumed = _opened_journal(job, facts, settings, rules)
        try:
            scratch = _require_room(journal, raster, predictor, settings, regions)
            announce(
                f"{'goes on; ' if was_resumed else ''}{regions.why}; scores take "
                f"{in_mib(scratch)} of {journal.scores_folder} meanwhile"
            )
            scene = _Scene(job, image, predictor, settings, formed, regions)
            rules = replace(rules, overwrite=rules.overwrite or was_resumed)
            with explained_memory(str(job.image), settings):
                tally = scene.run(journal, rules, progress, identity)
        except BaseException:
            journal.close(is_kept=True)
            raise
        journal.close(is_kept=False)
    return scene.report(tally, time.perf_counter() - begin, scratch, was_resumed=was_resumed)


def is_finished(job: Job) -> bool:
    """Whether the results of an image are there, and nothing of it is left to resume."""
    return all(of.is_file() for of in job.results) and not unfinished_beside(job.output).exists()


class _Scene:
    """What one image's segmentation needs."""

    def __init__(
        self,
        job: Job,
        image: Opened,
        predictor: Predictor,
        settings: Settings,
        formed: Formed,
        regions: Regions,
    ) -> None:
        self._job = job
        self._image = image
        self._raster = image.raster
        self._model = predictor.model
        self._settings = settings
        self._formed = formed
        self._regions = regions
        self._wanted = Wanted(
            confidence=job.confidence is not None, probabilities=job.probabilities is not None
        )

    def run(
        self,
        journal: Journal,
        rules: Rules,
        progress: Progress,
        identity: Mapping[str, object],
    ) -> Tally:
        """Predict and write; results appear if the image is what it was (`_identity`)."""
        job, raster, model = self._job, self._raster, self._model
        # Made now, as it finds out what is missing.
        polygons = None if job.vector is None else self._polygon_writer(job.vector, rules.overwrite)
        tally = Tally(raster, [info.name for info in model.config.classes])
        with (
            predict(
                model, raster, self._settings, (), progress, self._formed.form, journal=journal
            ) as prediction,
            ExitStack() as files,
        ):
            write = self._writers(files, rules.overwrite)
            tiles = sum(1 for _ in blocks(raster.size, LABEL_TILE))
            with closing(self._answers(prediction)) as answers:
                for number, found in enumerate(answers, start=1):
                    write(found)
                    tally.add(found.window, found.labels)
                    progress("writing", number, tiles)
            if sum(of.size.area for of in self._image.damaged) == raster.size.area:
                raise RasterError(f"{job.image} cannot be read anywhere; it may be damaged or gone")
            if _identity(job.image) != identity:
                raise RasterError(
                    f"{job.image} has changed while it was read; segment it again once it is whole"
                )
        if polygons is not None:
            self._write_polygons(polygons, progress)
        if job.overlay is not None:
            picture = tally.picture.over(raster, [info.color for info in model.config.classes])
            write_picture(job.overlay, picture, rules.overwrite)
        return tally

    def _answers(self, prediction: Prediction) -> Generator[Answered]:
        """The model's own answer, tile by tile."""
        answerer = Answerer(
            prediction,
            self._raster,
            answers_of(self._model)[-1],
            self._wanted,
            torch.device(self._settings.device),
        )
        return made_ahead(
            answerer.answered, blocks(self._raster.size, LABEL_TILE), self._settings.ahead
        )

    def _writers(self, files: ExitStack, overwrite: bool) -> Callable[[Answered], None]:
        """Opens all files of results; they appear when ``files`` ends well."""
        job, raster, classes = self._job, self._raster, self._model.config.classes
        names = [info.name for info in classes]
        labels = files.enter_context(
            LabelWriter(
                job.output,
                raster.size,
                raster.georeference,
                [info.color for info in classes],
                names,
                NODATA_LABEL if raster.has_mask else None,
                cog=job.cog,
                overwrite=overwrite,
            )
        )

        def scores(path: Path | None, bands: Sequence[str]) -> ScoreWriter | None:
            if path is None:
                return None
            return files.enter_context(
                ScoreWriter(
                    path,
                    raster.size,
                    raster.georeference,
                    bands,
                    cog=job.cog,
                    overwrite=overwrite,
                )
            )

        confidence = scores(job.confidence, [CONFIDENCE])
        probabilities = scores(job.probabilities, names)

        def write(found: Answered) -> None:
            labels.write_window(found.window, found.labels)
            if confidence is not None and found.confidence is not None:
                confidence.write_window(found.window, found.confidence)
            if probabilities is not None and found.probabilities is not None:
                probabilities.write_window(found.window, found.probabilities)

        return write

    def _polygon_writer(self, path: Path, overwrite: bool) -> PolygonWriter:
        classes, slide = self._model.config.classes, self._image.downsample
        return PolygonWriter(
            path,
            self._raster.size,
            self._raster.georeference,
            [info.color for info in classes],
            [info.name for info in classes],
            NODATA_LABEL,
            simplify=self._job.simplify,
            flavor=Flavor.PLAIN if slide is None or path.suffix != ".geojson" else Flavor.QUPATH,
            scale=slide or 1.0,
            overwrite=overwrite,
        )

    def _write_polygons(self, writer: PolygonWriter, progress: Progress) -> None:
        """From the finished label map, as polygons grow row by row and labels came in tiles."""
        with open_raster(self._job.output, Palette.KEEP) as labels, writer:
            for strip in strips(labels.size, strip_height(labels.size)):
                writer.write(labels.read(strip)[0])
                progress("polygons", strip.row_stop, labels.size.height)

    def report(
        self, tally: Tally, seconds: float, scratch: int, *, was_resumed: bool
    ) -> SegmentReport:
        """How it went."""
        job, model, settings, size = self._job, self._model, self._settings, self._raster.size
        has_patches = model.network.local is not None
        per_region = len(model.config.framing.grid(self._regions.grid.patch))
        notes = [self._image.note, _damage(self._image.damaged), self._formed.note]
        return SegmentReport(
            image=str(job.image),
            output=str(job.output),
            overlay=_name(job.overlay),
            confidence=_name(job.confidence),
            probabilities=_name(job.probabilities),
            vector=_name(job.vector),
            height=size.height,
            width=size.width,
            patches=per_region * len(self._regions.grid) if has_patches else 0,
            classes=tally.classes,
            nodata_pixels=tally.nodata_pixels,
            area_basis=tally.area_basis,
            seconds=seconds,
            megapixels_per_second=size.area / 1e6 / seconds,
            peak_host_bytes=peak_host_bytes(),
            peak_device_bytes=peak_device_bytes(settings.device),
            device=settings.device,
            precision=settings.precision,
            patch_batch=settings.patch_batch,
            turns=settings.turns,
            context=self._regions.why,
            blending=blending_of(model.config, settings),
            resumed=was_resumed,
            scratch_bytes=scratch,
            form=self._formed.name,
            compiled=self._formed.is_compiled,
            damaged=len(self._image.damaged),
            note="; ".join(of for of in notes if of) or None,
        )


def _beside(job: Job, image: Opened, classes: int) -> Beside:
    """What is held for other results than labels: the most of what comes one after another."""
    bands = (job.confidence is not None) + classes * (job.probabilities is not None)
    tiles = 3 * bands * LABEL_TILE**2
    polygons = 0 if job.vector is None else POLYGON_BYTES
    picture = 0 if job.overlay is None else overlay_bytes(image.raster)
    return Beside(max(tiles, polygons, picture, image.decoder_bytes))


def _require_room(
    journal: Journal, raster: Raster, predictor: Predictor, settings: Settings, regions: Regions
) -> int:
    """About how much scratch space this run takes; refuses to start without it.

    Raises:
        OutputError: If the disk has less.
    """
    model, ways = predictor.model, len(TURNS[settings.turns])
    grid = model.config.framing.grid(
        Size(*(max(LEAST_SIDE, side) for side in astuple(regions.grid.patch)))
    )
    cells = -(-model.config.framing.patch_size // 4) + 1
    needed = score_bytes(
        answers_of(model)[-1],
        len(regions.grid) * ways,
        len(grid),
        settings.patch_batch,
        (model.num_classes, cells, cells),
    )
    free = shutil.disk_usage(journal.scores_folder).free
    there = sum(of.stat().st_size for of in journal.scores_folder.glob("scores-*.bin"))
    if needed > free + there:
        raise OutputError(
            f"{raster.name} needs about {in_mib(needed)} of scratch space in "
            f"{journal.scores_folder.parent}, {in_mib(free)} are free; make room, or name another "
            "folder (--scratch)"
        )
    return needed


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


def _opened_journal(
    job: Job,
    facts: Mapping[str, object],
    settings: Settings,
    rules: Rules,
) -> tuple[Journal, bool]:
    """The journal of this run, and whether it goes on from an unfinished one.

    Raises:
        OutputError: If there is one that may be neither resumed nor forgotten, or another process
            works on it.
    """
    journal = Journal(job.output.absolute(), facts, settings.scratch)
    try:
        for result in job.results:
            remove_partials_of(result.absolute())
        if not journal.has_notes or (rules.overwrite and not rules.resume):
            journal.start()
            return journal, False
        if not rules.resume:
            raise OutputError(
                f"{journal.folder} holds an unfinished run of {job.output}; go on with --resume, "
                "or start again with --overwrite"
            )
        journal.resume()
    except BaseException:
        journal.leave()
        raise
    return journal, True


def _identity(image: str | Path) -> dict[str, object]:
    """What changes when an image file does; nothing is known of files on servers."""
    path = Path(image)
    if not path.is_file():
        return {}
    status = path.stat()
    return {"image's bytes": status.st_size, "image's time of change": status.st_mtime_ns}


def _facts(
    job: Job,
    raster: Raster,
    identity: Mapping[str, object],
    predictor: Predictor,
    settings: Settings,
    regions: Regions,
) -> dict[str, object]:
    """What a run depends on, by names that go into a message."""
    grid = regions.grid
    return {
        "version of glnet": glnet.__version__,
        "version of torch": torch.__version__,
        "image": str(Path(job.image).absolute()),
        **identity,
        "image's size": str(raster.size),
        "number of bands": raster.bands,
        "model": predictor.digest(),
        "device": settings.device,
        "precision": settings.precision,
        "patch batch": settings.patch_batch,
        "test-time augmentation": settings.turns,
        "form": settings.collapse,
        "blending": blending_of(predictor.model.config, settings),
        "regions": [list(grid.rows), list(grid.columns), str(grid.patch)],
    }
