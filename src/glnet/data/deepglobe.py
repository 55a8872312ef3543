"""DeepGlobe Land Cover Classification (Demir et al., CVPR workshops 2018): 803 labelled images.

Seven colours, one of which, black, means unknown. Masks are to be binarised at 128, says the
challenge, as they are not pure. The lists of `SPLITS` are those that the paper's authors published:
454, 207 and 142 images, all of them from the challenge's training set (the paper, section 4, counts
455, which would make 804).
"""

from dataclasses import replace
from importlib.resources import files

from glnet.data.benchmark import Benchmark, Layout
from glnet.data.classes import ClassInfo
from glnet.data.colors import Color
from glnet.data.description import DatasetDescription
from glnet.data.encodings import PaletteEncoding
from glnet.data.pairing import Naming
from glnet.data.splits import ListedSplits

UNKNOWN: Color = (0, 0, 0)
BINARIZE = 128

CLASSES = (
    ClassInfo("urban", (0, 255, 255)),
    ClassInfo("agriculture", (255, 255, 0)),
    ClassInfo("rangeland", (255, 0, 255)),
    ClassInfo("forest", (0, 255, 0)),
    ClassInfo("water", (0, 0, 255)),
    ClassInfo("barren", (255, 255, 255)),
)

PUBLISHED_CLASSES = (ClassInfo("unknown", UNKNOWN), *CLASSES)
"""The order of the published 7-class models, which answer unknown as well."""

SPLITS = ("train", "validation", "test")


def split_list(name: str) -> tuple[str, ...]:
    """The stems of one of `SPLITS`."""
    text = (files("glnet.data") / "lists" / f"deepglobe_{name}.txt").read_text(encoding="ascii")
    return tuple(text.split())


DEEPGLOBE = Benchmark(
    kind="deepglobe",
    title="DeepGlobe Land Cover",
    description=DatasetDescription(
        CLASSES,
        PaletteEncoding(ignore=UNKNOWN, binarize=BINARIZE),
        ListedSplits({name: split_list(name) for name in SPLITS}),
    ),
    layouts=(
        Layout("train", "train"),
        Layout("land-train", "land-train"),
        Layout("training_data/images", "training_data/masks"),
        Layout(".", "."),
        Layout("images", "masks"),
        Layout("valid", "valid"),
        Layout("test", "test"),
    ),
    image=Naming("_sat", (".jpg", ".jpeg")),
    mask=Naming("_mask", (".png",)),
    unlabelled=("valid", "test", "land-valid", "land-test", "validation"),
    download="train/ (land-train/ in older archives)",
)
"""Unknown neither trains nor counts, as the challenge has it."""

DEEPGLOBE_PUBLISHED = replace(
    DEEPGLOBE,
    kind="deepglobe-published",
    description=replace(
        DEEPGLOBE.description,
        classes=PUBLISHED_CLASSES,
        encoding=PaletteEncoding(binarize=BINARIZE),
    ),
)
"""Unknown is a class, as in the published models."""
