"""Polygons as GeoJSON, written feature by feature. Needs shapely."""

import json
from contextlib import suppress
from pathlib import Path

import shapely

from glnet.vector.attributes import Flavor, Legend
from glnet.vector.features import Features


class GeoJsonFile:
    """A feature collection, one feature per line.

    Args:
        path: A file that is not there yet.
        legend: Names and colours of the classes.
        flavor: Which properties features have.
        has_place: Whether coordinates are longitudes and latitudes. If not, the file says so in the
            way of the older standard (``"crs": null``), which readers take as "not on Earth".

    Raises:
        OSError: If the file cannot be made; from all methods, if it cannot be written.
    """

    def __init__(self, path: Path, legend: Legend, flavor: Flavor, *, has_place: bool) -> None:
        self._legend = legend
        self._flavor = flavor
        self._file = path.open("x", encoding="utf-8", newline="\n")
        place = "" if has_place or flavor is Flavor.QUPATH else '"crs": null, '
        self._file.write(f'{{"type": "FeatureCollection", {place}"features": [')
        self._separator = "\n"

    def append(self, features: Features) -> None:
        """Write some more features."""
        labels = sorted(set(features.classes.tolist()))
        beginnings = {label: self._beginning(label) for label in labels}
        rows = zip(
            features.classes.tolist(),
            features.areas.tolist(),
            shapely.to_geojson(features.polygons),
            strict=True,
        )
        for label, area, geometry in rows:
            own = "" if self._flavor is Flavor.QUPATH else f', "area": {area}'
            self._file.write(
                f'{self._separator}{beginnings[label]}{own}}}, "geometry": {geometry}}}'
            )
            self._separator = ",\n"

    def finish(self) -> None:
        """End the collection and close the file."""
        self._file.write("\n]}\n")
        self._file.close()

    def close(self) -> None:
        """Close the file as it is; closing twice does nothing."""
        # Of a file that is thrown away, it is no news that its end cannot be written.
        with suppress(OSError):
            self._file.close()

    def _beginning(self, label: int) -> str:
        """A feature up to where its own properties follow."""
        name = self._legend.name(label)
        properties: dict[str, object] = {
            "class": label,
            "name": name,
            "color": self._legend.hex_color(label),
        }
        if self._flavor is Flavor.QUPATH:
            classification = {"name": name, "color": list(self._legend.color(label))}
            properties = {"objectType": "annotation", "classification": classification}
        text = json.dumps(properties, ensure_ascii=False)
        return f'{{"type": "Feature", "properties": {text[:-1]}'
