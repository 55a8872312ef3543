"""Pixel files: the only folder that opens and writes them."""

from glnet.raster.areas import AreaBasis, PixelAreas
from glnet.raster.files import Palette, RasterFile, open_raster
from glnet.raster.gdal import CACHE_BYTES
from glnet.raster.images import image_writer
from glnet.raster.labels import LABEL_TILE, LabelWriter
from glnet.raster.memory import ArrayRaster
from glnet.raster.overlay import draw_overlay, to_display
from glnet.raster.pictures import write_picture
from glnet.raster.protocol import Georeference, Raster
from glnet.raster.resizing import STRIP_BYTES, read_reduced, thumbnail
from glnet.raster.scores import ScoreWriter, encode_scores
from glnet.raster.strip_writer import buffer_bytes
from glnet.raster.turning import UPRIGHT, Turn, TurnedRaster

__all__ = [
    "Raster",
    "Georeference",
    "open_raster",
    "RasterFile",
    "Palette",
    "ArrayRaster",
    "Turn",
    "UPRIGHT",
    "TurnedRaster",
    "thumbnail",
    "read_reduced",
    "CACHE_BYTES",
    "STRIP_BYTES",
    "LabelWriter",
    "LABEL_TILE",
    "ScoreWriter",
    "encode_scores",
    "buffer_bytes",
    "PixelAreas",
    "AreaBasis",
    "image_writer",
    "write_picture",
    "draw_overlay",
    "to_display",
]
