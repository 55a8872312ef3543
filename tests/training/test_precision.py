"""What ``run.precision: auto`` becomes, and what is said about it."""

from dataclasses import replace

import pytest

from glnet.training import precision
from glnet.training.config import DataConfig, RunConfig, TrainingConfig
from glnet.training.precision import precision_on, with_precision


def _config(chosen: str, device: str = "cpu") -> TrainingConfig:
    run = replace(RunConfig(), precision=chosen, device=device)  # type: ignore[arg-type]
    return TrainingConfig(data=DataConfig(folder="data"), output="run", run=run)


@pytest.mark.parametrize(
    ("is_native", "device", "expected"),
    [
        (True, "cpu", "bf16-mixed"),
        (False, "cpu", "32-true"),
        (True, "cuda", "bf16-mixed"),
        (False, "cuda", "16-mixed"),
    ],
)
def test_auto_is_what_the_device_does_by_itself(
    monkeypatch: pytest.MonkeyPatch, is_native: bool, device: str, expected: str
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: is_native)
    monkeypatch.setattr(precision, "chosen_device", lambda name: name)
    told: list[str] = []

    config = with_precision(_config("auto", device), told.append)

    assert config.run.precision == expected
    assert told[0].startswith(f"run.precision: {expected}, since this {device} ")


def test_bfloat16_that_a_cpu_imitates_is_taken_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: False)
    told: list[str] = []

    assert with_precision(_config("bf16-mixed"), told.append).run.precision == "bf16-mixed"

    assert told == ["cpu only imitates bfloat16, which is slower than run.precision: 32-true"]


def test_what_was_asked_for_stays_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: True)
    told: list[str] = []

    for name in ("32-true", "bf16-mixed"):
        assert with_precision(_config(name), told.append).run.precision == name

    assert not told


@pytest.mark.parametrize(
    ("chosen", "device", "is_native", "expected"),
    [
        ("32-true", "cuda", True, "float32"),
        ("bf16-mixed", "cpu", False, "bfloat16"),
        ("16-mixed", "cuda", True, "float16"),
        ("auto", "cpu", True, "bfloat16"),
        ("auto", "cpu", False, "float32"),
    ],
)
def test_precisions_have_names_of_numbers(
    monkeypatch: pytest.MonkeyPatch, chosen: str, device: str, is_native: bool, expected: str
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: is_native)

    assert precision_on(device, _config(chosen)) == expected


def test_a_gpu_that_is_not_here_is_taken_to_know_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(device: str) -> bool:
        raise AssertionError(device)

    monkeypatch.setattr(precision, "has_bfloat16", asked)

    assert precision_on("cuda", _config("auto")) == "bfloat16"
