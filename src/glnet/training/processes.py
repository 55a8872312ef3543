"""The processes of a run: found or started, connected with each other, and watched.

torchrun and SLURM start processes, which are recognised as Lightning does it. Else this process is
the first one of its machine and starts the others: the same program with the same words. From
there on all is Lightning's: ranks, devices, the connection.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import (
    LightningEnvironment,
    find_free_network_port,
)
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy
from lightning.pytorch.callbacks import Callback

from glnet.errors import ConfigurationError, TrainingError
from glnet.inference.machine import chosen_device
from glnet.training.config import RunConfig
from glnet.training.devices import (
    BACKEND,
    GO_ON,
    LOST,
    LostProcessError,
    SaidElsewhereError,
    SummedGradients,
    is_alone,
    is_lost,
)

STARTED_BY = "GLNET_STARTED_BY"
"""Names the process that started this one, in its environment."""

BY_HAND = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What the environment says where a user starts the command on each of several machines."""

STARTED_WITH = ("LOCAL_RANK", *BY_HAND)
"""What the first process says in its own environment before it starts others."""

GRACE_S = 10.0
"""So long a process may take to find out by itself that another one is lost."""


class Processes(NamedTuple):
    """Who takes part in a run.

    Attributes:
        devices: Processes per machine.
        nodes: Machines.
        environment: Who has started them, as Lightning knows it.
    """

    devices: int
    nodes: int
    environment: ClusterEnvironment

    @property
    def number(self) -> int:
        """Of all of them."""
        return self.devices * self.nodes

    def strategy(self, timeout_s: float) -> "SummedGradients | str":
        """How Lightning has them work together."""
        return "auto" if self.number == 1 else SummedGradients(timeout_s)


def found(run: RunConfig) -> Processes:
    """The processes that were started for this run, or are to be.

    Where a configuration names one device on one machine, which is the default, the launcher
    decides.

    Raises:
        ConfigurationError: If the configuration and the launcher name different numbers, several
            machines are named and nobody has started processes there, or a device is missing.
    """
    processes = _launched() or Processes(run.devices, run.num_nodes, LightningEnvironment())
    launcher = LAUNCHERS.get(type(processes.environment))
    asked, there = (run.devices, run.num_nodes), (processes.devices, processes.nodes)
    if launcher is not None and asked not in {(1, 1), there}:
        raise ConfigurationError(
            f"run.devices {asked[0]} and run.num_nodes {asked[1]} are not what {launcher} has "
            f"started: {there[0]} on each of {there[1]} machines; give these numbers, or neither"
        )
    if launcher is None and run.num_nodes > 1 and any(of not in os.environ for of in BY_HAND):
        raise ConfigurationError(
            f"run.num_nodes {run.num_nodes} needs the command started on each of the machines: by "
            "torchrun, or in a SLURM job by srun; here, no launcher has started it"
        )
    _check_devices(run.device, processes.devices)
    return processes


LAUNCHERS: dict[type[ClusterEnvironment], str] = {
    TorchElasticEnvironment: "torchrun",
    SLURMEnvironment: "srun",
}


def _launched() -> Processes | None:
    """What a launcher says of the processes that it has started."""
    known = os.environ
    if TorchElasticEnvironment.detect():
        devices, nodes = int(known["LOCAL_WORLD_SIZE"]), int(known.get("GROUP_WORLD_SIZE", 1))
        return Processes(devices, nodes, TorchElasticEnvironment())
    if "SLURM_NTASKS" not in known or not SLURMEnvironment.detect():
        return None
    tasks, nodes = int(known["SLURM_NTASKS"]), int(known.get("SLURM_NNODES", 1))
    if tasks > 1 and "SLURM_STEP_ID" not in known:
        raise ConfigurationError(
            f"this is a SLURM job of {tasks} tasks, of which this is the only one that was "
            "started; put srun before the command"
        )
    if tasks > 1 and "SLURM_NTASKS_PER_NODE" not in known:
        raise ConfigurationError(
            f"SLURM has started {tasks} tasks and does not say how many per machine; "
            "ask for them by --ntasks-per-node"
        )
    devices = int(known.get("SLURM_NTASKS_PER_NODE", tasks))
    # What Lightning would do before a job's end, resuming from a file of its own, is --resume here.
    return Processes(devices, nodes, SLURMEnvironment(auto_requeue=False))


