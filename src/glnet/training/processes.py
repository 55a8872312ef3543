"""The processes of a run: found or started, and connected with each other.

torchrun and SLURM start processes, which are recognised as Lightning does it. Else this process is
the first one of its machine and starts the others: the same program with the same words. From
there on all is Lightning's: ranks, devices, the connection.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import NamedTuple

import lightning
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import (
    LightningEnvironment,
)
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy

from glnet.errors import ConfigurationError, TrainingError
from glnet.inference.machine import chosen_device
from glnet.training.config import RunConfig
from glnet.training.devices import (
    BACKEND,
    LOST,
    LostProcessError,
    SummedGradients,
    is_lost,
)
from glnet.training.others import BY_HAND, with_others
from glnet.training.stopping import terminable


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
            exits.enter_context(with_others(processes.devices))
        exits.enter_context(_connection(processes, run))
        exits.enter_context(terminable())
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
