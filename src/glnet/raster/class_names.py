"""The names of classes that a label map carries in its metadata."""

import json
from pathlib import Path

from glnet.raster.gdal import open_dataset
from glnet.raster.writing.labels import CLASSES_TAG


def class_names(path: str | Path) -> tuple[str, ...]:
    """The name of each label from 0 on, as `LabelWriter` has stored them; none where it has not.

    Raises:
        RasterError: If the file cannot be opened.
    """
    with open_dataset(path) as dataset:
        text = dataset.tags().get(CLASSES_TAG, "")
    try:
        names = json.loads(text)
    except ValueError:  # Nothing there, or somebody else's words.
        return ()
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_list else ()
