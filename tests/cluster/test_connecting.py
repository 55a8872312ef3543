"""What is asked of a cluster, and what is refused before there is one."""

import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from glnet.cluster import ray_engine
from glnet.cluster.connecting import on_ray
from glnet.cluster.ray_engine import Places
from glnet.errors import ClusterError, ConfigurationError
from tests.cli.commands import only_line, run


def test_impossible_workers_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1 worker is needed, got 0"):
        on_ray("local", workers=0)
    with pytest.raises(ConfigurationError, match="at least 1 thread, got 0"):
        on_ray("local", threads_per_worker=0)
    for gpus in (-1, 1.5):
        with pytest.raises(ConfigurationError, match=r"such as 0.5 or 1, got -?1"):
            on_ray("local", gpus_per_worker=gpus)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "find_spec", lambda _: None)

    with pytest.raises(ClusterError, match=r"pip install 'glnet\[ray\]'"):
        on_ray("local")


needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_an_address_where_nobody_answers_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(ClusterError, match=rf"no Ray cluster answers at 127.0.0.1:{port}"):
        on_ray(f"127.0.0.1:{port}")
    with pytest.raises(ClusterError, match="no Ray cluster answers at nonsense"):
        on_ray("nonsense")
    with pytest.raises(ClusterError, match=r"such as 10.0.0.1:6379, got ray://host:10001"):
        on_ray("ray://host:10001")


class _Cluster:
    """As much of Ray as is asked for its room."""

    def __init__(self, *nodes: Mapping[str, float]) -> None:
        self._nodes = nodes

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": True, "Resources": of} for of in self._nodes]


def _room(monkeypatch: pytest.MonkeyPatch, places: Places, *nodes: Mapping[str, float]) -> int:
    monkeypatch.setattr(ray_engine, "_imported", lambda: _Cluster(*nodes))
    return ray_engine.RayEngine("auto", places)._number


def test_there_are_as_many_workers_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes: list[dict[str, float]] = [{"CPU": 5, "GPU": 1}, {"CPU": 3}, {"GPU": 2}]

    assert _room(monkeypatch, Places(), *nodes) == 8
    assert _room(monkeypatch, Places(threads=2), *nodes) == 3
    assert _room(monkeypatch, Places(gpus=0.25), *nodes) == 4
    assert _room(monkeypatch, Places(workers=2), *nodes) == 2
    with pytest.raises(ClusterError, match="room for 8 workers of 1 CPU each, 9 are wanted"):
        _room(monkeypatch, Places(workers=9), *nodes)
    with pytest.raises(ClusterError, match="room for 0 workers of 1 CPU and 2 GPUs each, 1 are"):
        _room(monkeypatch, Places(gpus=2), *nodes)


class _Ray:
    """As much of Ray as is asked to connect."""

    class exceptions:  # noqa: N801
        RayError = KeyError

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = list(answers)
        self.addresses: list[object] = []

    def init(self, *, address: str, **_: object) -> None:
        self.addresses.append(address)
        answer = self._answers.pop(0)
        if answer is not None:
            raise answer


def _connected(ray: _Ray, address: str) -> list[object]:
    ray_engine._connect(ray, address, Places())  # type: ignore[arg-type]
    return ray.addresses


def test_auto_is_the_running_cluster_else_one_of_this_machine() -> None:
    assert _connected(_Ray(None), "auto") == ["auto"]
    assert _connected(_Ray(ConnectionError("none"), None), "auto") == ["auto", "local"]
    assert _connected(_Ray(None), "local") == ["local"]


def test_another_ray_or_python_is_told_in_one_line() -> None:
    words = "Version mismatch: The cluster was started with:\n  Ray: 2.1\n  Python: 3.10"

    with pytest.raises(ClusterError, match=r"Version mismatch: .* Ray: 2.1 Python: 3.10$"):
        _connected(_Ray(RuntimeError(words)), "auto")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--workers", 2), "--workers is for --ray; add --ray auto"),
        (("--ray", "auto", "--workers", 0), "at least 1 worker is needed, got 0 (--workers)"),
        (("--ray", "nonsense"), "no Ray cluster answers at nonsense"),
    ],
)
def test_the_command_refuses_in_one_line(
    words: tuple[object, ...],
    expected: str,
    scene: Path,
    model: Path,
    output: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("segment", scene, "--model", model, "--output", output / "a.tif", *words) == 1

    assert expected in only_line(capsys)
    assert list(output.iterdir()) == []
