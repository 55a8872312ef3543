"""A disk that fills up is noticed, whenever it does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyogrio.raw import write as write_features

from glnet.errors import OutputError
from glnet.vector import geopackage
from tests.vector.drawn import write_all

LIMITED_WRITING = """
import resource, signal, sys
from pathlib import Path
import numpy as np
import glnet.vector.writer
from glnet.errors import OutputError
from glnet.geometry import Size
from glnet.vector import PolygonWriter

glnet.vector.writer.CORNERS_AT_ONCE = 1000
labels = np.random.default_rng(0).integers(0, 3, (90, 70), dtype=np.uint8)

def write(path, limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with PolygonWriter(path, Size(*labels.shape)) as writer:
            writer.write(labels)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, name = Path(sys.argv[1]), sys.argv[2]
write(folder / name, resource.RLIM_INFINITY)
size = (folder / name).stat().st_size
for file in folder.iterdir():
    file.unlink()
limits = {0, 100, 4096, 50_000, 100_000, 110_000, *range(size // 20, size, size // 20)}
for limit in sorted({*limits, size - 5000, size - 1000, size - 200, size - 1}):
    try:
        write(folder / name, limit)
    except OutputError as error:
        assert "could not be written whole" in str(error) or "disk full" in str(error), error
        assert "\\n" not in str(error), error
    else:
        raise SystemExit(f"{name} with {limit} of {size} bytes went unnoticed")
    assert not list(folder.iterdir()), list(folder.iterdir())
"""


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson"])
def test_a_disk_that_fills_up_at_any_moment_is_noticed(tmp_path: Path, name: str) -> None:
    pytest.importorskip("resource", reason="file sizes cannot be limited here")

    command = [sys.executable, "-W", "error", "-c", LIMITED_WRITING, str(tmp_path), name]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr


def _forgets(path: Path, *_: object, **options: object) -> None:
    """Makes the file, and no features."""
    if not options["append"]:
        write_features(path, *_, **options)


def _damages(path: Path, *_: object, **__: object) -> None:
    path.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize(
    ("write", "message"),
    [(_forgets, "does not hold what was written"), (_damages, "cannot be read back")],
)
def test_a_geopackage_that_holds_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: object, message: str
) -> None:
    monkeypatch.setattr(geopackage, "write", write)

    with pytest.raises(OutputError, match=message):
        write_all(tmp_path / "a.gpkg", np.ones((4, 4), dtype=np.uint8))

    assert list(tmp_path.iterdir()) == []
