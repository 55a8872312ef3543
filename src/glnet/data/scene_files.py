"""Drawn scenes on disk: whole datasets after the folder contract, and georeferenced maps."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import yaml

from glnet.data.description_file import DESCRIPTION_NAME
from glnet.data.folder import SegmentationFolder
from glnet.data.synthetic import SCENE_CLASSES, SceneSettings, make_scene, scene_strips
from glnet.errors import ConfigurationError, OutputError
from glnet.geometry import Size
from glnet.raster import Georeference, LabelWriter, image_writer, write_picture

SCENE_GEOREFERENCE = Georeference.north_up(32633, 412_000.0, 5_820_000.0, 0.5)
"""Pixels of 0.5 m in UTM zone 33 north."""


def write_dataset(
    root: str | Path,
    settings: SceneSettings,
    counts: Mapping[str, int],
    seed: int = 0,
    suffix: Literal[".png", ".tif"] = ".png",
) -> SegmentationFolder:
    """Draw a dataset: ``images``, ``masks`` (PNG of indices, with colours) and ``dataset.yaml``.

    Args:
        root: The folder to fill; made where it is missing.
        settings: How the scenes look.
        counts: How many scenes each split gets, such as ``{"train": 12, "validation": 4}``.
        seed: Of the first scene; the next ones have the next seeds, through all splits.
        suffix: The images' format; ``.tif`` is a georeferenced GeoTIFF.

    Returns:
        The dataset, opened.

    Raises:
        ConfigurationError: If a count is under 1, there is no split, or the seed is negative.
        OutputError: If something is there already, or cannot be written.
    """
    root = Path(root)
    lists = _name_scenes(counts)
    _make_folders(root)
    stems = [stem for listed in lists.values() for stem in listed]
    for number, stem in enumerate(stems):
        image, mask = root / "images" / f"{stem}{suffix}", root / "masks" / f"{stem}.png"
        _write_scene(image, mask, settings, seed + number)
    # Last, so that a dataset that was interrupted is not taken for a whole one.
    (root / DESCRIPTION_NAME).write_text(_describe(lists), encoding="utf-8")
    return SegmentationFolder.open(root)


def write_scene_geotiff(
    path: str | Path,
    truth_path: str | Path,
    settings: SceneSettings | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> None:
    """Draw one large scene and its truth as GeoTIFFs, strip by strip.

    Args:
        path: Where the image goes, ``.tif``: 3 bands of uint8, tiled, DEFLATE.
        truth_path: Where the labels go, ``.tif`` or ``.png``.
        settings: How it looks; by default 4096 x 4096 pixels.
        seed: Of the scene; take one that `write_dataset` did not take.
        overwrite: Whether files that are there already are replaced.

    Raises:
        ConfigurationError: If the seed is negative.
        OutputError: If a file cannot be written.
    """
    settings = settings or SceneSettings(Size(4096, 4096))
    with (
        image_writer(path, settings.size, SCENE_GEOREFERENCE, overwrite=overwrite) as write,
        _label_writer(truth_path, settings.size, SCENE_GEOREFERENCE, overwrite) as truth,
    ):
        for strip in scene_strips(settings, seed):
            write(strip.window, strip.image)
            truth.write(strip.labels)


def _name_scenes(counts: Mapping[str, int]) -> dict[str, list[str]]:
    if not counts or min(counts.values()) < 1:
        raise ConfigurationError(
            f"expected splits with at least one scene each, such as train: 12, got {dict(counts)}"
        )
    return {
        split: [f"{split}_{number:03d}" for number in range(count)]
        for split, count in counts.items()
    }


def _make_folders(root: Path) -> None:
    if (root / DESCRIPTION_NAME).exists():
        raise OutputError(f"{root} holds a dataset already; choose another folder or remove it")
    try:
        for name in ("images", "masks"):
            (root / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{root}: the folders cannot be made: {error}") from error


def _write_scene(image: Path, mask: Path, settings: SceneSettings, seed: int) -> None:
    if image.suffix == ".tif":
        write_scene_geotiff(image, mask, settings, seed)
        return
    scene = make_scene(settings, seed)
    write_picture(image, np.moveaxis(scene.image, 0, 2))
    with _label_writer(mask, settings.size, None) as writer:
        writer.write(scene.labels)


def _describe(lists: Mapping[str, list[str]]) -> str:
    description = {
        "classes": [info.to_dict() for info in SCENE_CLASSES],
        "mask": {"encoding": "index"},
        "splits": {"lists": dict(lists)},
    }
    return yaml.safe_dump(description, sort_keys=False)


def _label_writer(
    path: str | Path, size: Size, georeference: Georeference | None, overwrite: bool = False
) -> LabelWriter:
    return LabelWriter(
        path,
        size,
        georeference,
        colors=[info.color for info in SCENE_CLASSES],
        class_names=[info.name for info in SCENE_CLASSES],
        overwrite=overwrite,
    )
