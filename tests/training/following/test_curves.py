import ast
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glnet.training.following
from glnet.errors import OutputError
from glnet.training.following.curves import DOTS_PER_INCH, SIZE_INCHES, draw_curves
from glnet.training.following.rounds import Round
from tests.training.following.some_rounds import a_round, looked_at

FOLDER = Path(glnet.training.following.__file__).parent


def drawn(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.open(path).convert("RGB"))


def ink(path: Path, color: str) -> int:
    """How many pixels have a colour."""
    wanted = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return int((drawn(path) == wanted).all(axis=2).sum())


def test_there_is_a_picture_of_all_and_one_of_every_stage(tmp_path: Path) -> None:
    rounds = [a_round("context"), looked_at("local"), looked_at("local", 2), a_round("refined")]

    paths = draw_curves(rounds, tmp_path / "curves")

    assert [path.name for path in paths] == [
        "overview.png",
        "context.png",
        "local.png",
        "refined.png",
    ]
    width, height = (round(side * DOTS_PER_INCH) for side in SIZE_INCHES)
    assert {drawn(path).shape for path in paths} == {(height, width, 3)}


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert draw_curves([], tmp_path / "curves") == []
    assert not (tmp_path / "curves").exists()


@pytest.mark.parametrize(
    "rounds",
    [
        [a_round()],
        [looked_at(epoch=0.25), looked_at(epoch=0.5)],
        [a_round(epoch=0, losses={}, gradient_norm=0.0, gradient_norm_max=0.0)],
        [a_round(gradient_norm=math.nan, gradient_norm_max=math.inf)],
        [a_round(losses={"local": math.nan}), a_round(epoch=2, losses={"local": -math.inf})],
        [a_round(learning_rate=math.nan), looked_at(epoch=7, miou=math.nan)],
        [a_round(epoch=of, gradient_norm=1e-9 * 10**of) for of in range(20)],
        [a_round(epoch=of, gradient_norm=of % 2) for of in range(5)],
        [looked_at(epoch=of, miou=of / 200) for of in range(200)],
    ],
    ids=["one", "parts", "zeros", "no norm", "no loss", "no rate", "wide", "some zeros", "many"],
)
def test_any_rounds_can_be_drawn(tmp_path: Path, rounds: list[Round]) -> None:
    for path in draw_curves(rounds, tmp_path):
        assert drawn(path).min() < 100


def test_values_that_are_missing_or_not_finite_leave_a_gap_and_no_curve(tmp_path: Path) -> None:
    blue = "#0072B2"
    known = [a_round(epoch=of, losses={"local": 1.0}) for of in range(1, 9)]
    lost = [a_round(epoch=of, losses={"local": math.nan}) for of in range(1, 9)]

    (_, whole), (_, empty) = (
        draw_curves(of, tmp_path / name) for of, name in ((known, "a"), (lost, "b"))
    )

    assert ink(whole, blue) > ink(empty, blue) + 200


def test_drawing_again_replaces_the_pictures(tmp_path: Path) -> None:
    first = drawn(draw_curves([a_round()], tmp_path)[1])
    second = drawn(draw_curves([a_round(), looked_at(epoch=2)], tmp_path)[1])

    assert not np.array_equal(first, second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["local.png", "overview.png"]


def test_a_place_that_takes_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "curves").touch()

    with pytest.raises(OutputError, match="cannot make the folder"):
        draw_curves([a_round()], tmp_path / "curves")


def test_matplotlib_is_loaded_only_to_draw() -> None:
    modules = sorted(FOLDER.glob("*.py"))
    assert modules
    for path in modules:
        for node in ast.parse(path.read_text()).body:
            names = [of.name for of in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith("matplotlib") for name in names), path
