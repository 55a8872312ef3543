"""The options of ``glnet segment`` alone, and what they say: pixels, results, context."""

from typing import TYPE_CHECKING, Literal

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

from glnet.cli.running import add_everywhere_option, add_seeing_options
from glnet.errors import ConfigurationError

if TYPE_CHECKING:
    from glnet.inference.jobs import Extras
    from glnet.inference.regions import RegionRule
    from glnet.inference.source import Source


def add_source_options(parser: ArgumentParser) -> None:
    """Add which pixels of a file are read, and what becomes of damaged ones."""
    parser.add_argument(
        "--bands",
        metavar="N,N,...",
        help="which bands, counted from 1, in the order of the model's, such as 4,3,2",
    )
    parser.add_argument(
        "--on-error",
        type=Literal["stop", "nodata"],
        default="stop",
        help="what becomes of damaged blocks of a file: the end, or no labels there",
    )
    parser.add_argument("--level", type=int, help="the level of a slide, 0 for the largest")
    parser.add_argument("--mpp", type=float, help="the micrometres per pixel of a slide to work at")
    parser.add_argument("--tissue", action="store_true", help="label only the tissue of a slide")


def source_of(options: Namespace) -> "Source":
    """What these options say of the pixels.

    Raises:
        ConfigurationError: If the bands are no whole numbers.
    """
    from glnet.inference.source import Source  # noqa: PLC0415 - imports torch

    return Source(
        bands=None if options.bands is None else numbers(options.bands),
        on_error=options.on_error,
        level=options.level,
        mpp=options.mpp,
        tissue=options.tissue,
    )


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers as people write several of them: ``4,3,2``.

    Raises:
        ConfigurationError: If they are none.
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise ConfigurationError(
            f"--bands takes whole numbers with commas between, such as 4,3,2, got '{text}'"
        ) from error


def add_result_options(parser: ArgumentParser) -> None:
    """Add what is written beside the label map, and how."""
    parser.add_argument(
        "--confidence",
        action="store_true",
        help="also write <output>_confidence.tif, the probability of the winning class",
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="also write <output>_probabilities.tif, a band for every class",
    )
    parser.add_argument(
        "--vector",
        metavar="PATH",
        help="also write polygons: a .gpkg or .geojson file, or only the ending for several images",
    )
    parser.add_argument(
        "--boxes",
        action="store_true",
        help="of a coarse-to-fine model: also write <output>_boxes.geojson, the boxes that were "
        "refined, and draw them on the overlay",
    )
    parser.add_argument(
        "--simplify",
        type=float,
        metavar="PIXELS",
        help="how far polygons may stray from the pixels' edges",
    )
    parser.add_argument(
        "--cog", action="store_true", help="write Cloud Optimized GeoTIFFs; takes twice the disk"
    )


def extras_of(options: Namespace) -> "Extras":
    """What these options say of the results."""
    from glnet.inference.jobs import Extras  # noqa: PLC0415 - imports torch

    return Extras(
        overlay=options.overlay,
        confidence=options.confidence,
        probabilities=options.probabilities,
        vector=options.vector,
        simplify=options.simplify,
        cog=options.cog,
        boxes=options.boxes,
    )


def add_context_options(parser: ArgumentParser) -> None:
    """Add what the branches see of an image, and how patches become one map."""
    add_everywhere_option(parser)
    add_seeing_options(parser)
    parser.add_argument(
        "--context",
        type=Literal["auto", "whole", "region"],
        default="auto",
        help="what the global branch sees at once: the whole image, or regions as large as the "
        "images of the training (auto: regions for sides over twice those; never for "
        "coarse-to-fine models)",
    )
    parser.add_argument(
        "--region-size", type=PositiveInt, metavar="PIXELS", help="the side of a region"
    )
    parser.add_argument(
        "--region-overlap",
        type=NonNegativeInt,
        metavar="PIXELS",
        help="by how much regions overlap",
    )
    parser.add_argument(
        "--blending",
        type=Literal["feathered", "uniform"],
        help="how patches are blended where they overlap (default: feathered; uniform for "
        "published checkpoints)",
    )
    parser.add_argument(
        "--scratch",
        metavar="FOLDER",
        help="where scores wait until they are stitched (default: beside the output)",
    )


def regions_of(options: Namespace) -> "RegionRule":
    """What these options say of regions."""
    from glnet.inference.regions import RegionRule  # noqa: PLC0415 - imports torch

    return RegionRule(options.context, options.region_size, options.region_overlap)
