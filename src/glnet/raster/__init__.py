"""Pixel files: the only folder that opens and writes them."""

from glnet.raster.areas import AreaBasis, PixelAreas
from glnet.raster.block_means import masked_reduced, read_reduced
from glnet.raster.class_names import class_names
from glnet.raster.files import RasterFile, open_raster
from glnet.raster.forgiving import ForgivingRaster
from glnet.raster.gdal import CACHE_BYTES
from glnet.raster.measured import with_gaps
from glnet.raster.memory import ArrayRaster
from glnet.raster.overlay import draw_overlay, to_display
from glnet.raster.overviews import overview_for
from glnet.raster.palettes import Palette
from glnet.raster.protocol import Georeference, Masked, Raster, Valid
from glnet.raster.slides.opening import SlideRaster, is_slide, open_slide
from glnet.raster.slides.tissue import TissueRaster, find_tissue, tissue_mask
from glnet.raster.spooling import Access, ReadingCost, reading_cost, spooled
from glnet.raster.strips import STRIP_BYTES
from glnet.raster.thumbnails import Thumbnail, masked_thumbnail, shrunk, thumbnail
from glnet.raster.turning import UPRIGHT, Turn, TurnedRaster
from glnet.raster.views import ExtendedRaster, RasterPart, RasterView
from glnet.raster.writing.images import image_writer
from glnet.raster.writing.labels import LABEL_TILE, LabelWriter
from glnet.raster.writing.pictures import png_bytes, write_picture
from glnet.raster.writing.scores import CONFIDENCE, ScoreWriter, encode_scores

__all__ = [
    "Raster",
    "Masked",
    "Valid",
    "Georeference",
    "open_raster",
    "RasterFile",
    "Palette",
    "class_names",
    "ArrayRaster",
    "Turn",
    "UPRIGHT",
    "TurnedRaster",
    "RasterView",
    "RasterPart",
    "ExtendedRaster",
    "ForgivingRaster",
    "open_slide",
    "is_slide",
    "SlideRaster",
    "TissueRaster",
    "find_tissue",
    "tissue_mask",
    "spooled",
    "reading_cost",
    "ReadingCost",
    "Access",
    "thumbnail",
    "shrunk",
    "overview_for",
    "Thumbnail",
    "read_reduced",
    "masked_thumbnail",
    "masked_reduced",
    "with_gaps",
    "CACHE_BYTES",
    "STRIP_BYTES",
    "LabelWriter",
    "LABEL_TILE",
    "ScoreWriter",
    "CONFIDENCE",
    "encode_scores",
    "PixelAreas",
    "AreaBasis",
    "image_writer",
    "write_picture",
    "png_bytes",
    "draw_overlay",
    "to_display",
]
