"""Small folders after the folder contract, healthy ones and spoilt ones."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.data.downloads import blocks, photo

INDEX_YAML = """\
classes: [soil, carrot, weed]
splits: {lists: {train: [a, b], validation: [c]}}
"""


def write_folder(root: Path, yaml: str | None = INDEX_YAML, stems: str = "abc") -> Path:
    """One image and index mask of three classes per letter."""
    for seed, stem in enumerate(stems):
        write_image(root, stem, blocks(seed, 3))
        write_mask(root, stem, blocks(seed, 3))
    if yaml is not None:
        (root / "dataset.yaml").write_text(yaml)
    return root


def write_image(
    root: Path, stem: str, labels: NDArray[np.uint8], orientation: int | None = None
) -> Path:
    """A JPEG; with an EXIF orientation if one is given."""
    path = root / "images" / f"{stem}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    Image.fromarray(photo(labels)).save(path, exif=exif)
    return path


def write_mask(root: Path, stem: str, pixels: NDArray[Any], suffix: str = ".png") -> Path:
    path = root / "masks" / f"{stem}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
