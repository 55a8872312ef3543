"""ISIC 2018 Task 1, lesion segmentation (Codella et al., 2019): 2594 images of many sizes.

The paper (section 4) parts its training set at random, 2074, 260 and 260, and publishes no lists:
ours are drawn by `SEED`.
"""

from glnet.data.benchmark import Benchmark, Layout
from glnet.data.classes import ClassInfo
from glnet.data.colors import default_color
from glnet.data.description import DatasetDescription
from glnet.data.encodings import ThresholdEncoding
from glnet.data.pairing import Naming
from glnet.data.splits import FractionSplits

SEED = 0
COUNTS = {"train": 2074, "validation": 260, "test": 260}
IMAGES, MASKS = "ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"

ISIC = Benchmark(
    kind="isic",
    title="ISIC 2018 Task 1",
    description=DatasetDescription(
        (ClassInfo("background", default_color(0)), ClassInfo("lesion", default_color(1))),
        ThresholdEncoding(),
        FractionSplits(
            {name: count / sum(COUNTS.values()) for name, count in COUNTS.items()}, SEED
        ),
    ),
    layouts=(
        Layout(IMAGES, MASKS),
        Layout(".", "."),
        Layout(".", f"../{MASKS}"),
        Layout("images", "masks"),
    ),
    image=Naming("", (".jpg", ".jpeg"), r"ISIC_\d+", "ISIC_0000000"),
    mask=Naming("_segmentation", (".png",), r"ISIC_\d+", "ISIC_0000000"),
    unlabelled=("ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1-2_Test_Input"),
    download=f"{IMAGES} and {MASKS}",
)
