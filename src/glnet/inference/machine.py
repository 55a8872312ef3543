"""The machine that a prediction runs on: its devices, their memory, and where that ends."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch

from glnet.errors import ConfigurationError
from glnet.inference import groups
from glnet.inference.settings import Precision, Settings

PROCESS_STATUS = Path("/proc/self/status")
PEAK_LINE, PRESENT_LINE = "VmHWM:", "VmRSS:"
"""The lines of it that have the most memory this process ever held, and what it holds, in KiB."""

MOUNTS = Path("/proc/mounts")
"""What is mounted: device, folder, kind of file system, ..."""

MEMORY_WORDS = (
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "out of memory",
    "ALLOC_FAILED",
)
"""How torch and the libraries below it say so in errors of no kind of their own."""


NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16")
"""What CPUs that compute in bfloat16 by themselves say of it; others imitate it, very slowly."""


def resolved(settings: Settings) -> Settings:
    """The same settings with ``auto`` replaced by what this machine has, and the batch that runs.

    Raises:
        ConfigurationError: If there is no such device, or it lacks that precision.
    """
    device = chosen_device(settings.device)
    precision = chosen_precision(settings.precision, device)
    batch = min(settings.patch_batch, groups.GROUP)
    return replace(settings, device=device, precision=precision, patch_batch=batch)


def chosen_precision(name: Precision, device: str) -> Precision:
    """The precision of that name; for ``auto`` the fastest in which the device computes by itself.

    Raises:
        ConfigurationError: If the device lacks it, or there is none of that name.
    """
    if name not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise ConfigurationError(f"precision must be one of {known}, got {name}")
    is_gpu = torch.device(device).type == "cuda"
    if name == "auto":
        if has_bfloat16(device):
            return "bfloat16"
        return "float16" if is_gpu else "float32"
    if name == "float16" and not is_gpu:
        raise ConfigurationError(
            "float16 is for GPUs; on a CPU choose float32, bfloat16 or auto (--precision)"
        )
    return name


def has_bfloat16(device: str) -> bool:
    """Whether a device computes in bfloat16 by itself."""
    if torch.device(device).type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities()
    return any(known.get(of, False) for of in NATIVE_BFLOAT16)


def chosen_device(name: str) -> str:
    """The device of that name; for ``auto`` the GPU, if there is one.

    Raises:
        ConfigurationError: If there is no such device.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(f"device must be auto, cpu or cuda, got {name}") from error
    if device.type not in {"cpu", "cuda"}:
        raise ConfigurationError(f"device must be auto, cpu or cuda, got {name}")
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= found:
        raise ConfigurationError(
            f"device {name} was asked for, but torch {torch.__version__} finds {found} CUDA GPUs "
            "here; choose auto or cpu, or install a driver and a torch built for it"
        )
    return name


@contextmanager
def explained_memory(image: str, settings: Settings) -> Iterator[None]:
    """Keep a GPU to the memory that settings name, and say what can be done where it runs out.

    Raises:
        ConfigurationError: If it does.
    """
    try:
        with _enforced_memory(settings):
            yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        way_out = "" if settings.memory is None else ", or raise --memory"
        raise ConfigurationError(
            f"{image}: not enough memory on {settings.device} for {settings.patch_batch} patches "
            f"at once; lower the patch batch (--patch-batch){way_out}"
            if settings.patch_batch > 1
            else f"{image}: not enough memory on {settings.device} even for one patch at a time "
            f"(--patch-batch 1); free some, or use another device{way_out}"
        ) from error


@contextmanager
def _enforced_memory(settings: Settings) -> Iterator[None]:
    """Have torch's allocator refuse what goes beyond the memory that is named for a GPU.

    Afterwards it may take all again: torch 2.5 does not tell what share was allowed before.
    """
    device = torch.device(settings.device)
    if settings.memory is None or device.type != "cuda":
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    share = min(1.0, settings.memory / total)
    torch.cuda.set_per_process_memory_fraction(share, device.index)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device.index)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, of the host or a device, has run out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in MEMORY_WORDS)


def forget_peak_device_bytes(device: str) -> None:
    """Start counting anew for `peak_device_bytes`."""
    if torch.device(device).type == "cuda":
        with torch.cuda.device(device):  # a device named by number is not known before
            torch.cuda.reset_peak_memory_stats()


def peak_device_bytes(device: str) -> int | None:
    """The most memory that tensors took on a GPU since counting began; None on other devices."""
    if torch.device(device).type != "cuda":
        return None
    return int(torch.cuda.max_memory_allocated(device))


def peak_host_bytes() -> int | None:
    """The most memory this process ever held; None where the system does not tell."""
    # Preferred: Linux lets the other number begin with the peak of the process that started us.
    if (told := _told_bytes(PEAK_LINE)) is not None:
        return told
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_host_bytes() -> int | None:
    """The memory that this process holds; None where the system does not tell."""
    told = _told_bytes(PRESENT_LINE)
    return peak_host_bytes() if told is None else told


def is_in_memory(folder: str | Path) -> bool:
    """Whether files in a folder take host memory, as in a tmpfs; False where nobody knows."""
    if not MOUNTS.exists():
        return False
    place = Path(folder).resolve()
    kinds = {Path(of.split()[1]): of.split()[2] for of in MOUNTS.read_text().splitlines()}
    for at in (place, *place.parents):
        if at in kinds:
            return kinds[at] in {"tmpfs", "ramfs"}
    return False


def _told_bytes(beginning: str) -> int | None:
    if PROCESS_STATUS.exists():
        for line in PROCESS_STATUS.read_text().splitlines():
            if line.startswith(beginning):
                return int(line.split()[1]) * 1024
    return None
