"""Before an image is segmented: whether there is room, and whether an unfinished run goes on."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

import glnet
from glnet.errors import OutputError
from glnet.geometry import Size
from glnet.inference.jobs import Job
from glnet.inference.journal import Journal
from glnet.inference.pixels import LEAST_SIDE
from glnet.inference.predictor import Predictor
from glnet.inference.refining import Part
from glnet.inference.regions import regions_of
from glnet.inference.score_files import score_bytes
from glnet.inference.scratch import in_mib
from glnet.inference.settings import Settings
from glnet.inference.streaming import answer_of, blending_of
from glnet.inference.turns import TURNS
from glnet.raster import Raster
from glnet.raster.writing.output import remove_partials_of


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What may happen to files that are there already.

    Attributes:
        overwrite: Whether results that are there are replaced, and an unfinished run forgotten.
        resume: Whether an unfinished run goes on.
        done: Of a run of several images that was stopped, those that it is through with, as they
            were named: they are left out, and no other image counts as finished for its results
            being there. None at the beginning of a run.
    """

    overwrite: bool = False
    resume: bool = False
    done: frozenset[str] | None = None


def require_room(
    journal: Journal,
    raster: Raster,
    predictor: Predictor,
    settings: Settings,
    parts: Sequence[Part],
) -> int:
    """About how much scratch space this run takes; refuses to start without it.

    Raises:
        OutputError: If the disk has less.
    """
    model, ways = predictor.model, len(TURNS[settings.turns])
    framing, needed = model.config.framing, 0
    least = LEAST_SIDE * framing.reduction
    # Convolutions round a side up, at most to one more.
    cells = -(-framing.patch_size // model.network.stride) + 1
    for _, regions in parts:
        region = regions.grid.patch
        grid = framing.grid(Size(max(least, region.height), max(least, region.width)))
        needed += score_bytes(
            answer_of(model, settings),
            len(regions.grid) * ways,
            len(grid),
            settings.patch_batch,
            (model.num_classes, cells, cells),
        )
    free = shutil.disk_usage(journal.scores_folder).free
    there = sum(of.stat().st_size for of in journal.scores_folder.glob("*scores-*.bin"))
    if needed > free + there:
        raise OutputError(
            f"{raster.name} needs about {in_mib(needed)} of scratch space in "
            f"{journal.scores_folder.parent}, {in_mib(free)} are free; make room, or name another "
            "folder (--scratch)"
        )
    return needed


@contextmanager
def opened_journal(
    job: Job,
    facts: Mapping[str, object],
    settings: Settings,
    rules: Rules,
) -> Iterator[tuple[Journal, bool]]:
    """The journal of this run, and whether it goes on from an unfinished one.

    It is gone once the with block ends well, and kept for another run if that ends otherwise and
    there are notes to go on from.

    Raises:
        OutputError: If there is one that may be neither resumed nor forgotten, or another process
            works on it.
    """
    journal = Journal(job.output.absolute(), facts, settings.scratch)
    was_resumed = _begun(journal, job, rules)
    try:
        yield journal, was_resumed
    except BaseException:
        journal.close(is_kept=True)
        raise
    journal.close(is_kept=False)


def _begun(journal: Journal, job: Job, rules: Rules) -> bool:
    """Start it, or go on; whether it goes on."""
    try:
        journal.open()
        for result in job.results:
            remove_partials_of(result.absolute())
        if not journal.has_notes or (rules.overwrite and not rules.resume):
            journal.start()
            return False
        if not rules.resume:
            raise OutputError(
                f"{journal.folder} holds an unfinished run of {job.output}; go on with --resume, "
                "or start again with --overwrite"
            )
        journal.resume()
    except BaseException:
        journal.leave()
        raise
    return True


def identity_of(image: str | Path) -> dict[str, object]:
    """What changes when an image file does; nothing is known of files on servers."""
    path = Path(image)
    if not path.is_file():
        return {}
    status = path.stat()
    return {"image's bytes": status.st_size, "image's time of change": status.st_mtime_ns}


def facts_of(
    job: Job,
    raster: Raster,
    identity: Mapping[str, object],
    predictor: Predictor,
    settings: Settings,
    is_everywhere: bool,
) -> dict[str, object]:
    """What a run depends on, by names that go into a message."""
    model = predictor.model
    grid = regions_of(raster.size, model.config, settings.regions).grid
    # Boxes follow from the image and the model; their regions from the rule.
    regions = [list(grid.rows), list(grid.columns), str(grid.patch)]
    return {
        "version of glnet": glnet.__version__,
        "version of torch": torch.__version__,
        "image": str(Path(job.image).absolute()),
        **identity,
        "image's size": str(raster.size),
        "number of bands": raster.bands,
        "model": predictor.digest(),
        "device": settings.device,
        # Sums are made in another order by another number of threads.
        "number of threads": torch.get_num_threads() if settings.device == "cpu" else None,
        "precision": settings.precision,
        "patch batch": settings.patch_batch,
        "test-time augmentation": settings.turns,
        "form": settings.collapse,
        # Nothing for the usual one, so that runs from before it could be chosen go on.
        "answer": None if settings.answer == "own" else settings.answer,
        "refining below": settings.refine_below,
        "blending": blending_of(model.config, settings),
        "regions": regions if is_everywhere else str(settings.regions),
    }
