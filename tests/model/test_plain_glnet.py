"""Converted published files answer as the published network written out plainly.

This runs anywhere: weights come from their names, the picture from a seed.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from glnet.geometry import Window
from glnet.inference.streaming import Answer, Settings, predict
from glnet.model.published import convert_published
from glnet.raster import ArrayRaster
from tests.model import plain_glnet
from tests.model.plain_glnet import Published, State
from tests.model.published_rule import STAGES, published_shapes, rule_weights
from tests.model.tiny import ALL_ANSWERS

KEYS = Path(__file__).parents[3] / "shared" / "reference" / "state_dict_keys.json"
CPU = torch.device("cpu")
SIDE, PATCH = 76, 92
NUM_CLASSES = 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    folder = tmp_path_factory.mktemp("published")
    paths = [folder / f"{stage}.pth" for stage in STAGES]
    for path, stage in zip(paths, STAGES, strict=True):
        torch.save(rule_weights(_used(stage), stage), path)
    yield paths
    for path in paths:  # up to a third of a gigabyte
        path.unlink()


def _used(stage: str) -> dict[str, tuple[int, ...]]:
    """Every file holds all names; to save time, these hold those that their stage uses."""
    unused = {"global": ("_local", "_ext"), "global2local": ("_ext",), "local2global": ()}[stage]
    shapes = published_shapes(NUM_CLASSES)
    return {name: of for name, of in shapes.items() if not any(part in name for part in unused)}


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Large soft shapes and some noise, 130 x 150."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:130, :150]
    bands = [128 + 100 * np.sin(rows / a + columns / b) for a, b in ((9, 31), (23, 12), (40, 17))]
    noise = rng.normal(0, 12, (130, 150, 3))
    pixels: NDArray[np.uint8] = (np.stack(bands, axis=2) + noise).clip(0, 255).astype(np.uint8)
    return pixels


def _states(files: list[Path]) -> list[State]:
    """The files as the plain network takes them."""
    states = [torch.load(path, weights_only=True, mmap=True) for path in files]
    return [{name.removeprefix("module."): of for name, of in state.items()} for state in states]


@torch.no_grad()
def _plain(files: list[Path], picture: NDArray[np.uint8]) -> Published:
    states = _states(files)
    if len(states) == 1:
        return plain_glnet.stage_1(states[0], picture, SIDE)
    if len(states) == 2:
        return plain_glnet.stage_2(states[1], picture, SIDE, PATCH)
    return plain_glnet.stage_3(states[0], states[2], picture, SIDE, PATCH)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_converted_files_answer_as_the_plain_network(
    files: list[Path], picture: NDArray[np.uint8], stage: int
) -> None:
    model = convert_published(files[:stage], patch_size=PATCH, thumbnail_size=SIDE)
    wanted = ALL_ANSWERS if stage > 1 else (Answer.GLOBAL,)
    raster = ArrayRaster(picture)

    with predict(model, raster, Settings(patch_batch=4), wanted) as prediction:
        whole = Window(0, 0, raster.size)
        assert prediction.global_logits is not None
        logits = prediction.global_logits
        scores = {answer: prediction.scores(answer, whole, CPU) for answer in wanted}
        labels = prediction.labels(Answer.GLOBAL, whole, CPU)

    plain = _plain(files[:stage], picture)
    _assert_close(logits, plain.global_logits)
    assert np.mean(labels == _nearest_labels(plain.global_logits, picture)) >= 0.999
    if stage > 1:
        _assert_close(scores[Answer.LOCAL], plain.local_scores)
        _assert_close(scores[Answer.AGGREGATED], plain.scores)


def _nearest_labels(logits: Tensor, picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    labels = logits.argmax(dim=0)[None, None].double()
    large = torch.nn.functional.interpolate(labels, picture.shape[:2], mode="nearest")
    array: NDArray[np.int64] = large[0, 0].long().numpy()
    return array


def _assert_close(found: Tensor, plain: Tensor | None) -> None:
    assert plain is not None
    assert found.shape == plain.shape
    assert (found - plain).abs().max() <= 1e-5 * plain.abs().max()


@pytest.mark.skipif(not KEYS.exists(), reason="the published names are not on this machine")
def test_the_rules_names_and_shapes_are_the_published_ones() -> None:
    published = {name: tuple(shape) for name, shape in json.loads(KEYS.read_text()).items()}

    assert len(published) == 718
    assert published_shapes(7) == published
