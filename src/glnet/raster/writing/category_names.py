"""The names of classes where GIS programs look for them: GDAL's file beside a picture."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from glnet.raster.writing.output import sidecar_of

AUX_SUFFIX = ".aux.xml"
AUX_ROOT, AUX_BAND = "PAMDataset", "PAMRasterBand"
AUX_END = b"</PAMDataset>"
"""How such a file ends."""


def add_category_names(path: Path, names: Sequence[str]) -> None:
    """Name the values of a picture's first band, from 0 on, in ``<path>.aux.xml``.

    What GDAL has put there is kept; a file that GDAL could not write whole stays as it is. GDAL
    reads them as category names, which GIS programs may show in a legend; rasterio can neither
    write nor read them.

    Raises:
        OSError: If it cannot be written.
    """
    if is_cut_short(path):
        return
    sidecar = sidecar_of(path, AUX_SUFFIX)
    if sidecar.exists():
        root = ElementTree.fromstring(sidecar.read_bytes())
    else:
        root = ElementTree.Element(AUX_ROOT)
    band = root.find(f"{AUX_BAND}[@band='1']")
    if band is None:
        band = ElementTree.SubElement(root, AUX_BAND, band="1")
    categories = ElementTree.SubElement(band, "CategoryNames")
    for name in names:
        ElementTree.SubElement(categories, "Category").text = name
    ElementTree.indent(root)
    sidecar.write_text(ElementTree.tostring(root, "unicode") + "\n", encoding="utf-8")


def is_cut_short(path: Path) -> bool:
    """Whether a picture has such a file beside it that misses its end."""
    sidecar = sidecar_of(path, AUX_SUFFIX)
    return sidecar.exists() and not sidecar.read_bytes().rstrip().endswith(AUX_END)
