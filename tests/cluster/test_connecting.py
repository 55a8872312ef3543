"""What is asked of a cluster, and what is refused before there is one."""

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from glnet.cli.cluster import effort_lines
from glnet.cluster import ray_cluster, ray_engine
from glnet.cluster.connecting import on_ray
from glnet.cluster.pool import Effort
from glnet.cluster.ray_cluster import Places
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
    monkeypatch.setattr(ray_cluster, "find_spec", lambda _: None)

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


@pytest.fixture
def stranger() -> Iterator[str]:
    """The address of one who answers every greeting with a page."""

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                with listening.accept()[0] as door:
                    door.recv(100)
                    door.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_an_address_where_somebody_else_answers_is_refused(
    stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = rf"no Ray cluster answers at {stranger} \(something else than a Ray head is there\)"

    with pytest.raises(ClusterError, match=words):
        _connected(_Ray(), stranger)
    monkeypatch.setenv("RAY_ADDRESS", stranger)
    with pytest.raises(ClusterError, match=words):
        _connected(_Ray(), "auto")


class _Cluster:
    """As much of Ray as is asked for its room."""

    def __init__(self, *nodes: Mapping[str, float], busy: float = 0) -> None:
        self._nodes = nodes
        self._busy = busy
        self._is_joined = True

    def is_initialized(self) -> bool:
        return self._is_joined

    def init(self, **_: object) -> None:
        self._is_joined = True

    def shutdown(self) -> None:
        self._is_joined = False

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address="10.0.0.1:6379")

    def available_resources(self) -> Mapping[str, float]:
        names = {name for of in self._nodes for name in of}
        all_of_them = {name: sum(of.get(name, 0) for of in self._nodes) for name in names}
        return {**all_of_them, "CPU": all_of_them["CPU"] - self._busy}

    def wait(
        self, refs: list[str], *, num_returns: int, timeout: float
    ) -> tuple[list[str], list[str]]:
        assert num_returns == len(refs)
        return [], refs[1:] if timeout < ray_engine.PATIENCE_S * 2 else []

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": True, "Resources": of} for of in self._nodes]


def _room(monkeypatch: pytest.MonkeyPatch, places: Places, *nodes: Mapping[str, float]) -> int:
    monkeypatch.setattr(ray_engine, "imported", lambda: _Cluster(*nodes))
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


def test_what_others_use_is_no_room_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_engine, "SETTLING_S", 0.0)

    def number(busy: float, workers: int | None = None) -> int:
        monkeypatch.setattr(ray_engine, "imported", lambda: _Cluster({"CPU": 8}, busy=busy))
        return ray_engine.RayEngine("auto", Places(workers=workers))._number

    assert number(busy=5) == 3
    assert number(busy=8) == 1
    assert number(busy=5, workers=6) == 6


def test_who_waits_for_workers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "imported", lambda: _Cluster({"CPU": 3}))
    told: list[str] = []

    ray_engine.RayEngine("auto", Places(), told.append)._wait(["a", "b", "c"])

    assert [line[:30] for line in told] == ["2 of 3 workers are waited for:"]


def test_a_cluster_without_room_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = _Cluster({"CPU": 2})
    cluster.shutdown()
    monkeypatch.setattr(ray_engine, "imported", lambda: cluster)
    monkeypatch.setattr(ray_engine, "connect", lambda ray, *_: ray.init())

    with pytest.raises(ClusterError, match="room for 2 workers"):
        ray_engine.RayEngine("auto", Places(workers=3))

    assert not cluster.is_initialized()


def test_another_address_than_that_of_the_joined_cluster_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ray_engine, "imported", lambda: _Cluster({"CPU": 2}))

    for other in ("10.0.0.2:6379", "10.0.0.1:6380", "127.0.0.1:1", "ray://10.0.0.1:6379"):
        with pytest.raises(ClusterError, match=rf"joined .* 10.0.0.1:6379, and {other} was asked"):
            ray_engine.RayEngine(other, Places())
    for same in ("auto", "local", "10.0.0.1:6379", "127.0.0.1:6379"):
        assert ray_engine.RayEngine(same, Places())._number == 2


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
    ray_cluster.connect(ray, address, Places())  # type: ignore[arg-type]
    return ray.addresses


def test_auto_is_the_running_cluster_else_one_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert _connected(_Ray(None), "auto") == ["auto"]
    assert _connected(_Ray(ConnectionError("none"), None), "auto") == ["auto", "local"]
    assert _connected(_Ray(None), "local") == ["local"]


def test_another_ray_or_python_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    words = "Version mismatch: The cluster was started with:\n  Ray: 2.1\n  Python: 3.10"

    with pytest.raises(ClusterError, match=r"Version mismatch: .* Ray: 2.1 Python: 3.10$"):
        _connected(_Ray(RuntimeError(words)), "auto")


def test_the_table_has_a_line_for_every_image_whatever_its_name() -> None:
    scenes = {"one/a.tif": Effort(1), "two/a.tif": Effort(2)}
    executor = SimpleNamespace(efforts_of_scenes=scenes, efforts={"worker 1": Effort(3)})

    lines = effort_lines(executor)  # type: ignore[arg-type]

    assert [line.split()[:3] for line in lines if "0.0" in line] == [
        ["a.tif", "1", "0.0"],
        ["a.tif", "2", "0.0"],
        ["worker", "1", "3"],
    ]


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
