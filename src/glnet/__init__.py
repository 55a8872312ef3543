"""Segmentation of images too large for a GPU.

Load a model and segment an image, from a path or an array::

    import glnet

    model = glnet.load("model/")
    labels = glnet.segment("scene.tif", model)

What is named in ``__all__`` is for users and stays as it is; all else may change.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from glnet.errors import (
    CheckpointError,
    ClusterError,
    ConfigurationError,
    DatasetError,
    GeometryError,
    GLNetError,
    InputMismatchError,
    OutputError,
    PredictionError,
    RasterError,
    TrainingError,
)

if TYPE_CHECKING:
    from glnet.cluster.connecting import on_ray as on_ray
    from glnet.data.check import check_dataset as check_dataset
    from glnet.data.items import from_items as from_items
    from glnet.data.opening import open_dataset as open_dataset
    from glnet.inference.jobs import Extras as Extras
    from glnet.inference.report import SegmentReport as SegmentReport
    from glnet.inference.segment import segment as segment
    from glnet.inference.segment import segment_file as segment_file
    from glnet.inference.showing import show as show
    from glnet.inference.source import Source as Source
    from glnet.inference.starting import Rules as Rules
    from glnet.inference.streaming import Settings as Settings
    from glnet.model.any_network import from_network as from_network
    from glnet.model.checkpoint import Model as Model
    from glnet.model.checkpoint import load_model as load
    from glnet.raster import open_raster as open_raster
    from glnet.training.config_file import read_config as read_config
    from glnet.training.run import train as train

__version__ = version("glnet")

__all__ = [
    "load",
    "segment",
    "segment_file",
    "show",
    "Settings",
    "Source",
    "Extras",
    "Rules",
    "SegmentReport",
    "on_ray",
    "from_network",
    "Model",
    "open_raster",
    "open_dataset",
    "check_dataset",
    "from_items",
    "train",
    "read_config",
    "GLNetError",
    "GeometryError",
    "RasterError",
    "OutputError",
    "DatasetError",
    "ConfigurationError",
    "TrainingError",
    "CheckpointError",
    "ClusterError",
    "PredictionError",
    "InputMismatchError",
    "__version__",
]

_HOMES = {
    "on_ray": ("glnet.cluster.connecting", "on_ray"),
    "load": ("glnet.model.checkpoint", "load_model"),
    "segment": ("glnet.inference.segment", "segment"),
    "segment_file": ("glnet.inference.segment", "segment_file"),
    "show": ("glnet.inference.showing", "show"),
    "Settings": ("glnet.inference.streaming", "Settings"),
    "Source": ("glnet.inference.source", "Source"),
    "Extras": ("glnet.inference.jobs", "Extras"),
    "Rules": ("glnet.inference.starting", "Rules"),
    "from_network": ("glnet.model.any_network", "from_network"),
    "SegmentReport": ("glnet.inference.report", "SegmentReport"),
    "Model": ("glnet.model.checkpoint", "Model"),
    "open_raster": ("glnet.raster", "open_raster"),
    "open_dataset": ("glnet.data.opening", "open_dataset"),
    "check_dataset": ("glnet.data.check", "check_dataset"),
    "from_items": ("glnet.data.items", "from_items"),
    "train": ("glnet.training.run", "train"),
    "read_config": ("glnet.training.config_file", "read_config"),
}
"""Fetched when first used: torch takes seconds to import, which ``glnet --help`` need not wait."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'glnet' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value: object = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
