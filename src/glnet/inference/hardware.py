"""The machine in words, for reports: what a number was measured on."""

import os
import platform
from pathlib import Path

import torch

CPU_FACTS = Path("/proc/cpuinfo")
MEMORY_FACTS = Path("/proc/meminfo")
GIB = 2**30


def hardware() -> dict[str, str]:
    """System, processor, cores, memory and GPUs, as far as the system tells."""
    facts = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _told(CPU_FACTS, "model name") or platform.processor(),
        "cores": str(os.cpu_count() or ""),
        "memory": _memory(),
        "GPU": ", ".join(_gpus()),
    }
    return {name: of for name, of in facts.items() if of}


def _memory() -> str:
    told = _told(MEMORY_FACTS, "MemTotal")
    return f"{int(told.split()[0]) * 1024 / GIB:.1f} GiB" if told else ""


def _gpus() -> list[str]:
    if not torch.cuda.is_available():
        return []
    devices = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [f"{of.name} ({of.total_memory / GIB:.0f} GiB)" for of in devices]


def _told(path: Path, name: str) -> str:
    """The value behind the first line of that name in one of Linux' files; empty elsewhere."""
    if not path.exists():
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in found if key.strip() == name), "")
