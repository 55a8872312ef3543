"""The numbers that the paper prints, and nothing else (Chen et al., CVPR 2019).

mIoU in %, memory in MB as ``gpustat`` shows it for one image at a time without gradients, on one
GTX 1080 Ti (section 4.1). Where the paper's text and its tables disagree, the tables are taken, and
a note of the table says what the text has.

Figure 1b and 1c are curves without numbers: what the text says of them is that they show FCN-8s and
ICNet at several sizes of whole images and of patches. Their only points with numbers are those that
Table 3 has as well, at patches of 500 pixels; nothing is read off the curves.
"""

from dataclasses import dataclass
from typing import Literal

from glnet.errors import ConfigurationError
from glnet.geometry import Size

Way = Literal["", "patches", "whole image"]
"""What a network was given in training and prediction; empty where a row has one way only."""

PATCH_SIZE = THUMBNAIL_SIZE = 500
"""Of all GLNets (section 4.1), and the patches of all others in Table 3 (footnote 4).

The sizes of the whole images of Tables 3, 5 and 7 are not given: "we avoid over-downsampling"
(footnote 4), "a proper image size" (footnote 7).
"""
OVERLAP = 50

SPLITS = {
    "deepglobe": {"train": 455, "validation": 207, "test": 142},  # These are 804, of 803 images.
    "isic": {"train": 2074, "validation": 260, "test": 260},
    "inria": {"train": 126, "validation": 27, "test": 27},
}
"""Images per split (sections 4.2 to 4.4)."""


@dataclass(frozen=True)
class PaperRow:
    """A row of Tables 2 to 7.

    Attributes:
        key: What recipes call it.
        label: What people call it.
        miou: In %.
        memory: Of a prediction, in MB; None where the table has none.
        way: Of Table 3, where every network has two.
    """

    key: str
    label: str
    miou: float
    memory: float | None = None
    way: Way = ""


@dataclass(frozen=True)
class PaperTable:
    """One of Tables 2 to 7.

    Attributes:
        number: Of the table.
        title: What it is about.
        dataset: Whose test images, as `glnet.data.open_dataset` calls it.
        rows: In the paper's order.
        notes: What to know of the numbers.
    """

    number: int
    title: str
    dataset: Literal["deepglobe", "isic", "inria"]
    rows: tuple[PaperRow, ...]
    notes: tuple[str, ...] = ()

    def find(self, key: str, way: Way = "") -> PaperRow | None:
        """The row of a key, and of a way where rows have one; None where the paper has none."""
        return next((row for row in self.rows if (row.key, row.way) == (key, way)), None)


TABLE_2 = PaperTable(
    2,
    "sharing of feature maps, DeepGlobe",
    "deepglobe",
    (
        PaperRow("local_only", "Local only", 57.3, 1189),
        PaperRow("global_only", "Global only", 66.4, 1189),
        PaperRow("aggregation", "GLNet: Agg", 69.3, 1189),
        PaperRow("regularization", "GLNet: Agg, Fmreg", 70.3, 1209),
        PaperRow("shallow", "GLNet: Agg, Fmreg, G→L shallow", 70.5, 1251),
        PaperRow("deep", "GLNet: Agg, Fmreg, G→L deep", 70.9, 1395),
        PaperRow("bidirectional", "GLNet: Agg, Fmreg, G⇌L deep", 71.6, 1865),
    ),
    ("The paper's section 4.2.1 has 57.3 for the global and 66.4 for the local branch; its table, "
     "which is taken here, has them the other way round.",),
)  # fmt: skip

TABLE_3 = PaperTable(
    3,
    "comparison with other networks, DeepGlobe",
    "deepglobe",
    (
        PaperRow("unet", "U-Net", 37.3, 949, "patches"),
        PaperRow("icnet", "ICNet", 35.5, 1195, "patches"),
        PaperRow("pspnet", "PSPNet", 53.3, 1513, "patches"),
        PaperRow("segnet", "SegNet", 60.8, 1139, "patches"),
        PaperRow("deeplabv3plus", "DeepLabv3+", 63.1, 1279, "patches"),
        PaperRow("fcn8s", "FCN-8s", 64.3, 1963, "patches"),
        PaperRow("unet", "U-Net", 38.4, 5507, "whole image"),
        PaperRow("icnet", "ICNet", 40.2, 2557, "whole image"),
        PaperRow("pspnet", "PSPNet", 56.6, 6289, "whole image"),
        PaperRow("segnet", "SegNet", 61.2, 10339, "whole image"),
        PaperRow("deeplabv3plus", "DeepLabv3+", 63.5, 3199, "whole image"),
        PaperRow("fcn8s", "FCN-8s", 70.1, 5227, "whole image"),
        PaperRow("glnet_deep", "GLNet, G→L", 70.9, 1395),
        PaperRow("glnet", "GLNet, G⇌L", 71.6, 1865),
    ),
    ("Patches are of 500 pixels. Some networks were given whole images shrunk to a size that the "
     "paper does not state.",),
)  # fmt: skip

