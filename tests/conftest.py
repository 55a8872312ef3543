import os

import pytest
import torch
from hypothesis import settings

from glnet.inference import machine

# Machines are shared and slow at times: laws are not timed. Examples are the same in every run.
settings.register_profile("glnet", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("glnet")

# Tiny networks on several threads wait for each other more than they compute.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def same_numbers_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is computed in whatever suits the CPU (``auto``) is float32 here."""
    monkeypatch.setattr(machine, "NATIVE_BFLOAT16", ())
