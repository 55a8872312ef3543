import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from glnet.data import (
    DatasetDescription,
    IndexEncoding,
    Sample,
    SceneSettings,
    SegmentationFolder,
    write_dataset,
    write_scene_geotiff,
)
from glnet.errors import ConfigurationError, OutputError
from glnet.evaluation.comparison import columns_of, compare
from glnet.geometry import Size, Window
from glnet.inference.streaming import Settings
from glnet.model.checkpoint import Model
from glnet.model.exchange import Exchange
from glnet.raster import Masked, Raster, open_raster
from glnet.training.following.loggers import build_loggers
from glnet.training.following.picture_files import Standing, latest_pictures, picture_path
from glnet.training.following.pictures import SIDE, FixedImages, fixed_samples, is_due, undisturbed
from tests.model.tiny import CLASSES, tiny_model

SETTINGS = Settings(patch_batch=3)
AT = Standing("refined", 2.5, 30)
STRIP = 8000
"""Pixels that are read at once for the small pictures; the real number is for real images."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SegmentationFolder:
    settings = SceneSettings(Size(160, 128))
    return write_dataset(tmp_path_factory.mktemp("scenes"), settings, {"train": 1, "validation": 2})


def whole(model: Model, _: str) -> Model:
    return model


def images(scenes: SegmentationFolder, folder: Path, settings: Settings = SETTINGS) -> FixedImages:
    return FixedImages(scenes.split("validation"), scenes.description, folder, whole, settings)


def model_of(scenes: SegmentationFolder) -> Model:
    """A tiny model that has colours for the scenes' classes; it answers with the first three."""
    model = tiny_model()
    return Model(model.network, replace(model.config, classes=scenes.description.classes))


def trained(model: Model, follow: FixedImages | None, steps: int = 3) -> dict[str, torch.Tensor]:
    """Weights after some steps with dice in every one of them, drawn or not before and after."""
    seed()
    model.network.train()
    assert model.network.context is not None
    model.network.context.backbone.eval()
    optimizer = torch.optim.Adam(model.network.parameters(), 1e-2)
    for step in range(steps):
        optimizer.zero_grad()
        if follow is not None:
            follow.draw(model, Standing("local", step, step))
        loss_of(model).backward()  # type: ignore[no-untyped-call]
        if follow is not None:
            follow.draw(model, Standing("local", step + 0.5, step))
        optimizer.step()
    weights: dict[str, torch.Tensor] = model.network.state_dict()
    return weights


def loss_of(model: Model) -> torch.Tensor:
    """Of noise, by way of both branches and what they hear of each other."""
    network, grid = model.network, model.config.framing.grid(Size(160, 128))
    assert network.context is not None
    assert network.aggregation is not None
    exchange, places = Exchange(grid, "exact"), grid.places[:2]
    noise = torch.randn(3, 3, 64, 64) * sum(luck())
    context = network.context(noise[:1])
    output = network.see_patches(noise[1:], context.features, exchange, places)
    heard = exchange.hear(context.fused, output.fused.shape, places)
    answers: torch.Tensor = network.aggregation(output.fused, heard)
    total: torch.Tensor = answers.square().mean() + context.logits.square().mean()
    return total


def test_pictures_are_the_comparison_of_the_model_as_it_is(
    scenes: SegmentationFolder, tmp_path: Path
) -> None:
    model, samples = model_of(scenes), scenes.split("validation")

    paths = images(scenes, tmp_path).draw(model, AT)

    assert paths == [tmp_path / of.stem / "refined-002.50.png" for of in samples]
    for path, sample in zip(paths, samples, strict=True):
        with sample.open_image() as raster, sample.open_labels(scenes.description) as truth:
            expected = compare(columns_of(model), raster, truth, Settings(), SIDE)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)


