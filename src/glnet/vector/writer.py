"""Polygons of a label map, written while the map comes in."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from glnet.errors import ConfigurationError, OutputError
from glnet.geometry import Size
from glnet.raster.protocol import Georeference
from glnet.raster.writing.labels import check_labels
from glnet.raster.writing.output import check_destination, partial_beside, publish, write_error
from glnet.vector.attributes import Flavor, Legend
from glnet.vector.components import ComponentFinder, Components, in_parts, together
from glnet.vector.placement import Placement, in_degrees, in_map, in_pixels
from glnet.vector.waiting import WaitingCorners

if TYPE_CHECKING:
    from glnet.vector.features import Features

GEOPACKAGE_SUFFIX, GEOJSON_SUFFIX = ".gpkg", ".geojson"
VECTOR_SUFFIXES = (GEOPACKAGE_SUFFIX, GEOJSON_SUFFIX)

PIXELS_AT_ONCE = 1 << 18
"""Labels that are looked at together, or one row; more gained no time."""

CORNERS_AT_ONCE = 1 << 16
"""Components that have ended are written once they have so many corners together, and about so many
at once."""

CORNERS_IN_MEMORY = 1 << 16
"""Corners of components that have not ended which wait in memory; or 4 per pixel of width."""

CORNERS_PER_COLUMN = 4

OPEN_DATABASE = ("-wal", "-journal")
"""What SQLite keeps beside a GeoPackage while a program has it open."""


class FeatureFile(Protocol):
    """A file of polygons that is being written; see `GeoJsonFile` and `GeoPackageFile`."""

    def append(self, features: "Features") -> None:
        """Write some more features."""
        ...

    def finish(self) -> None:
        """Write the end, and make sure that all is there."""
        ...

    def close(self) -> None:
        """Close the file as it is."""
        ...


class PolygonWriter:
    """Writes the polygons of a label map; the file appears when the with block ends well.

    A polygon is the outline of pixels of one class that are connected by their sides; where two
    touch only at a corner, they are two polygons, or one polygon with two rings that touch. Its
    fields are class (the label), name, color ("#rrggbb") and area (in pixels, counted, so that the
    areas of a class add up to the raster's).

    A ".gpkg" becomes a GeoPackage with one layer, "polygons", and a spatial index, in the raster's
    own CRS. A ".geojson" becomes GeoJSON in longitude and latitude (RFC 7946 knows nothing else);
    there, edges over 64 pixels get points between, as they are slightly bent. Polygons across the
    180th meridian are not cut. Without a georeference, with control points only, or, for GeoJSON,
    without a CRS, coordinates are pixels: x to the right and y downwards from the upper left
    corner, which maps show upside down.

    Host memory: at most about 150 MiB above the libraries; beyond 16,000 pixels of width, 4 corners
    per pixel of it; and the largest single polygon, 160 to 240 bytes per point while it is written,
    in GeoJSON 270 (measured, in benchmarks/results). What is open, that is reaches down to the last
    row, waits as eight bytes per corner in a hidden folder beside the result. If the block ends in
    an exception of any kind, nothing is left behind.

    Args:
        path: Where to; its suffix chooses the format.
        size: Height and width of the whole label map.
        georeference: Where it lies on Earth.
        colors: (red, green, blue) in 0..255 of each label, from 0 on; labels without one are grey.
        class_names: The name of each label, from 0 on; labels without one have their number.
        nodata: The label that becomes no polygon.
        simplify: How far outlines may stray, in pixels of the raster; none by default. Neighbours
            then no longer share their borders, and may overlap by as much.
        flavor: For whom a GeoJSON file is. For QuPath, coordinates are always pixels.
        scale: For QuPath: the pixels of level 0 per pixel of the label map.
        overwrite: Whether a file that is there already is replaced.

    Raises:
        OutputError: If nothing can be written there, if colours, names or nodata do not fit labels,
            if the raster's place is not known in longitude and latitude, or if the libraries of the
            extra "vector" are not installed.
        ConfigurationError: If ``simplify``, ``flavor`` or ``scale`` make no sense.
    """

    def __init__(  # noqa: PLR0913 - as `LabelWriter`
        self,
        path: str | Path,
        size: Size,
        georeference: Georeference | None = None,
        colors: Sequence[tuple[int, int, int]] = (),
        class_names: Sequence[str] = (),
        nodata: int | None = 255,
        *,
        simplify: float | None = None,
        flavor: Flavor | str = Flavor.PLAIN,
        scale: float = 1.0,
        overwrite: bool = False,
    ) -> None:
        _require_libraries()
        self._path = Path(path).absolute()
        check_destination(self._path, VECTOR_SUFFIXES, overwrite)
        _require_closed(self._path)
        check_labels(colors, class_names, nodata)
        flavor = _known_flavor(flavor)
        _check_options(self._path, simplify, flavor, scale)
        self._size = size
        self._placement = _placement(self._path, georeference or Georeference(), flavor, scale)
        self._placement.place(np.array([[size.width / 2, size.height / 2]]))
        self._legend = Legend(class_names, colors)
        self._nodata = nodata
        self._simplify = simplify
        self._flavor = flavor
        self._overwrite = overwrite
        self._is_used = False
        self._stack = ExitStack()
        self._partial = self._path
        self._finder: ComponentFinder | None = None
        self._file: FeatureFile | None = None
        self._ended: list[Components] = []
        self._rows_written = 0

    def write(self, labels: NDArray[np.uint8]) -> None:
        """Append the next rows.

        Args:
            labels: (rows, width) uint8, any number of rows.

        Raises:
            OutputError: If called outside the with block, with another dtype or width, with more
                rows than are left, if the disk is full, or if a point has no longitude and
                latitude.
        """
        finder = self._opened()
        self._check_rows(labels)
        height = max(1, PIXELS_AT_ONCE // self._size.width)
        with self._writing():
            for row in range(0, len(labels), height):
                self._add(finder.add(labels[row : row + height]))
        self._rows_written += len(labels)

    def __enter__(self) -> Self:
        if self._is_used:
            raise OutputError(f"{self._path} has been written; make another writer to do it again")
        self._is_used = True
        most = max(CORNERS_IN_MEMORY, CORNERS_PER_COLUMN * self._size.width)
        with ExitStack() as stack, self._writing():
            folder = stack.enter_context(_partial_folder(self._path))
            waiting = stack.enter_context(WaitingCorners(folder, most, CORNERS_AT_ONCE))
            self._partial = folder / f"polygons{self._path.suffix.lower()}"
            self._file = stack.enter_context(closing(self._create()))
            self._finder = ComponentFinder(self._size.width, self._nodata, waiting)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            finder = self._opened()
            self._finder = None
            if error is None:
                self._finish(finder)

    def _finish(self, finder: ComponentFinder) -> None:
        if self._rows_written < self._size.height:
            raise OutputError(
                f"{self._path} needs {self._size.height} rows, got only {self._rows_written}"
            )
        with self._writing():
            self._add(finder.finish())
            if self._ended:
                self._flush()
            assert self._file is not None
            self._file.finish()
            publish(self._partial, self._path, self._overwrite)

    def _add(self, ended: Iterator[Components]) -> None:
        for part in ended:
            self._ended.append(part)
            if sum(len(of.corners.places) for of in self._ended) >= CORNERS_AT_ONCE:
                self._flush()

    def _flush(self) -> None:
        """Write the polygons that have ended."""
        from glnet.vector.features import features_of  # noqa: PLC0415 - needs the extra

        assert self._file is not None
        ended, self._ended = together(self._ended), []
        stride = self._size.width + 1
        # A row may end many large ones: as polygons, they take over ten times the memory.
        for part in in_parts(ended, CORNERS_AT_ONCE):
            self._file.append(features_of(part, stride, self._placement, self._simplify))

    def _create(self) -> FeatureFile:
        from glnet.vector.geojson import GeoJsonFile  # noqa: PLC0415 - needs the extra
        from glnet.vector.geopackage import GeoPackageFile  # noqa: PLC0415 - needs the extra

        if self._partial.suffix == GEOPACKAGE_SUFFIX:
            return GeoPackageFile(self._partial, self._legend, self._placement.crs)
        has_place = self._placement.crs is not None
        return GeoJsonFile(self._partial, self._legend, self._flavor, has_place=has_place)

    def _check_rows(self, labels: NDArray[np.uint8]) -> None:
        if labels.dtype != np.uint8:
            raise OutputError(f"labels must be uint8, got {labels.dtype}, for {self._path}")
        if labels.ndim != 2 or labels.shape[1] != self._size.width:
            raise OutputError(
                f"labels for {self._path} must be (rows, {self._size.width}), got {labels.shape}"
            )
        left = self._size.height - self._rows_written
        if len(labels) > left:
            raise OutputError(f"{self._path} has {left} rows left to write, got {len(labels)}")

    def _opened(self) -> ComponentFinder:
        if self._finder is None:
            raise OutputError(f"{self._path} is not open for writing; write inside its with block")
        return self._finder

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What goes wrong with files, in our words."""
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            raise write_error(self._path, error.strerror or str(error)) from error


def _placement(path: Path, georeference: Georeference, flavor: Flavor, scale: float) -> Placement:
    if flavor is Flavor.QUPATH:
        return in_pixels(scale)
    is_geojson = path.suffix.lower() == GEOJSON_SUFFIX
    return in_degrees(georeference) if is_geojson else in_map(georeference)


def _known_flavor(name: str) -> Flavor:
    if name not in list(Flavor):
        raise ConfigurationError(f"flavor must be one of {', '.join(Flavor)}, got {name}")
    return Flavor(name)


def _check_options(path: Path, simplify: float | None, flavor: Flavor, scale: float) -> None:
    if simplify is not None and not (isfinite(simplify) and simplify > 0):
        raise ConfigurationError(f"simplify is a distance in pixels over 0 or None, got {simplify}")
    if not (isfinite(scale) and scale > 0):
        raise ConfigurationError(f"scale is a factor over 0, got {scale}")
    if scale != 1 and flavor is not Flavor.QUPATH:
        raise ConfigurationError(f"a scale is for QuPath only, got {scale}; choose its flavor")
    if flavor is Flavor.QUPATH and path.suffix.lower() != GEOJSON_SUFFIX:
        raise ConfigurationError(f"QuPath reads {GEOJSON_SUFFIX}, got {path}; change its suffix")


def _require_closed(path: Path) -> None:
    for ending in OPEN_DATABASE:
        if path.with_name(path.name + ending).exists():
            raise OutputError(
                f"{path}{ending} exists, so another program has {path.name} open or was killed; "
                "close it there, or choose another name"
            )


def _require_libraries() -> None:
    try:
        import pyogrio  # noqa: F401, PLC0415 - an extra
        import shapely  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise OutputError(
            f"polygons need shapely and pyogrio ({error}); install them with: "
            "pip install 'glnet[vector]'"
        ) from error


@contextmanager
def _partial_folder(path: Path) -> Iterator[Path]:
    """A hidden folder beside ``path`` for what is not whole yet; gone afterwards."""
    folder = partial_beside(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
