"""Small trees that are laid out, named and encoded as the downloads of the benchmarks."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image

from glnet.data.deepglobe import PUBLISHED_CLASSES
from glnet.data.inria import CITIES
from glnet.data.isic import IMAGES, MASKS
from tests.raster.raster_files import write_tiff

SIDE = 48


def deepglobe(
    root: Path,
    stems: Iterable[str] = ("119", "2334", "71619"),
    folder: str = "train",
    unlabelled: Iterable[str] = ("valid", "test"),
) -> Path:
    """``train`` with masks whose colours are not quite pure; ``valid`` and ``test`` without."""
    for number, stem in enumerate(stems):
        labels = blocks(number, len(PUBLISHED_CLASSES))
        write_photo(root / folder / f"{stem}_sat.jpg", labels)
        colors = np.array([info.color for info in PUBLISHED_CLASSES], np.uint8)[labels]
        near = np.where(colors > 127, colors - 100, colors + 100).astype(np.uint8)
        write_png(root / folder / f"{stem}_mask.png", near)
    for name in unlabelled:
        write_photo(root / name / "4242_sat.jpg", blocks(0, 2))
    write_text(root / "class_dict.csv", "name,r,g,b\nurban_land,0,255,255\n")
    write_text(root / "metadata.csv", "image_id,split,sat_image_path,mask_path\n")
    return root


def isic(
    root: Path,
    stems: Sequence[str] = ("ISIC_0000000", "ISIC_0000001", "ISIC_0000003"),
    images: str = IMAGES,
    masks: str = MASKS,
) -> Path:
    """Photos of differing sizes, masks of 0 and 255."""
    for number, stem in enumerate(stems):
        labels = blocks(number, 2, SIDE + 3 * number, SIDE - 2 * number)
        write_photo(root / images / f"{stem}.jpg", labels)
        write_png(root / masks / f"{stem}_segmentation.png", (labels * 255).astype(np.uint8))
    for folder in (images, masks):
        write_text(root / folder / "ATTRIBUTION.txt", "ISIC 2018")
        write_text(root / folder / "LICENSE.txt", "CC")
    return root


def inria(
    root: Path,
    cities: Iterable[str] = CITIES,
    numbers: Iterable[int] = range(1, 8),
    below: str = "AerialImageDataset",
) -> Path:
    """Georeferenced tiles; of the test cities without ground truth."""
    for city in cities:
        for number in numbers:
            labels = blocks(number, 2)
            image, truth = (
                root / below / "train" / kind / f"{city}{number}.tif" for kind in ("images", "gt")
            )
            write_tile(image, np.moveaxis(photo(labels), 2, 0), number)
            write_tile(truth, (labels[None] * 255).astype(np.uint8), number)
    write_tile(root / below / "test/images/bellingham1.tif", np.zeros((3, SIDE, SIDE), np.uint8))
    return root


def blocks(seed: int, classes: int, height: int = SIDE, width: int = SIDE) -> NDArray[np.uint8]:
    """Labels (height, width) in blocks of 8 pixels; every class occurs."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (-(-height // 8), -(-width // 8)), np.uint8)
    coarse.flat[:classes] = np.arange(classes)
    return coarse.repeat(8, 0).repeat(8, 1)[:height, :width]


def photo(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Something (height, width, 3) in which the labels can be seen."""
    return np.stack([labels * 30, 255 - labels * 20, 90 + labels * 10], axis=2).astype(np.uint8)


def write_photo(path: Path, labels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo(labels)).save(path)


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_tile(path: Path, pixels: NDArray[np.uint8], number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    place = Affine(0.3, 0, 616_500 + 1500 * number, 0, -0.3, 3_345_000)
    write_tiff(path, pixels, crs="EPSG:26914", transform=place)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
