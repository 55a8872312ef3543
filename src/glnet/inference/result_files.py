"""The files that a scene's results are written to."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from glnet.data.classes import ClassInfo
from glnet.geometry import strips
from glnet.inference.answering import NODATA_LABEL, Answered
from glnet.inference.jobs import Job
from glnet.inference.settings import Progress
from glnet.inference.source import Opened
from glnet.raster import CONFIDENCE, LabelWriter, Palette, Raster, ScoreWriter, open_raster
from glnet.vector import PIXELS_AT_ONCE, Flavor, PolygonWriter

POLYGON_STRIP_BYTES = 1 << 21
"""Labels that are read at once for polygons; GDAL's cache holds the tiles that they lie in."""


def opened_writers(
    files: ExitStack, job: Job, raster: Raster, classes: Sequence[ClassInfo], *, overwrite: bool
) -> Callable[[Answered], None]:
    """Open the files of labels and scores; they appear when ``files`` ends well.

    Raises:
        OutputError: If one cannot be written there.
    """
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


def polygon_writer(
    path: Path, job: Job, image: Opened, classes: Sequence[ClassInfo], *, overwrite: bool
) -> PolygonWriter:
    """What writes polygons.

    Raises:
        OutputError: If it cannot be written there, or a library is missing.
    """
    raster, slide = image.raster, image.downsample
    return PolygonWriter(
        path,
        raster.size,
        raster.georeference,
        [info.color for info in classes],
        [info.name for info in classes],
        NODATA_LABEL,
        simplify=job.simplify,
        flavor=Flavor.PLAIN if slide is None or path.suffix != ".geojson" else Flavor.QUPATH,
        scale=slide or 1.0,
        overwrite=overwrite,
    )


def write_polygons(writer: PolygonWriter, labels: Path, progress: Progress) -> None:
    """From the finished label map, as polygons grow row by row and labels came in tiles."""
    with open_raster(labels, Palette.KEEP) as raster, writer:
        for strip in strips(raster.size, max(1, POLYGON_STRIP_BYTES // raster.size.width)):
            read = raster.read(strip)[0]
            for part in strips(strip.size, max(1, PIXELS_AT_ONCE // raster.size.width)):
                writer.write(read[part.row : part.row_stop])
                progress("polygons", strip.row + part.row_stop, raster.size.height)