def test_what_trains_later_is_left_out(scenes: SegmentationFolder, tmp_path: Path) -> None:
    asked = []

    def context_alone(_: Model, stage: str) -> Model:
        asked.append(stage)
        return replace(tiny_model("global only"), config=model_of(scenes).config)

    drawer = FixedImages(scenes.samples[:1], scenes.description, tmp_path, context_alone, SETTINGS)
    (path,) = drawer.draw(model_of(scenes), Standing("context", 1, 10))

    assert asked == ["context"]
    assert np.asarray(Image.open(path)).shape[1] == 3 * (128 + 6) + 6


def test_training_with_pictures_gives_the_same_weights_to_the_last_bit(
    scenes: SegmentationFolder, tmp_path: Path
) -> None:
    without = trained(model_of(scenes), None)
    with_pictures = trained(model_of(scenes), images(scenes, tmp_path))

    assert any("running_mean" in name for name in without)
    assert all(torch.equal(of, with_pictures[name]) for name, of in without.items())
    assert len(list(tmp_path.rglob("*.png"))) == 12


def test_training_goes_on_in_the_modes_it_was_in(
    scenes: SegmentationFolder, tmp_path: Path
) -> None:
    model = model_of(scenes)
    parts = list(model.network.modules())
    for number, part in enumerate(parts):
        part.training = number % 3 == 0
    grads = [of.requires_grad for of in model.network.parameters()]

    images(scenes, tmp_path).draw(model, AT)

    assert [part.training for part in parts] == [number % 3 == 0 for number in range(len(parts))]
    assert [of.requires_grad for of in model.network.parameters()] == grads
    assert all(of.grad is None for of in model.network.parameters())


def test_what_is_drawn_is_the_answer_of_evaluation_mode(
    scenes: SegmentationFolder, tmp_path: Path
) -> None:
    model = model_of(scenes)
    model.network.train()
    (one, _) = images(scenes, tmp_path / "training").draw(model, AT)
    model.network.eval()
    (other, _) = images(scenes, tmp_path / "evaluation").draw(model, AT)

    assert one.read_bytes() == other.read_bytes()


def test_nothing_is_disturbed_by_what_fails() -> None:
    network = tiny_model().network
    network.train()
    seed()
    expected = luck()
    seed()

    with pytest.raises(KeyError):
        spoil(network)

    assert luck() == expected
    assert all(part.training for part in network.modules())
    assert torch.is_grad_enabled()


def seed() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)


def luck() -> tuple[float, float, float]:
    return float(torch.rand(1)), float(np.random.rand()), random.random()


def spoil(network: torch.nn.Module) -> None:
    with undisturbed(network):
        network.eval()
        luck()
        assert not torch.is_grad_enabled()
        raise KeyError


def test_pictures_use_the_networks_own_device(scenes: SegmentationFolder, tmp_path: Path) -> None:
    elsewhere = replace(SETTINGS, device="cuda:7")

    assert len(images(scenes, tmp_path, elsewhere).draw(model_of(scenes), AT)) == 2


def test_no_more_than_a_strip_of_a_large_image_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.inference.sampling.STRIP_PIXELS", STRIP)
    monkeypatch.setattr("glnet.raster.strips.STRIP_BYTES", 3 * STRIP)
    size = Size(300, 320)
    image, mask = tmp_path / "large.tif", tmp_path / "large_mask.tif"
    write_scene_geotiff(image, mask, SceneSettings(size), seed=1)
    blank = tmp_path / "blank.png"
    Image.fromarray(np.zeros((300, 320), np.uint8)).save(blank)
    description = DatasetDescription(CLASSES, IndexEncoding())
    areas: list[int] = []

    @contextmanager
    def watched(path: Path) -> Iterator[Raster]:
        with open_raster(path) as raster:
            read = raster.read_masked

            def counted(window: Window) -> Masked:
                areas.append(window.size.area)
                return read(window)

            monkeypatch.setattr(raster, "read_masked", counted)
            yield raster

    monkeypatch.setattr("glnet.data.sample.open_raster", watched)
    drawer = FixedImages(
        [Sample("large", image, blank)], description, tmp_path / "p", whole, SETTINGS
    )
    drawer.draw(tiny_model(), AT)

    assert len(areas) > 40
    assert max(areas) <= STRIP < size.area / 4


