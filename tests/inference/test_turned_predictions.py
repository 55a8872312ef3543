"""Test-time augmentation: the network sees the picture turned, and the answer is turned back."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from glnet.errors import ConfigurationError, GeometryError
from glnet.geometry import Size, Window, strips
from glnet.inference import scratch
from glnet.inference.streaming import Answer, Settings, answers_of, predict
from glnet.inference.turns import TURNS, Turns, turned
from glnet.model.checkpoint import Model
from glnet.model.config import Framing
from glnet.raster import ArrayRaster, Turn, TurnedRaster
from tests.inference.pictures import picture, raster
from tests.model.tiny import ALL_ANSWERS, tiny_model

CPU = torch.device("cpu")
EIGHT = TURNS["all"]
WAYS: tuple[Turns, ...] = ("flips", "quarters", "all")

PUBLISHED = Framing(patch_size=64, thumbnail_size=64, overlap=50, sampling="published")
REDUCED = Framing(patch_size=64, thumbnail_size=64, overlap=16, reduction=2)
CASES = {
    "tall": (tiny_model(), (150, 101)),
    "wide": (tiny_model(), (70, 203)),
    "smaller than a patch": (tiny_model(), (40, 51)),
    "smaller than a backbone takes": (tiny_model(), (20, 45)),
    "reduced": (tiny_model(framing=REDUCED), (151, 120)),
    "published": (tiny_model(framing=PUBLISHED), (75, 90)),
    "global only": (tiny_model("global only"), (90, 61)),
    "local only": (tiny_model("local only"), (90, 61)),
    "deep": (tiny_model("deep"), (90, 61)),
}
cases = pytest.mark.parametrize("case", CASES)


def scores(model: Model, pixels: NDArray[Any], ways: Turns = "none") -> list[Tensor]:
    """Of every answer, over the whole picture (height, width, bands)."""
    of = ArrayRaster(pixels)
    with predict(model, of, Settings(turns=ways), answers_of(model)) as prediction:
        whole = Window(0, 0, of.size)
        return [prediction.scores(answer, whole, CPU) for answer in answers_of(model)]


def laid(pixels: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """A picture (height, width, bands) turned with numpy alone, as a picture program would."""
    turned = np.rot90(pixels, turn.quarters)
    return turned[:, ::-1].copy() if turn.mirrored else turned.copy()


def laid_back(maps: NDArray[Any], turn: Turn) -> NDArray[Any]:
    """Undo `laid` for maps (K, height, width): first the mirror, then the turns."""
    maps = maps[:, :, ::-1] if turn.mirrored else maps
    return np.rot90(maps, -turn.quarters, axes=(1, 2))


@cases
def test_the_answer_is_the_mean_of_pictures_turned_before_and_answers_turned_back(
    case: str,
) -> None:
    model, (height, width) = CASES[case]
    pixels = picture(height, width)

    found = scores(model, pixels, "all")

    each = [[laid_back(of.numpy(), t) for of in scores(model, laid(pixels, t))] for t in EIGHT]
    for number, mean in enumerate(found):
        expected = np.mean([way[number] for way in each], axis=0)
        assert mean.shape[1:] == (height, width)
        np.testing.assert_allclose(mean.numpy(), expected, rtol=1e-4, atol=1e-5)


@cases
@pytest.mark.parametrize("turn", [Turn(1), Turn(3, mirrored=True)])  # The others follow from these.
def test_a_turned_picture_has_the_turned_answer(case: str, turn: Turn) -> None:
    model, (height, width) = CASES[case]
    pixels = picture(height, width)

    found = scores(model, laid(pixels, turn), "all")

    for one, other in zip(found, scores(model, pixels, "all"), strict=True):
        expected = turned(other, turn)
        torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ways", WAYS)
def test_the_ways_are_a_group_and_begin_with_the_raster_as_it_lies(ways: Turns) -> None:
    tokens = np.arange(6).reshape(2, 3)
    drawn = [turn.apply(tokens).tobytes() for turn in TURNS[ways]]

    assert TURNS[ways][0] == Turn()
    assert len(set(drawn)) == len(drawn) == {"flips": 4, "quarters": 4, "all": 8}[ways]
    for first in TURNS[ways]:
        for second in TURNS[ways]:
            assert second.apply(first.apply(tokens)).tobytes() in drawn


@pytest.mark.parametrize("ways", WAYS)
def test_without_turns_the_answer_is_another(ways: Turns) -> None:
    """Else the laws above would hold for a network that sees nothing."""
    model, pixels = tiny_model(), picture(90, 75)

    for plain, mean in zip(scores(model, pixels), scores(model, pixels, ways), strict=True):
        assert float((plain - mean).abs().max()) > 1e-3 * float(plain.abs().max())


@settings(deadline=None, max_examples=20)
@given(
    turn=st.sampled_from(EIGHT), height=st.integers(1, 9), width=st.integers(1, 9), data=st.data()
)
def test_every_window_of_a_turned_raster_is_cut_from_the_turned_picture(
    turn: Turn, height: int, width: int, data: st.DataObject
) -> None:
    pixels = np.arange(2 * height * width, dtype=np.int32).reshape(height, width, 2)
    of, whole = TurnedRaster(ArrayRaster(pixels), turn), laid(pixels, turn)
    row = data.draw(st.integers(0, of.size.height - 1))
    column = data.draw(st.integers(0, of.size.width - 1))
    window = Window(row, column, Size(of.size.height - row, of.size.width - column))

    read = of.read(window)

    assert (of.size.height, of.size.width) == whole.shape[:2]
    np.testing.assert_array_equal(read, np.moveaxis(whole, 2, 0)[:, *window.slices])


@pytest.mark.parametrize("turn", EIGHT)
def test_a_turn_and_its_way_back_is_no_turn(turn: Turn) -> None:
    maps = np.arange(24).reshape(2, 3, 4)

    np.testing.assert_array_equal(turn.back.apply(turn.apply(maps)), maps)
    np.testing.assert_array_equal(turned(torch.from_numpy(maps), turn).numpy(), turn.apply(maps))


def test_a_turned_raster_says_what_its_raster_says() -> None:
    inner = ArrayRaster(picture(3, 5), "scene", nodata=7)
    of = TurnedRaster(inner, Turn(1))

    assert (of.name, of.bands, of.nodata) == ("scene", 3, 7.0)
    assert of.dtype == np.dtype(np.uint8)
    assert of.size == Size(5, 3)
    assert of.georeference.crs is None
    with pytest.raises(GeometryError, match="must lie inside scene"):
        of.read(Window(0, 0, Size(3, 5)))


@pytest.mark.parametrize("ways", WAYS)
def test_strips_are_rows_of_the_whole(ways: Turns) -> None:
    of = raster(101, 75)
    with predict(tiny_model(), of, Settings(turns=ways), ALL_ANSWERS) as prediction:
        for answer in ALL_ANSWERS:
            whole = prediction.scores(answer, Window(0, 0, of.size), CPU)
            parts = [prediction.scores(answer, strip, CPU) for strip in strips(of.size, 13)]
            assert torch.equal(torch.cat(parts, 1), whole)


def test_a_window_is_a_part_of_the_whole() -> None:
    of, window = raster(101, 75), Window(33, 17, Size(40, 50))
    with predict(tiny_model(), of, Settings(turns="all"), ALL_ANSWERS) as prediction:
        for answer in ALL_ANSWERS:
            whole = prediction.scores(answer, Window(0, 0, of.size), CPU)

            part = prediction.scores(answer, window, CPU)

            assert torch.equal(part, whole[:, *window.slices])
        with pytest.raises(ValueError, match="outside a raster of 101x75"):
            prediction.scores(Answer.LOCAL, Window(60, 0, Size(42, 75)), CPU)


def test_scratch_is_given_back_when_a_later_way_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    made: list[int] = []
    close, build, section = (
        getattr(scratch.ScoreFile, name) for name in ("close", "__init__", "section")
    )

    def building(self: scratch.ScoreFile, *of: Any) -> None:  # noqa: ANN401
        made.append(id(self))
        build(self, *of)

    def failing(self: scratch.ScoreFile, unit: int, *of: Any) -> scratch.Scratch:  # noqa: ANN401
        if unit == 2:
            raise KeyboardInterrupt
        found: scratch.Scratch = section(self, unit, *of)
        return found

    def closing(self: scratch.ScoreFile) -> None:
        closed.append(id(self))
        close(self)

    monkeypatch.setattr(scratch.ScoreFile, "__init__", building)
    monkeypatch.setattr(scratch.ScoreFile, "section", failing)
    monkeypatch.setattr(scratch.ScoreFile, "close", closing)

    with pytest.raises(KeyboardInterrupt):
        predict(tiny_model(), raster(64, 64), Settings(turns="quarters"))

    assert made
    assert closed == made


def test_progress_says_which_way_is_at_hand() -> None:
    told: list[str] = []

    predict(
        tiny_model("local only"),
        raster(64, 64),
        Settings(turns="flips"),
        progress=lambda phase, *_: told.append(phase),
    ).close()

    assert list(dict.fromkeys(told)) == [f"patches, way {k} of 4" for k in (1, 2, 3, 4)]


def test_ways_of_another_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="one of none, flips, quarters, all, got some"):
        Settings(turns="some")  # type: ignore[arg-type]
