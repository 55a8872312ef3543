"""Numbers that run away, memory that runs out, processes that are lost: one line that helps."""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from glnet.data import SegmentationFolder
from glnet.errors import GLNetError, TrainingError
from glnet.geometry import Window
from glnet.model.config import Framing
from glnet.training.augmentation import Turn
from glnet.training.config import TrainingConfig
from glnet.training.devices import LostProcessError
from glnet.training.images import LabelledImage
from glnet.training.keeping import read_checkpoint
from glnet.training.portions import Portion, Portions
from glnet.training.run import Watchers, train
from glnet.training.steps import ContextStep, LocalStep, RefinedStep
from glnet.training.tasks import Task
from glnet.training.trouble import explained
from tests.model.tiny import ARCHITECTURES
from tests.training.tiny_run import QUIET, tiny_config, with_run, with_stages, write_scenes

pytestmark = pytest.mark.usefixtures("undrawn")

STEPS = {"context": ContextStep, "local": LocalStep, "refined": RefinedStep}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data"), train=3).root


@pytest.fixture
def config(data: Path, tmp_path: Path) -> TrainingConfig:
    config = tiny_config(data, tmp_path / "run")
    return with_run(with_stages(config, images=1), checkpoint_minutes=0.0)


def told(config: TrainingConfig, watchers: Watchers = QUIET) -> str:
    """The one line of a training that cannot go on."""
    with pytest.raises(TrainingError) as error:
        train(config, watchers)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_image_that_makes_numbers_run_away_is_named_and_the_checkpoint_before_it_reads(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LabelledImage.pixels

    def pixels(self: LabelledImage, windows: Sequence[Window], turn: Turn) -> Tensor:
        return read(self, windows, turn) * (torch.nan if self.stem == "train_001" else 1.0)

    monkeypatch.setattr(LabelledImage, "pixels", pixels)
    config = replace(config, architecture=ARCHITECTURES["local only"])

    line = told(with_stages(config, "local", patches=0, epochs=3, images=1))

    assert line.startswith("the local loss became nan at step ")
    assert " of 9, image train_001; the last checkpoint is from before it. " in line
    step = int(line.split()[7])
    last = Path(config.output) / "checkpoints" / "local" / "last.ckpt"
    if step == 1:
        assert not last.exists()
    else:
        assert read_checkpoint(last)["global_step"] == step - 1
        assert all(of.isfinite().all() for of in read_checkpoint(last)["state_dict"].values())


@pytest.mark.parametrize("name", STEPS)
def test_a_rate_that_makes_numbers_run_away_is_told(name: str, config: TrainingConfig) -> None:
    line = told(with_stages(config, name, learning_rate=1e30, epochs=3))

    assert " became " in line
    assert " at step 2 of 9" in line
    assert "lower learning rate" in line


def test_a_gradient_that_is_not_finite_is_told(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda _: torch.tensor(float("inf")))

    assert told(config).startswith("the gradient became inf at step 1 of 3; ")


CPU_WORDS = (
    "[enforce fail at alloc_cpu.cpp:116] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 9999999999 bytes. Error code 12 (Cannot allocate memory)"
)

FULL_MEMORY: dict[str, Callable[[], Exception]] = {
    "of a CPU": lambda: RuntimeError(CPU_WORDS),
    "of a GPU": lambda: torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
    "of Python": MemoryError,
    "of numpy": lambda: np._core._exceptions._ArrayMemoryError((9, 9), np.dtype(float)),  # type: ignore[attr-defined]
}


def out_of_memory(
    config: TrainingConfig, name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> str:
    def see(*_: object) -> None:
        raise error

    monkeypatch.setattr(STEPS[name], "see", see)
    return told(config)


@pytest.mark.parametrize("kind", FULL_MEMORY)
def test_memory_that_runs_out_names_the_setting_to_lower(
    kind: str, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    six = with_stages(config, "local", micro_batch=6)

    line = out_of_memory(six, "local", FULL_MEMORY[kind](), monkeypatch)

    assert line == (
        "out of memory in stage local: lower stages.local.micro_batch from 6 to 3, "
        "and go on with --resume"
    )


WAYS_OUT: list[tuple[str, int, dict[str, Any], str]] = [
    ("context", 6, {}, "lower stages.context.micro_batch from 6 to 3, and go on with --resume"),
    ("coarse", 6, {}, "lower stages.coarse.micro_batch from 6 to 3, and go on with --resume"),
    ("local", 3, {}, "lower stages.local.micro_batch from 3 to 1, and go on with --resume"),
    ("refined", 6, {"patch_batch": 1}, "lower stages.refined.micro_batch from 6 to 3, and go on"),
    (
        "refined",
        6,
        {"patch_batch": 4},
        "lower stages.refined.micro_batch from 6 to 3 and run.patch_batch from 4 to 2, and go on",
    ),
    (
        "refined",
        1,
        {"patch_batch": 4},
        "lower run.patch_batch from 4 to 2, and go on with --resume",
    ),
    (
        "local",
        1,
        {"patch_batch": 4},
        "one patch at a time is too much; set run.precision: bf16-mixed, and go on with --resume",
    ),
    (
        "context",
        1,
        {},
        "one thumbnail at a time is too much; set run.precision: bf16-mixed, and go on with",
    ),
    (
        "local",
        1,
        {"precision": "bf16-mixed"},
        "one patch at a time is too much; start anew with framing.patch_size: 50",
    ),
    (
        "context",
        1,
        {"precision": "bf16-mixed"},
        "one thumbnail at a time is too much; start anew with framing.thumbnail_size: 40",
    ),
    (
        "coarse",
        1,
        {"precision": "bf16-mixed"},
        "one thumbnail at a time is too much; start anew with framing.thumbnail_size: 40",
    ),
]


@pytest.mark.parametrize(("name", "micro_batch", "run", "said"), WAYS_OUT)
def test_the_way_out_fits_what_is_set(
    name: str, micro_batch: int, run: dict[str, Any], said: str, config: TrainingConfig
) -> None:
    set_so = with_run(with_stages(config, micro_batch=micro_batch), **run)
    set_so = replace(set_so, framing=Framing(patch_size=100, thumbnail_size=80, overlap=8))

    with (
        pytest.raises(TrainingError) as error,
        explained(name, set_so, getattr(set_so.stages, name)),
    ):
        raise MemoryError

    assert str(error.value).startswith(f"out of memory in stage {name}: {said}")
    assert ("--resume" in str(error.value)) == ("start anew" not in said)


def test_a_patch_that_cannot_be_smaller_asks_for_a_smaller_network(config: TrainingConfig) -> None:
    set_so = with_run(with_stages(config, micro_batch=1), precision="bf16-mixed")

    with (
        pytest.raises(TrainingError, match=r"start anew with a smaller architecture\.backbone$"),
        explained("local", set_so, set_so.stages.local),
    ):
        raise MemoryError


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_reading_process_that_is_killed_is_told(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself, at the third portion that it reads, as the kernel would when memory runs out."""
    read = Portions.__getitem__
    main, count = os.getpid(), 0

    def read_or_die(self: Portions, task: Task) -> Portion:
        nonlocal count
        count += 1
        if os.getpid() != main and count == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, task)

    monkeypatch.setattr(Portions, "__getitem__", read_or_die)

    line = told(replace(config, data=replace(config.data, workers=1)))

    how, _, hint = line.partition(", as happens when memory runs out; ")
    # Torch hears of it by a signal, or finds the process gone.
    assert how.removeprefix("a process that reads images was ") in {"killed (Killed)", "lost"}
    assert hint == (
        "lower data.workers from 1 or data.cache_mib from 1024, and go on with --resume"
    )


def test_a_reading_process_that_ends_by_itself_is_told(config: TrainingConfig) -> None:
    with (
        pytest.raises(TrainingError, match="a process that reads images was lost, as happens"),
        explained("local", config, config.stages.local),
    ):
        raise RuntimeError("DataLoader worker (pid(s) 12, 13) exited unexpectedly")


def test_memory_that_ran_out_in_another_process_has_the_same_way_out(
    config: TrainingConfig,
) -> None:
    set_so = with_stages(config, micro_batch=6)

    with (
        pytest.raises(TrainingError, match=r"^out of memory in stage local: lower .* from 6 to 3"),
        explained("local", set_so, set_so.stages.local),
    ):
        raise TrainingError("process 2 of 2, on there: CUDA out of memory. Tried to allocate")


def test_a_process_that_does_not_answer_is_told(
    config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where Lightning asks it, in errors of no kind of their own."""
    monkeypatch.setattr("glnet.training.devices.is_alone", lambda: False)

    with (
        pytest.raises(LostProcessError, match="go on from it with --resume"),
        explained("local", config, config.stages.local),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:1] Connection closed by peer")


def test_what_nobody_foresaw_is_left_as_it_is(config: TrainingConfig) -> None:
    with (
        pytest.raises(RuntimeError, match="strange") as error,
        explained("local", config, config.stages.local),
    ):
        raise RuntimeError("strange")

    assert not isinstance(error.value, GLNetError)


def test_the_scenes_are_as_these_tests_need_them(data: Path) -> None:
    assert [of.stem for of in SegmentationFolder.open(data).split("train")] == [
        "train_000",
        "train_001",
        "train_002",
    ]
