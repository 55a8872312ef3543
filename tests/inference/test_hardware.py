"""The machine in words: what the system tells, and nothing where it does not."""

from pathlib import Path

import pytest
import torch

from glnet.inference import hardware


def test_a_linux_machine_is_told_with_its_processor_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu").write_text("processor\t: 0\nmodel name\t: Fast Chip 9: mark 2\n")
    (tmp_path / "memory").write_text("MemTotal:       33554432 kB\nMemFree: 5 kB\n")
    monkeypatch.setattr(hardware, "CPU_FACTS", tmp_path / "cpu")
    monkeypatch.setattr(hardware, "MEMORY_FACTS", tmp_path / "memory")
    monkeypatch.setattr("os.cpu_count", lambda: 12)

    told = hardware.hardware()

    assert told["processor"] == "Fast Chip 9: mark 2"
    assert told["memory"] == "32.0 GiB"
    assert told["cores"] == "12"


def test_what_a_system_does_not_tell_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "CPU_FACTS", tmp_path / "none")
    monkeypatch.setattr(hardware, "MEMORY_FACTS", tmp_path / "none")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert set(hardware.hardware()) <= {"system", "cores"}


def test_gpus_are_told_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        name = "Big GPU"
        total_memory = 80 * 2**30

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties())

    assert hardware.hardware()["GPU"] == "Big GPU (80 GiB), Big GPU (80 GiB)"
