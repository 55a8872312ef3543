"""Things are made ahead: in order, no further than asked; what goes wrong shows in its place."""

from contextlib import closing
from pathlib import Path
from threading import Event, get_ident

import pytest

from glnet.inference import machine
from glnet.inference.machine import is_in_memory
from glnet.inference.overlapping import made_ahead


@pytest.mark.parametrize("depth", [0, 1, 3, 20])
def test_all_are_made_in_their_order(depth: int) -> None:
    assert list(made_ahead(lambda k: k * k, range(9), depth)) == [k * k for k in range(9)]


def test_the_next_is_made_while_one_is_used_and_no_more() -> None:
    started = [Event() for _ in range(6)]

    def make(k: int) -> tuple[int, int]:
        started[k].set()
        return k, get_ident()

    with closing(made_ahead(make, range(6), depth=2)) as made:
        first, maker = next(made)
        assert first == 0
        assert maker != get_ident()
        assert started[2].wait(10)
        assert not started[3].is_set()


def test_without_depth_the_same_thread_makes_when_needed() -> None:
    made = made_ahead(lambda _: get_ident(), range(3), depth=0)
    assert list(made) == [get_ident()] * 3


@pytest.mark.parametrize("depth", [0, 1])
def test_what_fails_is_raised_where_it_would_have_come(depth: int) -> None:
    seen: list[int] = []
    made = made_ahead(lambda k: 6 // (2 - k), range(5), depth)
    with closing(made), pytest.raises(ZeroDivisionError):
        seen.extend(made)
    assert seen == [3, 6]


def test_nothing_is_made_after_it_is_closed() -> None:
    made_so_far: list[int] = []
    made = made_ahead(made_so_far.append, range(100), depth=2)
    next(made)
    made.close()

    count = len(made_so_far)
    assert count <= 3
    assert list(made) == []
    assert len(made_so_far) == count


def test_folders_whose_files_take_memory_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fast" / "inner").mkdir(parents=True)
    mounts = tmp_path / "mounts"
    mounts.write_text(f"disk / ext4 rw 0 0\ntmpfs {tmp_path.resolve()}/fast tmpfs rw 0 0\n")
    monkeypatch.setattr(machine, "MOUNTS", mounts)

    assert is_in_memory(tmp_path / "fast" / "inner")
    assert not is_in_memory(tmp_path)
    monkeypatch.setattr(machine, "MOUNTS", tmp_path / "none")
    assert not is_in_memory(tmp_path / "fast")
