"""Processes find each other, agree, and end together in one line."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from glnet.errors import ConfigurationError, DatasetError, TrainingError
from glnet.training import others, processes
from glnet.training.config import RunConfig
from glnet.training.devices import (
    agreed,
    alike,
    dealt,
    from_first,
    gathered,
    is_first,
    is_lost,
    share_weights,
    summed,
)
from glnet.training.processes import connected, found
from glnet.training.stopping import StoppedError
from tests.training.several import Launcher, srun, together, torchrun

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch has no processes here"),
]
CPU = RunConfig(device="cpu", timeout_s=60)
LAUNCHED = ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def _unlaunched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)


def started_by(monkeypatch: pytest.MonkeyPatch, launcher: Launcher, **changes: str | None) -> None:
    for name, value in {**launcher(0, 2, 1), **changes}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize("launcher", [torchrun, srun])
def test_processes_share_what_they_have(tmp_path: Path, launcher: Launcher) -> None:
    def work(rank: int) -> None:
        layer = torch.nn.BatchNorm1d(2)
        layer.weight.data.fill_(rank + 5)
        with connected(CPU) as them:
            assert them.number == 2
            assert is_first() == (rank == 0)
            assert gathered(f"rank {rank}") == ["rank 0", "rank 1"]
            assert from_first(rank) == 0
            assert list(dealt("abc")) == (["a", "c"] if rank == 0 else ["b"])
            assert summed(torch.tensor(rank + 1.0)) == 3
            share_weights(layer)
            with agreed():
                pass
        assert layer.weight.tolist() == [5, 5]
        assert not torch.distributed.is_initialized()

    assert together(tmp_path, work, launcher=launcher) == [(0, ""), (0, "")]


def test_alone_all_is_what_it_was() -> None:
    layer = torch.nn.Linear(1, 1)
    weight = layer.weight.item()

    with connected(CPU) as them, agreed():
        share_weights(layer)

    assert them.number == 1
    assert gathered(3) == [3]
    assert from_first(3) == 3
    assert dealt([1, 2]) == [1, 2]
    assert layer.weight.item() == weight
    assert not is_lost(RuntimeError("Connection closed by peer"))
    with pytest.raises(KeyError), agreed():
        raise KeyError("mine")


@pytest.mark.parametrize(
    ("failing", "error", "told"),
    [
        ((1,), DatasetError("no images"), ("TrainingError: process 2 of 2, on ", "SaidElsewhere")),
        ((0,), DatasetError("no images"), ("DatasetError: no images", "SaidElsewhere")),
        ((0, 1), DatasetError("no images"), ("DatasetError: no images", "SaidElsewhere")),
        ((1,), OSError("no images"), ("TrainingError: process 2 of 2, on ", "SaidElsewhere")),
        # A mistake keeps its traceback where it was made.
        ((1,), KeyError("no images"), ("TrainingError: process 2 of 2, on ", "KeyError: ")),
    ],
)
def test_what_one_process_cannot_ends_all(
    tmp_path: Path, failing: tuple[int, ...], error: Exception, told: tuple[str, str]
) -> None:
    def work(rank: int) -> None:
        with connected(CPU):
            with agreed():
                pass
            with agreed():
                if rank in failing:
                    raise error
            pytest.fail("went on")

    ends = together(tmp_path, work)

    for end, start in zip(ends, told, strict=True):
        assert end.status != 0
        assert end.told.startswith(start)
        assert end.told.rstrip("'").endswith("no images")


def test_what_all_meet_is_said_by_the_first(tmp_path: Path) -> None:
    def work(_: int) -> None:
        with connected(CPU):
            raise alike(DatasetError("no images"))

    first, second = together(tmp_path, work)

    assert first.told == "DatasetError: no images"
    assert second.told == "SaidElsewhereError: no images"


@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_process_ends_the_others(tmp_path: Path, victim: int) -> None:
    def work(rank: int) -> None:
        with connected(CPU):
            if rank == victim:
                os.kill(os.getpid(), signal.SIGKILL)
            with agreed():
                pass

    ends = together(tmp_path, work)

    other = ends[1 - victim]
    assert os.WTERMSIG(ends[victim].status) == signal.SIGKILL
    assert os.WEXITSTATUS(other.status) == 1
    assert other.told.startswith("LostProcessError: another process of this training was lost")
    assert "go on from it with --resume" in other.told


def test_a_process_that_does_not_answer_in_time_is_lost(tmp_path: Path) -> None:
    over = tmp_path / "over"

    def work(rank: int) -> None:
        with connected(RunConfig(device="cpu", timeout_s=1)):
            if rank == 1:
                while not over.exists():
                    threading.Event().wait(0.05)
                return
            try:
                with agreed():
                    pass
            finally:
                over.touch()

    first, _ = together(tmp_path, work)

    assert first.told.startswith("LostProcessError: another process of this training was lost, or")


def test_processes_that_do_not_come_are_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    started_by(monkeypatch, torchrun, MASTER_PORT="0")

    with (
        pytest.raises(TrainingError, match=r"2 processes .* come together within 1 s \(run.timeo"),
        connected(RunConfig(device="cpu", timeout_s=1)),
    ):
        pytest.fail("came together")


def test_a_terminated_process_ends_in_one_line(tmp_path: Path) -> None:
    def work(_: int) -> None:
        with connected(CPU):
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(60)

    ends = together(tmp_path, work)

    assert [os.WEXITSTATUS(end.status) for end in ends] == [1, 1]
    assert all(end.told.startswith("StoppedError: stopped by SIGTERM") for end in ends)
    assert issubclass(StoppedError, TrainingError)


def test_the_launcher_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    started_by(monkeypatch, torchrun, LOCAL_WORLD_SIZE="4", GROUP_WORLD_SIZE="3")

    assert found(CPU)[:2] == (4, 3)
    assert found(RunConfig(device="cpu", devices=4, num_nodes=3))[:2] == (4, 3)
    with pytest.raises(ConfigurationError, match="not what torchrun has started: 4 on each of 3"):
        found(RunConfig(device="cpu", devices=4))


def test_slurm_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    started_by(monkeypatch, srun, SLURM_NTASKS="8", SLURM_NTASKS_PER_NODE="4")

    them = found(CPU)

    assert them[:2] == (4, 2)
    assert isinstance(them.environment, SLURMEnvironment)
    assert not them.environment.auto_requeue  # Lightning's checkpoint would not be ours
    with pytest.raises(ConfigurationError, match="not what srun has started: 4 on each of 2"):
        found(RunConfig(device="cpu", devices=8))


@pytest.mark.parametrize(
    ("missing", "message"),
    [("SLURM_STEP_ID", "put srun before"), ("SLURM_NTASKS_PER_NODE", "--ntasks-per-node")],
)
def test_half_a_slurm_job_is_refused(
    monkeypatch: pytest.MonkeyPatch, missing: str, message: str
) -> None:
    started_by(monkeypatch, srun, **{missing: None})

    with pytest.raises(ConfigurationError, match=message):
        found(CPU)


def test_several_machines_without_a_launcher_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunConfig(device="cpu", num_nodes=2)

    with pytest.raises(ConfigurationError, match=r"by torchrun, or in a SLURM job by srun"):
        found(run)

    for name, value in {"NODE_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    assert found(run)[:2] == (1, 2)


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "chosen_device", lambda _: "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)

    with pytest.raises(ConfigurationError, match=r"run\.devices 2 is more than the 1 CUDA devices"):
        found(RunConfig(devices=2))


def test_a_program_without_a_file_cannot_start_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(sys, "argv", ["-c"])

    with (
        pytest.raises(ConfigurationError, match="or use torchrun"),
        connected(RunConfig(device="cpu", devices=2)),
    ):
        pytest.fail("started")


def test_a_program_is_started_again_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    main: Any = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    script = tmp_path / "script.py"
    script.touch()
    monkeypatch.setattr(sys, "argv", [str(script), "train", "--devices", "2"])

    assert others._own_command() == [sys.executable, str(script), "train", "--devices", "2"]

    monkeypatch.setattr(main, "__spec__", type(sys.__spec__)("glnet.cli.main", None))
    assert others._own_command()[:3] == [sys.executable, "-m", "glnet.cli.main"]


def test_the_fate_of_a_started_process_is_told() -> None:
    running, killed, ended = (
        subprocess.Popen([sys.executable, "-c", code])
        for code in (
            "input()",
            "import os; os.kill(os.getpid(), 9)",
            "raise SystemExit(3)",
        )
    )
    killed.wait()
    ended.wait()

    assert others._fate([killed]) == "process 2 of 2 of this machine was killed (SIGKILL)"
    assert others._fate([ended]) == "process 2 of 2 of this machine was lost (code 3)"
    running.kill()
    running.wait()


def test_a_process_that_cannot_be_interrupted_ends_when_another_is_lost(tmp_path: Path) -> None:
    other: Any = SimpleNamespace(kill=(tmp_path / "killed").touch)
    child = os.fork()
    if child == 0:
        others.GRACE_S = 0.1
        sys.stderr = (tmp_path / "said").open("w", buffering=1)
        with others._watching(lambda: "process 2 was lost", [other]):
            threading.Event().wait(60)
        os._exit(0)

    _, status = os.waitpid(child, 0)

    assert os.WEXITSTATUS(status) == 1
    assert (tmp_path / "said").read_text().startswith("glnet: error: process 2 was lost; the last")
    assert (tmp_path / "killed").exists()
