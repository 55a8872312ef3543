"""A model folder: what goes in comes out, and nothing else is taken for one."""

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from glnet.data.classes import ClassInfo
from glnet.errors import CheckpointError, OutputError
from glnet.geometry import Size, Window
from glnet.inference.streaming import Answer, Settings, predict
from glnet.model import checkpoint, weights_file
from glnet.model.checkpoint import Model, load_model, new_model, save_model
from glnet.model.config import Framing, ModelConfig, Normalization, TrainingExtent
from glnet.model.config_file import read_config
from glnet.raster import ArrayRaster
from tests.model.tiny import ARCHITECTURES, TINY, tiny_model

FRAMING = Framing(patch_size=96, thumbnail_size=72, overlap=33, reduction=2, sampling="published")

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tiny_model(), tmp_path / "model")
    return tmp_path / "model"


def test_a_model_saved_and_loaded_answers_to_the_last_bit(tmp_path: Path) -> None:
    model = tiny_model()
    pixels = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)

    save_model(model, tmp_path / "new" / "folder" / "model")
    loaded = load_model(tmp_path / "new" / "folder" / "model")

    assert torch.equal(_scores(loaded, pixels), _scores(model, pixels))
    assert not loaded.network.training
    assert (loaded.bands, loaded.num_classes) == (3, 3)