# In the paper's text as it was extracted, the checks of this table stand in wrong columns: rows 3
# and 4 are both checked under "G->L" alone, with 72.7 and 73.9, and row 5 under "G<=>L" and "Bbox",
# with 75.2. Two rows cannot be the same model, and section 4.3.1 gives 73.9 to sharing from global
# to local within the boxes ("with class-balanced images") and 75.2 to sharing both ways there. So
# row 4 has lost its check under "Bbox", and row 3 is sharing from global to local without boxes.
TABLE_4 = PaperTable(
    4,
    "coarse to fine, ISIC",
    "isic",
    (
        PaperRow("global_only", "Global only", 70.1),
        PaperRow("local_only", "Local only", 48.5),
        PaperRow("deep", "GLNet: G→L", 72.7),
        PaperRow("deep_boxes", "GLNet: G→L, Bbox", 73.9),
        PaperRow("bidirectional_boxes", "GLNet: G⇌L, Bbox", 75.2),
    ),
    ("The paper's section 4.3.1 has 72.7 for the global branch alone; its table, which is taken "
     "here, has 70.1 for it and 72.7 for GLNet without boxes.",),
)  # fmt: skip

TABLE_5 = PaperTable(
    5,
    "comparison with other networks, ISIC",
    "isic",
    (
        PaperRow("icnet", "ICNet", 33.8, 1593),
        PaperRow("segnet", "SegNet", 37.1, 4213),
        PaperRow("deeplabv3plus", "DeepLabv3+", 70.5, 2033),
        PaperRow("fcn8s", "FCN-8s", 42.8, 5238),
        PaperRow("glnet", "GLNet", 75.2, 1921),
    ),
    ("The paper gave most networks whole images, each of a size that it does not state.",),
)

TABLE_6 = PaperTable(
    6,
    "sharing of feature maps, Inria Aerial",
    "inria",
    (
        PaperRow("global_only", "Global only", 42.5),
        PaperRow("local_only", "Local only", 63.1),
        PaperRow("bidirectional", "GLNet: G⇌L", 71.2),
    ),
)

TABLE_7 = PaperTable(
    7,
    "comparison with other networks, Inria Aerial",
    "inria",
    (
        PaperRow("icnet", "ICNet", 31.1, 2379),
        PaperRow("deeplabv3plus", "DeepLabv3+", 55.9, 4323),
        PaperRow("fcn8s", "FCN-8s", 61.6, 8253),
        PaperRow("glnet", "GLNet", 71.2, 2663),
    ),
    ("Neither the way nor the sizes of the other networks' input are stated by the paper.",),
)

TABLES = {of.number: of for of in (TABLE_2, TABLE_3, TABLE_4, TABLE_5, TABLE_6, TABLE_7)}
"""By their numbers; Table 1 is `DATASETS`."""


def paper_table(number: int) -> PaperTable:
    """One of Tables 2 to 7.

    Raises:
        ConfigurationError: If it is none of them.
    """
    if number not in TABLES:
        raise ConfigurationError(f"expected a table from 2 to 7, got {number}; Table 1 is datasets")
    return TABLES[number]


def best_achievable() -> tuple[PaperRow, ...]:
    """The points of Figure 1a: of every network in Table 3 the way with the higher mIoU.

    The figure's caption names an FPN as well, of which the paper prints no number.
    """
    best: dict[str, PaperRow] = {}
    for row in TABLE_3.rows:
        if row.key not in best or row.miou > best[row.key].miou:
            best[row.key] = row
    return tuple(best.values())


@dataclass(frozen=True)
class PaperDataset:
    """A row of Table 1.

    Attributes:
        key: As `glnet.data.open_dataset` calls it; of the others, a short name.
        label: What people call it.
        images: How many.
        largest: The largest size; the paper gives widths first.
        mean_megapixels: As printed; of uniform sizes that of the one size, as printed.
        is_uniform: Whether all images are of one size.
        share_4k: Of images that the paper counts as "4K UHR", in %.
    """

    key: str
    label: str
    images: int
    largest: Size
    mean_megapixels: float
    is_uniform: bool
    share_4k: float


DATASETS = (
    PaperDataset("deepglobe", "DeepGlobe", 803, Size(2448, 2448), 6, True, 100),
    PaperDataset("isic", "ISIC", 2594, Size(4499, 6748), 9, False, 64.1),
    PaperDataset("inria", "Inria Aerial", 180, Size(5000, 5000), 25, True, 100),
    PaperDataset("cityscapes", "Cityscapes", 25000, Size(1024, 2048), 2, True, 0),
    PaperDataset("camvid", "CamVid", 101, Size(720, 960), 0.7, True, 0),
    PaperDataset("cocostuff", "COCO-Stuff", 123287, Size(640, 640), 0.3, False, 0),
    PaperDataset("voc2012", "VOC2012", 2913, Size(500, 500), 0.2, False, 0),
)
"""Table 1."""

DATASET_NOTES = (
    "The paper's section 2.3 has 1146 images of DeepGlobe, and 6682x4401 for the largest of ISIC; "
    "its table is taken here.",
)

FIGURE_8_NOTES = (
    "The paper's section 3.3 has two numbers of Figure 8, both of ISIC before boxes: about 99 % of "
    "images have more background than foreground, over 60 % have less than 20 % foreground. What "
    "boxes make of it is drawn there, without a number.",
)
