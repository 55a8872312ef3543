"""Processes that work together as torchrun or SLURM would have started them, on this machine.

They are forked from this one: a fork begins at once, where a new process would first import torch
and Lightning for seconds.
"""

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port

Work = Callable[[int], object]
"""What a process does, by its number from 0 on."""


class End(NamedTuple):
    """How a process ended.

    Attributes:
        status: As the system gives it; 0 where nothing was raised.
        told: Kind and words of what was raised.
    """

    status: int
    told: str


def torchrun(rank: int, world: int, port: int) -> dict[str, str]:
    """What torchrun says to a process, the only machine's."""
    names = {
        "TORCHELASTIC_RUN_ID": "none",
        "RANK": rank,
        "LOCAL_RANK": rank,
        "GROUP_RANK": 0,
        "WORLD_SIZE": world,
        "LOCAL_WORLD_SIZE": world,
        "GROUP_WORLD_SIZE": 1,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    return {name: str(value) for name, value in names.items()}


def srun(rank: int, world: int, port: int) -> dict[str, str]:
    """What SLURM says to a process, the only one of its machine."""
    names = {
        "SLURM_JOB_ID": "12345",
        "SLURM_STEP_ID": 0,
        "SLURM_NTASKS": world,
        "SLURM_NTASKS_PER_NODE": 1,
        "SLURM_NNODES": world,
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_PROCID": rank,
        "SLURM_LOCALID": 0,
        "SLURM_NODEID": rank,
        "MASTER_PORT": port,
    }
    return {name: str(value) for name, value in names.items()}


Launcher = Callable[[int, int, int], Mapping[str, str]]


def together(folder: Path, work: Work, world: int = 2, launcher: Launcher = torchrun) -> list[End]:
    """Let processes work, and wait for their ends."""
    port = find_free_network_port()
    children = []
    for rank in range(world):
        child = os.fork()
        if child == 0:
            _work(folder / f"told_{rank}", work, rank, launcher(rank, world, port))
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    told = [folder / f"told_{rank}" for rank in range(world)]
    ends = [
        End(status, of.read_text() if of.exists() else "")
        for status, of in zip(statuses, told, strict=True)
    ]
    for of in told:
        of.unlink(missing_ok=True)
    return ends


def _work(told: Path, work: Work, rank: int, environment: Mapping[str, str]) -> None:
    try:
        torch.set_num_threads(1)  # Threads of OpenMP do not survive a fork.
        os.environ.update(environment, OMP_NUM_THREADS="1")
        work(rank)
    except BaseException as error:
        told.write_text(f"{type(error).__name__}: {error}")
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
    os._exit(0)