def test_no_more_of_the_file_is_mapped_than_must_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of a mapped file is let go when it is closed: it is, and opened anew."""
    monkeypatch.setattr(weights_file, "MAPPED_BYTES", 2_000)
    mapped: list[list[int]] = []

    opened = weights_file._opened_weights

    @contextmanager
    def counting(of: Path) -> Iterator[SimpleNamespace]:
        with opened(of) as file:
            mapped.append([])

            def get_tensor(name: str) -> torch.Tensor:
                found: torch.Tensor = file.get_tensor(name)
                mapped[-1].append(found.nbytes)
                return found

            yield SimpleNamespace(get_tensor=get_tensor, keys=file.keys, get_slice=file.get_slice)

    monkeypatch.setattr(weights_file, "_opened_weights", counting)
    found = load_model(folder).network.state_dict()

    assert {name: of.tolist() for name, of in found.items()} == {
        name: of.tolist() for name, of in load_file(folder / "model.safetensors").items()
    }
    assert len(mapped) > 10
    assert all(sum(sizes[:-1]) < 2_000 for sizes in mapped)


def _scores(model: Model, pixels: np.typing.NDArray[np.uint8]) -> torch.Tensor:
    with predict(model, ArrayRaster(pixels), Settings()) as prediction:
        whole = Window(0, 0, prediction.size)
        return prediction.scores(Answer.AGGREGATED, whole, torch.device("cpu"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"framing": FRAMING},
        {"normalization": Normalization((1.5, -2e3), (0.25, 1e-7))},
        {"training_extent": TrainingExtent(smallest=Size(10, 20), largest=Size(2448, 30000))},
        {"classes": (ClassInfo("a, ünïcode: {[", (1, 2, 3)), ClassInfo("1.0", (255, 0, 254)))},
        *({"architecture": of} for of in ARCHITECTURES.values()),
    ],
)
def test_every_setting_travels_with_the_model(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = replace(tiny_model().config, **changes)

    save_model(new_model(config), tmp_path / "model")

    assert read_config(tmp_path / "model") == config
    assert load_model(tmp_path / "model").config == config


def test_a_folder_is_not_overwritten_unless_allowed(folder: Path) -> None:
    before = _contents(folder)

    with pytest.raises(OutputError, match="exists"):
        save_model(tiny_model(seed=1), folder)
    assert _contents(folder) == before

    save_model(tiny_model(seed=1), folder, overwrite=True)
    assert _contents(folder) != before
    assert _contents(folder).keys() == before.keys()
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_no_model_is_left_alone_even_when_overwriting(
    tmp_path: Path, is_folder: bool
) -> None:
    precious = tmp_path / "precious"
    if is_folder:
        precious.mkdir()
        (precious / "thesis.txt").write_text("years")
    else:
        precious.write_text("years")

    with pytest.raises(OutputError, match="left as it is"):
        save_model(tiny_model(), precious, overwrite=True)

    assert (precious / "thesis.txt" if is_folder else precious).read_text() == "years"


def _full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _too_few_bytes(weights: dict[str, torch.Tensor], path: Path) -> None:
    save_file(dict([weights.popitem()]), path)


@pytest.mark.parametrize("failing", [_full_disk, _too_few_bytes])
def test_a_failed_write_leaves_nothing_behind_and_the_old_model_whole(
    folder: Path, failing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _contents(folder)
    monkeypatch.setattr(checkpoint, "save_file", failing)

    with pytest.raises(OutputError, match="cannot write the model"):
        save_model(tiny_model(seed=1), folder, overwrite=True)
    with pytest.raises(OutputError, match="cannot write the model"):
        save_model(tiny_model(seed=1), folder.parent / "other")

    assert _contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_place_that_cannot_hold_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot write the model"):
        save_model(tiny_model(), tmp_path / "file" / "model")


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_missing_folder_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json and model\.safetensors"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_truncated_weights_are_refused(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(CheckpointError, match="damaged or missing"):
        load_model(folder)


def test_missing_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()

    with pytest.raises(CheckpointError, match="damaged or missing"):
        load_model(folder)


def test_weights_of_another_architecture_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)

    save_file({**weights, "stowaway": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="0 tensors missing, 1 unknown, such as stowaway"):
        load_model(folder)
    save_file({name: of for name, of in weights.items() if name != "aggregation.bias"}, path)
    with pytest.raises(CheckpointError, match=r"1 tensors missing.*aggregation\.bias"):
        load_model(folder)
    save_file({**weights, "aggregation.bias": torch.zeros(4)}, path)
    with pytest.raises(CheckpointError, match=r"should be \(3,\), is \(4,\)"):
        load_model(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"model"', '{"format": "1"}', "\x00", "{}"])
def test_damaged_json_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)

    with pytest.raises(CheckpointError, match=r"config\.json (is damaged|does not say)"):
        load_model(folder)


def test_json_of_another_encoding_is_refused(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(CheckpointError, match="is damaged"):
        load_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda of: of.update(format=2), "has format 2, this glnet reads up to 1; update glnet"),
        (lambda of: of.update(extra=1), "extra"),
        (lambda of: of["framing"].update(patchsize=64), "patchsize"),
        (lambda of: of["framing"].update(patch_size="large"), "patch_size"),
        (lambda of: of["framing"].update(patch_size=3), "from 32 to 8192"),
        (lambda of: of["framing"].update(sampling="nearest"), "sampling"),
        (lambda of: of["architecture"].update(backbone="resnet51"), "no backbone 'resnet51'"),
        (lambda of: of["architecture"].update(aggregation=False), "aggregation"),
        (lambda of: of["architecture"].update(aggregation="maybe"), "aggregation"),
        (lambda of: of["normalization"].update(std=[1.0]), "for every band"),
        (lambda of: of["normalization"].update(mean=None), r"normalization\.mean is null"),
        (lambda of: of["architecture"].update(sharing=None), r"architecture\.sharing is null"),
        (lambda of: of.update(framing=None), "framing is null"),
        (lambda of: of.pop("classes"), "classes"),
        (lambda of: of.update(classes=[]), "2 to 255 classes"),
        (lambda of: of.update(framing="other.yaml"), "framing is no object"),
        (lambda of: of.update(classes=of["classes"][:1] * 2), "names of a model's classes"),
        (lambda of: of["normalization"].update(mean=[float("nan")] * 3), "finite"),
        (lambda of: of.update(classes="nothing"), "classes"),
        (lambda of: of.update(training_extent={"smallest": 3}), "training_extent"),
    ],
)
def test_descriptions_that_cannot_be_are_refused_with_the_reason(
    folder: Path, change: Change, message: str
) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))

    with pytest.raises(CheckpointError, match=message) as raised:
        load_model(folder)
    assert str(path) in str(raised.value)


def test_a_description_with_defaults_left_out_is_the_default(folder: Path) -> None:
    path = folder / "config.json"
    values = json.loads(path.read_text())
    del values["training_extent"], values["framing"]["overlap"]
    path.write_text(json.dumps(values))

    config = read_config(folder)

    assert isinstance(config, ModelConfig)
    assert config.framing == Framing(patch_size=64, thumbnail_size=64, overlap=50)
    assert config.architecture == TINY