def test_pictures_are_shown_in_tensorboard(scenes: SegmentationFolder, tmp_path: Path) -> None:
    loggers = build_loggers([], tmp_path, "refined")
    images(scenes, tmp_path / "pictures").draw(model_of(scenes), AT, loggers)
    loggers[0].finalize("success")

    events = EventAccumulator(str(tmp_path / "logs" / "refined"))
    events.Reload()
    names = [f"answers/{of.stem}" for of in scenes.split("validation")]
    assert events.Tags()["images"] == names
    assert [of.step for of in events.Images(names[0])] == [30]


def test_drawing_tells_where_it_is(scenes: SegmentationFolder, tmp_path: Path) -> None:
    heard: list[tuple[str, int, int]] = []

    images(scenes, tmp_path).draw(model_of(scenes), AT, (), lambda *of: heard.append(of))

    first, second = (of.stem for of in scenes.split("validation"))
    assert heard == [(first, 0, 2), (second, 1, 2), ("", 2, 2)]


def test_a_picture_of_the_same_epoch_is_replaced(
    scenes: SegmentationFolder, tmp_path: Path
) -> None:
    drawer = images(scenes, tmp_path)

    assert drawer.draw(model_of(scenes), AT) == drawer.draw(model_of(scenes), AT)
    assert len(list(tmp_path.rglob("*"))) == 4


def test_a_place_that_takes_no_pictures_is_refused(
    scenes: SegmentationFolder, tmp_path: Path
) -> None:
    (tmp_path / "pictures").touch()

    with pytest.raises(OutputError, match="cannot make the folder"):
        images(scenes, tmp_path / "pictures").draw(model_of(scenes), AT)


def test_the_first_images_are_drawn_or_those_that_are_named() -> None:
    samples = [Sample(stem, Path(stem)) for stem in "abcd"]

    assert fixed_samples(samples, [], 2) == samples[:2]
    assert fixed_samples(samples, [], 9) == samples
    assert fixed_samples(samples, [], 0) == []
    assert fixed_samples(samples, ["d", "b"], 0) == [samples[3], samples[1]]


def test_an_image_that_is_not_there_is_refused() -> None:
    samples = [Sample(stem, Path(stem)) for stem in "abcd"]

    with pytest.raises(ConfigurationError, match="no image 'e'; expected stems such as a, b, c"):
        fixed_samples(samples, ["a", "e"], 3)


@pytest.mark.parametrize(
    ("every", "parts", "due"),
    [
        (0, 1, []),
        (1, 1, [1, 2, 3, 4, 5, 6, 7]),
        (3, 1, [3, 6, 7]),
        (10, 1, [7]),
        (2, 4, [2, 4, 6, 7]),
        (0.5, 4, [0.5 * of for of in range(1, 15)]),
        (2.5, 10, [2.5, 5.0, 7.0]),
    ],
)
def test_pictures_are_drawn_every_so_many_epochs_and_at_the_end(
    every: float, parts: int, due: list[float]
) -> None:
    ends, now = [], 0.0
    for number in range(7 * parts):
        before, now = now, now + 1 / parts
        if is_due(every, before, now, is_last=number == 7 * parts - 1):
            ends.append(round(now, 6))

    assert ends == due


def test_the_latest_pictures_are_those_of_the_last_stage_and_epoch(tmp_path: Path) -> None:
    stages = ["context", "local"]
    for stem, stage, epoch in (
        ("b", "context", 90),
        ("b", "local", 2.0),
        ("b", "local", 2.25),
        ("b", "local", 1),
        ("a", "context", 999.0),
        ("a", "context", 1000.0),
        ("c", "elsewhere", 1),
    ):
        path = picture_path(tmp_path, stem, Standing(stage, epoch, 0))
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "b" / "notes.png").touch()

    assert latest_pictures(tmp_path, stages) == [
        tmp_path / "a" / "context-1000.png",
        tmp_path / "b" / "local-002.25.png",
    ]
    assert latest_pictures(tmp_path / "nowhere", stages) == []
