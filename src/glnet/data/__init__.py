"""Labelled images on disk: the folder contract, masks of every encoding, drawn scenes."""

from glnet.data.check import DatasetReport, check_dataset
from glnet.data.classes import IGNORE_INDEX, ClassInfo
from glnet.data.description import DatasetDescription, StemEndings
from glnet.data.description_file import read_description
from glnet.data.encodings import IndexEncoding, MaskEncoding, PaletteEncoding, ThresholdEncoding
from glnet.data.folder import DatasetKind, SegmentationFolder
from glnet.data.items import ItemDataset, from_items
from glnet.data.masks import LabelRaster, open_labels
from glnet.data.opening import open_dataset
from glnet.data.sample import LabelledDataset, LabelledSample, Sample
from glnet.data.scene_files import write_dataset, write_scene_geotiff
from glnet.data.splits import FractionSplits, GroupSplits, ListedSplits, SplitRule
from glnet.data.synthetic import SCENE_CLASSES, Scene, SceneSettings, make_scene

__all__ = [
    "IGNORE_INDEX",
    "ClassInfo",
    "DatasetDescription",
    "read_description",
    "MaskEncoding",
    "IndexEncoding",
    "PaletteEncoding",
    "ThresholdEncoding",
    "StemEndings",
    "SplitRule",
    "ListedSplits",
    "FractionSplits",
    "GroupSplits",
    "open_dataset",
    "DatasetKind",
    "check_dataset",
    "DatasetReport",
    "SegmentationFolder",
    "from_items",
    "ItemDataset",
    "LabelledDataset",
    "LabelledSample",
    "Sample",
    "open_labels",
    "LabelRaster",
    "SceneSettings",
    "Scene",
    "SCENE_CLASSES",
    "make_scene",
    "write_dataset",
    "write_scene_geotiff",
]
