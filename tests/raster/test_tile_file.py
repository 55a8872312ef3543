import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from glnet.errors import OutputError, RasterError
from glnet.geometry import Size, Window, strips
from glnet.raster import Masked, tile_file
from glnet.raster.tile_file import TileFile
from tests.raster.raster_files import noise


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Size, Window]:
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 700))
    row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    rows, columns = draw(st.integers(1, height - row)), draw(st.integers(1, width - column))
    return Size(height, width), Window(row, column, Size(rows, columns))


@given(pictures(), st.integers(1, 60_000), st.booleans(), st.sampled_from(["uint8", "float32"]))
def test_windows_are_what_was_written(
    picture: tuple[Size, Window], row_bytes: int, has_mask: bool, dtype: str
) -> None:
    size, window = picture
    pixels = noise(3, size.height, size.width, dtype=dtype)
    valid = noise(size.height, size.width) < 100

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tile_file, "TILE_ROW_BYTES", row_bytes)
        file = TileFile(size, 3, np.dtype(dtype), has_mask, Path(tempfile.gettempdir()))
    for rows in strips(size, file.tile_height):
        file.write(rows.row, Masked(pixels[:, *rows.slices], valid[rows.slices]))
    found = file.read(window)
    file.close()

    assert found.pixels.dtype == np.dtype(dtype)
    assert np.array_equal(found.pixels, pixels[:, *window.slices])
    expected = valid[window.slices] if has_mask else np.True_
    assert np.array_equal(_all(found), np.broadcast_to(expected, _all(found).shape))


def _all(found: Masked) -> NDArray[np.bool_]:
    return np.ones(found.pixels.shape[1:], bool) if found.valid is None else found.valid


def test_what_was_not_written_is_not_valid(tmp_path: Path) -> None:
    file = TileFile(Size(500, 40), 2, np.dtype(np.int16), True, tmp_path)
    file.write(0, Masked(noise(2, file.tile_height, 40, dtype="int16"), None))

    found = file.read(Window(0, 0, Size(500, 40)))
    file.close()

    assert found.valid is not None
    assert found.valid[: file.tile_height].all()
    assert not found.valid[file.tile_height :].any()
    assert not found.pixels[:, file.tile_height :].any()


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    file = TileFile(Size(50, 40), 1, np.dtype(np.uint8), False, tmp_path)

    file.close()
    file.close()

    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_room_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    def make(folder: Path) -> TileFile:
        return TileFile(Size(5000, 200), 1, np.dtype(np.uint8), False, folder)

    with pytest.raises(OutputError, match=r"of 1 MiB in .*missing: .*another folder"):
        make(tmp_path / "missing")
    monkeypatch.setattr("glnet.raster.room.os.posix_fallocate", full, raising=False)
    with pytest.raises(OutputError, match="No space left on device; free some space"):
        make(tmp_path)
    assert list(tmp_path.iterdir()) == []


class Broken:
    """A file that a disk has given up on."""

    def seek(self, *_: object) -> None:
        raise OSError(5, "Input/output error")


def test_a_disk_that_fails_and_a_file_cut_short_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = TileFile(Size(50, 40), 1, np.dtype(np.uint8), False, tmp_path)
    file._file.truncate(10)
    with pytest.raises(RasterError, match="cut short"):
        file.read(Window(0, 0, Size(50, 40)))
    file.close()

    monkeypatch.setattr(file, "_file", Broken())
    with pytest.raises(RasterError, match="Input/output error"):
        file.read(Window(0, 0, Size(50, 40)))
    with pytest.raises(OutputError, match="Input/output error; free some space"):
        file.write(0, Masked(noise(1, 50, 40), None))
