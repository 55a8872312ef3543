"""Where a file says that its picture lies: on Earth, and which way up."""

from pathlib import Path

from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.io import DatasetReader
from rasterio.rpc import RPC

from glnet.geometry import Size
from glnet.raster.gdal import gdal_settings
from glnet.raster.headers import header_orientation
from glnet.raster.orientation import UPRIGHT, Orientation, exif_orientation
from glnet.raster.protocol import AREA_OR_POINT, POINT, Georeference


def orientation_of(dataset: DatasetReader, path: Path) -> Orientation:
    """How a stored picture is turned before it is displayed."""
    if dataset.driver == "JPEG":
        value = dataset.tags().get("EXIF_Orientation", "")
        return exif_orientation(int(value)) if value.isdecimal() else UPRIGHT
    # Map makers count from the stored corner whatever the orientation says, as GDAL does.
    if _transform(dataset) is not None or dataset.gcps[0] or _rpcs(dataset) is not None:
        return UPRIGHT
    return header_orientation(path, dataset.driver)


def georeference_of(dataset: DatasetReader, orientation: Orientation) -> Georeference:
    """Where the displayed picture lies on Earth, as far as its file says."""
    gcps, gcps_crs = dataset.gcps
    stored = Size(dataset.height, dataset.width)
    transform = _transform(dataset)
    # Beside control points GDAL would move them when it writes, and not back when it reads.
    has_corner = transform is not None and not gcps
    return Georeference(
        crs=dataset.crs,
        transform=transform and orientation.displayed_transform(transform, stored),
        gcps=tuple(_displayed_gcp(point, orientation, stored) for point in gcps),
        gcps_crs=gcps_crs,
        rpcs=_rpcs(dataset),
        is_point=has_corner and dataset.tags().get(AREA_OR_POINT) == POINT,
    )


def _transform(dataset: DatasetReader) -> Affine | None:
    with gdal_settings():
        transform: Affine = dataset.transform
    return None if transform.is_identity else transform


def _rpcs(dataset: DatasetReader) -> RPC | None:
    try:
        found: RPC | None = dataset.rpcs
    except (KeyError, TypeError, ValueError):  # Some of them are missing, or are no numbers.
        return None
    return found


def _displayed_gcp(
    point: GroundControlPoint, orientation: Orientation, stored: Size
) -> GroundControlPoint:
    row, column = orientation.displayed_point(point.row, point.col, stored)
    return GroundControlPoint(row, column, point.x, point.y, point.z, point.id, point.info)
