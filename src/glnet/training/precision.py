"""In which numbers a run trains."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from glnet.inference.machine import chosen_device, has_bfloat16
from glnet.inference.settings import Precision
from glnet.training.config import TrainingConfig

Settled = Literal["32-true", "bf16-mixed", "16-mixed"]
"""What Lightning takes."""


def with_precision(config: TrainingConfig, note: Callable[[str], None]) -> TrainingConfig:
    """The same configuration with ``run.precision: auto`` replaced by what the device does best.

    Args:
        config: As the user wrote it.
        note: Told what was chosen, and of a choice that will be slow.

    Raises:
        ConfigurationError: If there is no such device.
    """
    run = config.run
    device = chosen_device(run.device)
    is_native = has_bfloat16(device)
    if run.precision == "bf16-mixed" and not is_native:
        note(f"{device} only imitates bfloat16, which is slower than run.precision: 32-true")
    if run.precision != "auto":
        return config
    chosen: Settled
    if is_native:
        chosen, because = "bf16-mixed", "computes in bfloat16 by itself"
    elif device == "cpu":
        chosen, because = "32-true", "does not compute in bfloat16 by itself"
    else:
        chosen, because = "16-mixed", "computes in float16, but not in bfloat16, by itself"
    note(f"run.precision: {chosen}, since this {device} {because}")
    return replace(config, run=replace(run, precision=chosen))


def settled(config: TrainingConfig) -> Settled:
    """The precision of a configuration that went through `with_precision`.

    Raises:
        ValueError: If it did not.
    """
    if config.run.precision == "auto":
        raise ValueError("run.precision: auto was not replaced by what the device does best")
    return config.run.precision


PRECISIONS: dict[Settled, Precision] = {
    "32-true": "float32",
    "bf16-mixed": "bfloat16",
    "16-mixed": "float16",
}
"""The numbers that most of the work is done in."""


def precision_on(device: str, config: TrainingConfig) -> Precision:
    """The numbers of a configuration on a device that need not be here.

    For ``auto``: a GPU is taken to compute in bfloat16 by itself, this CPU is asked.
    """
    if config.run.precision == "auto":
        return "bfloat16" if device != "cpu" or has_bfloat16(device) else "float32"
    return PRECISIONS[config.run.precision]
