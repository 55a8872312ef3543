"""Memory that is named for a GPU is kept by the allocator; here by one that only takes notes."""

from types import SimpleNamespace

import pytest
import torch

from glnet.errors import ConfigurationError
from glnet.inference.machine import explained_memory
from glnet.inference.settings import Settings

TOTAL = 8 * 2**30

Limits = list[tuple[float, int | None]]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Limits:
    """What the allocator was told: a share, and of which GPU."""
    told: Limits = []
    gpu = SimpleNamespace(total_memory=TOTAL)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *limit: told.append(limit)
    )
    return told


def test_the_allocator_is_limited_to_the_share_that_is_named(limits: Limits) -> None:
    with explained_memory("a.tif", Settings(device="cuda:1", memory=2 * 2**30)):
        assert limits == [(0.25, 1)]

    assert limits == [(0.25, 1), (1.0, 1)]


def test_more_than_there_is_is_all_there_is(limits: Limits) -> None:
    with explained_memory("a.tif", Settings(device="cuda", memory=3 * TOTAL)):
        assert limits == [(1.0, None)]


@pytest.mark.parametrize(
    "settings", [Settings(device="cuda"), Settings(device="cpu", memory=2**30)]
)
def test_nothing_is_limited_without_a_gpu_and_its_budget(
    settings: Settings, limits: Limits
) -> None:
    with explained_memory("a.tif", settings):
        assert limits == []


def test_a_limit_that_is_met_ends_and_is_explained(limits: Limits) -> None:
    settings = Settings(device="cuda", memory=TOTAL // 2, patch_batch=4)

    with (
        pytest.raises(ConfigurationError, match=r"lower the patch batch .*, or raise --memory"),
        explained_memory("a.tif", settings),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert limits == [(0.5, None), (1.0, None)]
