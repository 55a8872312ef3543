"""The file of a model's weights, ``model.safetensors``; nothing is unpickled."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from glnet.errors import CheckpointError
from glnet.model.config_file import CONFIG_FILE, WEIGHTS_FILE

MAPPED_BYTES = 1 << 24
"""How much of the file of weights may be in memory, beside one weight, while weights are read."""


def read_weights(folder: Path, names: Sequence[str]) -> Iterator[torch.Tensor]:
    """Weights of those names in the file, in that order.

    What was read of a mapped file stays in memory until the file is closed and no tensor is a part
    of it any more. So it is opened anew now and then, and the weights are copies.

    Raises:
        CheckpointError: If they cannot be read.
    """
    waiting = deque(names)
    while waiting:
        read = 0
        with _opened_weights(folder) as file:
            while waiting and read < MAPPED_BYTES:
                weight = file.get_tensor(waiting.popleft()).clone()
                read += weight.nbytes
                yield weight


def fill(module: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Give a module on ``meta`` its weights, in its own types."""
    wanted = module.state_dict()
    module.load_state_dict(
        {name: of.to(wanted[name].dtype) for name, of in weights.items()}, assign=True
    )


def check_weights(folder: Path, wanted: Mapping[str, torch.Tensor]) -> None:
    """See that the weights of those names and shapes are there, without reading them.

    Raises:
        CheckpointError: If they are not, or others are.
    """
    with _opened_weights(folder) as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dictionary
    missing, foreign = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or foreign:
        example = (missing or foreign)[0]
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} is of another architecture than {CONFIG_FILE} says: "
            f"{len(missing)} tensors missing, {len(foreign)} unknown, such as {example}"
        )
    for name, of in wanted.items():
        if tuple(of.shape) != found[name]:
            raise CheckpointError(
                f"{folder / WEIGHTS_FILE} is of another architecture than {CONFIG_FILE} says: "
                f"{name} should be {tuple(of.shape)}, is {found[name]}"
            )


@contextmanager
def _opened_weights(folder: Path) -> Iterator[Any]:
    """The file of weights.

    Raises:
        CheckpointError: If it cannot be read.
    """
    try:
        with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} is damaged or missing ({error}); copy the model again"
        ) from error
