"""Inria Aerial Image Labeling (Maggiori et al., IGARSS 2017): 36 tiles of each of five cities.

The paper (section 4) parts the 180 labelled tiles at random, 126, 27 and 27, and publishes no
lists: those of `INRIA` are drawn by `SEED`. The dataset's authors validate on the first five tiles
of every city: `INRIA_OFFICIAL`.
"""

from dataclasses import replace

from glnet.data.benchmark import Benchmark, Layout
from glnet.data.classes import ClassInfo
from glnet.data.colors import default_color
from glnet.data.description import DatasetDescription
from glnet.data.encodings import ThresholdEncoding
from glnet.data.pairing import Naming
from glnet.data.splits import FractionSplits, ListedSplits

SEED = 0
COUNTS = {"train": 126, "validation": 27, "test": 27}
CITIES = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
TILES = 36
VALIDATION_TILES = 5
"""The first tiles of every city, which the dataset's authors validate on."""


def _tiles(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"{city}{number}" for city in CITIES for number in range(first, last + 1))


INRIA = Benchmark(
    kind="inria",
    title="Inria Aerial Image Labeling",
    description=DatasetDescription(
        (ClassInfo("background", default_color(0)), ClassInfo("building", default_color(1))),
        ThresholdEncoding(),
        FractionSplits(
            {name: count / sum(COUNTS.values()) for name, count in COUNTS.items()}, SEED
        ),
    ),
    layouts=(
        Layout("AerialImageDataset/train/images", "AerialImageDataset/train/gt"),
        Layout("train/images", "train/gt"),
        Layout("images", "gt"),
        Layout(".", "../gt"),
        Layout("test/images", "test/gt"),
    ),
    image=Naming("", (".tif", ".tiff"), r"[A-Za-z_-]+\d+", "austin1"),
    mask=Naming("", (".tif", ".tiff"), r"[A-Za-z_-]+\d+", "austin1"),
    unlabelled=("test",),
    download="AerialImageDataset/train/ (images/ and gt/)",
    has_groups=True,
)

INRIA_OFFICIAL = replace(
    INRIA,
    kind="inria-official",
    description=replace(
        INRIA.description,
        splits=ListedSplits(
            {
                "train": _tiles(VALIDATION_TILES + 1, TILES),
                "validation": _tiles(1, VALIDATION_TILES),
            }
        ),
    ),
)