def _check_devices(device: str, devices: int) -> None:
    if chosen_device(device) == "cuda" and (there := torch.cuda.device_count()) < devices:
        raise ConfigurationError(
            f"run.devices {devices} is more than the {there} CUDA devices of this machine"
        )


@contextmanager
def connected(run: RunConfig) -> Iterator[Processes]:
    """Have all processes of a run, connected with each other.

    Raises:
        ConfigurationError: As `found`, or if other processes cannot be started.
        LostProcessError: If a process was lost while the block ran.
        StoppedError: If this process was told to end (SIGTERM).
        TrainingError: If a process did not come.
    """
    processes = found(run)
    if processes.number == 1 or torch.distributed.is_initialized():
        yield processes
        return
    with ExitStack() as exits:
        if isinstance(processes.environment, LightningEnvironment):
            exits.enter_context(_with_others(processes))
        exits.enter_context(_connection(processes, run))
        exits.enter_context(_terminable())
        yield processes


@contextmanager
def _connection(processes: Processes, run: RunConfig) -> Iterator[None]:
    _connect(processes, run)
    try:
        yield
    except (RuntimeError, OSError) as error:
        if not is_lost(error):
            raise
        raise LostProcessError(LOST) from error
    finally:
        torch.distributed.destroy_process_group()


def _connect(processes: Processes, run: RunConfig) -> None:
    device = chosen_device(run.device)
    timeout = timedelta(seconds=run.timeout_s)
    try:
        with quiet():
            lightning.Fabric(
                accelerator={"cuda": "gpu"}.get(device, device),
                devices=processes.devices,
                num_nodes=processes.nodes,
                strategy=DDPStrategy(timeout=timeout, process_group_backend=BACKEND[device]),
                plugins=[processes.environment],
            ).launch()
    except (RuntimeError, OSError) as error:
        raise TrainingError(
            f"the {processes.number} processes of this training did not come together within "
            f"{run.timeout_s:g} s (run.timeout_s): {_first_words(error)}"
        ) from error


def _first_words(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


@contextmanager
def _with_others(processes: Processes) -> Iterator[None]:
    """Start the other processes of this machine, unless this is one of them."""
    if "LOCAL_RANK" in os.environ:
        with _beside_first():
            yield
        return
    command, before = _own_command(), {name: os.environ.get(name) for name in STARTED_WITH}
    os.environ["LOCAL_RANK"] = "0"  # So Lightning knows that nothing is left to start.
    os.environ.setdefault("NODE_RANK", "0")
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(find_free_network_port()))
    others = [
        subprocess.Popen(command, env=_environment_of(rank), stderr=_stderr())
        for rank in range(1, processes.devices)
    ]
    try:
        with _watching(lambda: _fate(others), others):
            yield
    except BaseException as error:
        if isinstance(error, LostProcessError) and (fate := _soon(lambda: _fate(others))):
            raise LostProcessError(f"{fate}; {GO_ON}") from error
        raise
    finally:
        if sys.exc_info()[0] is not None:
            _end(others)
            _restore(before)  # So that a program which goes on may train again.


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _own_command() -> list[str]:
    """How this program was called.

    Raises:
        ConfigurationError: If it is none that can be called again.
    """
    import __main__  # noqa: PLC0415 - another one in every program

    spec = getattr(__main__, "__spec__", None)
    if spec is not None:
        return [sys.executable, "-m", spec.name, *sys.argv[1:]]
    if not Path(sys.argv[0]).is_file():
        raise ConfigurationError(
            "several devices need this program started again for each of them, and it is no file; "
            "put it into one, or use torchrun"
        )
    return [sys.executable, str(Path(sys.argv[0]).absolute()), *sys.argv[1:]]


