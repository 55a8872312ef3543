import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from glnet.errors import OutputError
from glnet.geometry import Size
from glnet.raster import LabelWriter, output


def test_a_full_disk_is_told_with_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.raster.output.shutil.disk_usage", lambda _: SimpleNamespace(free=7))

    error = output.write_error(tmp_path / "a.tif", "no room")

    assert str(error).startswith(f"disk full while writing {tmp_path / 'a.tif'}: 7 bytes free")


def test_a_file_that_holds_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabelWriter, "_opened", lambda _: _Forgetful())

    with pytest.raises(OutputError, match="does not hold what was written"):
        _write(tmp_path / "a.tif", np.ones((4, 4), dtype=np.uint8))

    assert list(tmp_path.iterdir()) == []


def _write(path: Path, labels: NDArray[np.uint8]) -> None:
    with LabelWriter(path, Size(*labels.shape)) as writer:
        writer.write(labels)


class _Forgetful:
    def write(self, *_: object, **__: object) -> None:
        pass


LIMITED_WRITING = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from glnet.errors import OutputError
from glnet.geometry import Size
from glnet.raster import LabelWriter

labels = np.random.default_rng(0).integers(0, 7, (1200, 700), dtype=np.uint8)

def write(path, limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        with LabelWriter(path, Size(*labels.shape), class_names=('a', 'b')) as writer:
            writer.write(labels)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
for name in ("a.tif", "a.png"):
    write(folder / name, resource.RLIM_INFINITY)
    size = (folder / name).stat().st_size
    for file in folder.iterdir():
        file.unlink()
    for limit in (0, 100, size // 2, size - 3000, size - 200, size - 1):
        try:
            write(folder / name, limit)
        except OutputError as error:
            assert "could not be written whole" in str(error) or "disk full" in str(error), error
        else:
            raise SystemExit(f"{name} with {limit} of {size} bytes went unnoticed")
        assert not list(folder.iterdir()), list(folder.iterdir())
"""


def test_a_disk_that_fills_up_at_any_moment_is_noticed(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="file sizes cannot be limited here")

    command = [sys.executable, "-W", "error", "-c", LIMITED_WRITING, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
