"""Every method of every table is a configuration that can be trained."""

import pytest

from glnet.geometry import Size
from glnet.model.describing import architecture_in_words
from glnet.reproduction.comparisons import COMPARISONS, SIZES
from glnet.reproduction.effort import PAPER, QUICK, Effort
from glnet.reproduction.measuring import bare_model, parameters_of
from glnet.reproduction.methods import METHODS, Method
from glnet.training.config import TrainingConfig
from glnet.training.config_file import read_config

pytest.importorskip("segmentation_models_pytorch")

IMAGE = Size(900, 1200)


def _config(method: Method, effort: Effort, size: Size = IMAGE) -> TrainingConfig:
    changes = effort.changes(method, 40, size)
    return read_config(None, ["--data.folder=.", "--output=.", *changes])


@pytest.mark.parametrize("key", METHODS)
def test_a_quick_method_is_a_small_model(key: str) -> None:
    method = METHODS[key]

    model = bare_model(_config(method, QUICK), 2)

    assert method.network == model.config.architecture.network
    assert parameters_of(model) < 60e6
    sees = {"patches": "local", "whole": "global", "both": "both"}[method.sees]
    assert model.config.architecture.branches == sees


@pytest.mark.parametrize("key", ["bidirectional", "fcn8s_whole", "segnet_whole", "unet_patches"])
def test_the_papers_effort_has_the_papers_backbones_and_sizes(key: str) -> None:
    method = METHODS[key]

    config = _config(method, PAPER, SIZES["deepglobe"][0])

    assert config.framing.patch_size == 500
    assert config.architecture.backbone.startswith(("resnet50", "vgg16"))
    # 2448 is no multiple of 32; half of it for the network that the paper names as too large.
    sides = {"fcn8s_whole": 2464, "segnet_whole": 1248}
    assert config.framing.thumbnail_size == sides.get(key, 500)
    assert config.run.pretrained


def test_a_side_is_that_of_patches_and_thumbnail() -> None:
    changes = QUICK.changes(METHODS["bidirectional"], 40, IMAGE, side=64)

    config = read_config(None, ["--data.folder=.", "--output=.", *changes])

    assert (config.framing.patch_size, config.framing.thumbnail_size) == (64, 64)


@pytest.mark.parametrize("name", COMPARISONS)
def test_every_row_of_the_paper_is_shown(name: str) -> None:
    comparison = COMPARISONS[name]

    shown = {row.paper for row in comparison.rows}

    assert set(comparison.paper.rows) <= shown
    assert len({row.method.key for row in comparison.rows}) == len(comparison.rows)


def test_methods_start_from_methods_that_are_there_and_end_somewhere() -> None:
    for method in METHODS.values():
        seen = []
        at: Method | None = method
        while at is not None:
            seen.append(at.key)
            assert len(seen) < 5, seen
            at = None if at.start is None else METHODS[at.start]


def test_methods_are_told_apart_in_words() -> None:
    words = [
        architecture_in_words(_config(METHODS[key], QUICK).architecture)
        for key in ("unet_patches", "unet_whole", "global_only", "bidirectional")
    ]

    assert len(set(words)) == 4
    assert words[0] == "unet, which sees patches"