def _environment_of(rank: int) -> dict[str, str]:
    return {**os.environ, "LOCAL_RANK": str(rank), STARTED_BY: str(os.getpid())}


def _stderr() -> int | None:
    """Where this process complains, which need not be the stream that others inherit."""
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError):
        return None


def _fate(others: Sequence[subprocess.Popen[bytes]]) -> str | None:
    """What became of the first process that is no more and did not end well."""
    for number, other in enumerate(others, start=2):
        code = other.poll()
        if code:
            how = f"killed ({signal.Signals(-code).name})" if code < 0 else f"lost (code {code})"
            return f"process {number} of {len(others) + 1} of this machine was {how}"
    return None


def _end(others: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for their own end, which comes where they are told of this one's or miss it."""
    for other in others:
        try:
            other.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            other.kill()


@contextmanager
def _beside_first() -> Iterator[None]:
    """Live as long as the first process does, if it is that one's word that counts."""
    first = int(os.environ.get(STARTED_BY, "0"))
    if first != os.getppid():
        yield
        return
    fate = "the first process of this training was lost"

    def gone() -> str | None:
        return None if os.getppid() == first else fate

    try:
        with _watching(gone):
            yield
    except (LostProcessError, StoppedError) as error:
        if _soon(gone) is None:
            raise SaidElsewhereError(str(error)) from error
        raise LostProcessError(f"{fate}; {GO_ON}") from error


def _soon(fate: Callable[[], str | None]) -> str | None:
    """What a process that does not answer turns out to have met within a moment."""
    for _ in range(20):
        if (found := fate()) is not None:
            return found
        time.sleep(0.1)
    return None


@contextmanager
def _watching(
    fate: Callable[[], str | None], others: Sequence[subprocess.Popen[bytes]] = ()
) -> Iterator[None]:
    """End this process if another one is lost and it has not found out itself.

    It may wait for the lost one within a library that cannot be interrupted.
    """
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(1):
            if (found := fate()) is not None and not is_over.wait(GRACE_S):
                sys.stderr.write(f"glnet: error: {found}; {GO_ON}\n")
                for other in others:
                    other.kill()
                os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watches-processes").start()
    try:
        yield
    finally:
        is_over.set()


class StoppedError(TrainingError):
    """Somebody wants this process to end."""


@contextmanager
def _terminable() -> Iterator[None]:
    """End in order at a SIGTERM, which launchers send.

    Raises:
        StoppedError: If one came.
    """
    if not _is_main_thread():
        yield
        return
    is_over = threading.Event()

    def terminate(*_: object) -> None:
        if not is_over.is_set():
            is_over.set()
            raise _TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except _TerminatedError as error:
        raise StoppedError(
            "stopped by SIGTERM, as launchers do where a job's time is over or another process "
            f"was lost; {GO_ON}"
        ) from error
    finally:
        is_over.set()
        signal.signal(signal.SIGTERM, before)


class Terminable(Callback):
    """Keeps SIGTERM what it is in a run of several processes.

    Lightning's own handler sends a message to the others, who are in the middle of other ones.
    """

    def __init__(self) -> None:
        self._before: Any = None

    def setup(self, *_: object, **__: object) -> None:
        """See what is done at a SIGTERM before Lightning takes it."""
        self._before = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, *_: object) -> None:
        """Put it back."""
        if not is_alone() and _is_main_thread():
            signal.signal(signal.SIGTERM, self._before)


class _TerminatedError(BaseException):
    """Passes all that handles errors."""


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's advice on workers, batch sizes and log intervals is not for our users."""
    loggers = [logging.getLogger(f"lightning.{of}") for of in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*treespec.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
