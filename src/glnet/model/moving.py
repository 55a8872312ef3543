"""Modules on another device or in other numbers, without changing the original."""

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def moved(module: M, device: torch.device | str, dtype: torch.dtype) -> M:
    """A module for prediction whose floating-point weights are there, in that type.

    What is there already is shared, not copied; the original stays as it is.
    """

    def there(of: torch.Tensor) -> torch.Tensor:
        return of.detach().to(device, dtype if of.is_floating_point() else of.dtype)

    known: dict[int, object] = {id(of): there(of) for of in module.buffers()}
    for of in module.parameters():
        known[id(of)] = nn.Parameter(there(of), requires_grad=False)
    return copy.deepcopy(module, known)
