"""The published arrays, through the same path that users run: convert, save, load, predict."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from glnet.geometry import Window
from glnet.inference.streaming import Answer, Prediction, Settings, predict
from glnet.model.checkpoint import Model, load_model, save_model
from glnet.model.published import convert_published
from glnet.raster import open_raster
from tests.model.published_rule import STAGES, rule_weights
from tests.model.tiny import ALL_ANSWERS

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
CPU = torch.device("cpu")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not REFERENCE.exists(), reason="no published arrays on this machine"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("published")
    shapes = json.loads((REFERENCE / "state_dict_keys.json").read_text())
    paths = [folder / f"{stage}.pth" for stage in STAGES]
    for path, stage in zip(paths, STAGES, strict=True):
        torch.save(rule_weights(shapes, stage), path)
    return paths


@pytest.fixture(scope="module", params=[1, 2, 3])
def stage(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def model(files: list[Path], stage: int, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("models") / f"stage{stage}"
    save_model(convert_published(files[:stage], patch_size=124, thumbnail_size=124), folder)
    return load_model(folder)


@pytest.mark.parametrize("image", ["square_420", "wide_300x380"])
def test_published_checkpoints_give_the_published_answers(
    model: Model, stage: int, image: str
) -> None:
    expected = np.load(REFERENCE / f"{image}.npz")
    wanted = ALL_ANSWERS if stage > 1 else (Answer.GLOBAL,)

    with (
        open_raster(REFERENCE / f"{image}.png") as raster,
        predict(model, raster, Settings(patch_batch=5), wanted) as prediction,
    ):
        whole = Window(0, 0, raster.size)
        found = {f"stage{stage}_{name}": of for name, of in _arrays(prediction, whole, stage)}

    names = [name for name in expected.files if name.startswith(f"stage{stage}_")]
    assert sorted(found) == sorted(names)
    for name in names:
        _check(name, found[name], expected[name], image)


def _arrays(
    prediction: Prediction, whole: Window, stage: int
) -> list[tuple[str, NDArray[np.generic]]]:
    assert prediction.global_logits is not None
    arrays: list[tuple[str, NDArray[np.generic]]] = [
        ("global_logits", prediction.global_logits.numpy()),
        ("global_labels", prediction.labels(Answer.GLOBAL, whole, CPU)),
    ]
    if stage == 1:
        return arrays
    for answer, prefix in ((Answer.LOCAL, "local_"), (Answer.AGGREGATED, "")):
        scores = prediction.scores(answer, whole, CPU).numpy()
        arrays.append((f"{prefix}scores_every8", scores[:, ::8, ::8]))
        arrays.append((f"{prefix}labels", prediction.labels(answer, whole, CPU)))
    return arrays


def _check(
    name: str, found: NDArray[np.generic], expected: NDArray[np.floating], image: str
) -> None:
    assert found.shape == expected.shape
    if name.endswith("labels"):
        agreement = float(np.mean(found == expected))
        print(f"{image} {name}: {agreement:.4%} of labels equal")  # noqa: T201
        assert agreement >= 0.999
        return
    difference = float(np.abs(found.astype(np.float64) - expected).max())
    largest = float(np.abs(expected).max())
    print(f"{image} {name}: differs by {difference / largest:.1e} of the largest")  # noqa: T201
    assert difference <= 1e-3 * largest
