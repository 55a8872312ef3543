"""Figure 1: every point and every label is there, and none lies on another."""

import ast
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import glnet.reproduction
from glnet.errors import ConfigurationError
from glnet.reproduction.annotating import annotate
from glnet.reproduction.charts import (
    Point,
    Stop,
    Sweep,
    memory_chart,
    paper_points,
    paper_sweeps,
    sweep_chart,
)
from glnet.reproduction.labels import Box, along, place_labels
from glnet.reproduction.results import QUICK
from glnet.reproduction.styling import GLNET, NEUTRAL, blank_figure

FRAME = Box(0, 0, 900, 700)
places = st.tuples(st.floats(0, 900), st.floats(0, 700))


def test_no_module_loads_matplotlib_before_it_draws() -> None:
    modules = sorted(Path(glnet.reproduction.__file__).parent.glob("*.py"))
    assert modules

    for module in modules:
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            names = [getattr(node, "module", None)] + [of.name for of in getattr(node, "names", [])]
            assert not any((name or "").startswith("matplotlib") for name in names)


def ink(path: Path, color: str) -> int:
    wanted = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return int((np.asarray(Image.open(path).convert("RGB")) == wanted).all(axis=2).sum())


@given(points=st.lists(places, min_size=1, max_size=18), width=st.floats(10, 120))
def test_labels_lie_in_the_frame_and_on_nothing(
    points: list[tuple[float, float]], width: float
) -> None:
    boxes = place_labels(points, [(width, 12.0)] * len(points), FRAME, radius=4)

    assert len(boxes) == len(points)
    assert all(FRAME.holds(box) for box in boxes)
    assert all(one.shared(other) == 0 for one, other in itertools.combinations(boxes, 2))
    marks = [Box(x - 4, y - 4, 8, 8) for x, y in points]
    assert all(box.shared(mark) == 0 for box in boxes for mark in marks)


def test_a_label_alone_stands_right_of_its_point() -> None:
    (box,) = place_labels([(100, 100)], [(50, 10)], FRAME, radius=4)

    assert 104 < box.left < 110
    assert box.centre[1] == 100


def test_a_label_keeps_off_a_line() -> None:
    line = along([(0, 100), (900, 100)], 4)

    (box,) = place_labels([(450, 100)], [(50, 10)], FRAME, radius=4, taken=line)

    assert all(box.shared(square) == 0 for square in line)
    assert abs(box.centre[1] - 100) < 20


def test_where_no_place_is_free_the_least_bad_is_taken() -> None:
    (box,) = place_labels([(10, 10)], [(20, 20)], Box(0, 0, 20, 20), radius=4)

    assert box.shared(Box(0, 0, 20, 20)) > 0


@given(line=st.lists(places, min_size=2, max_size=5), side=st.floats(1, 9))
def test_squares_along_a_line_leave_no_gap(line: list[tuple[float, float]], side: float) -> None:
    squares = along(line, side)

    assert squares[0].centre == pytest.approx(line[0])
    assert squares[-1].centre == pytest.approx(line[-1])
    for one, other in itertools.pairwise(squares):
        assert np.hypot(*np.subtract(one.centre, other.centre)) <= side * (1 + 1e-9)


OURS = [Point("GLNet, G⇌L", 900, 70.0), Point("U-Net", 500, 40.0)]


def test_memory_charts_come_as_two_files_with_every_label(tmp_path: Path) -> None:
    paths = memory_chart(OURS, paper_points(), tmp_path / "new" / "figure_1.a", is_quick=True)

    assert [path.name for path in paths] == ["figure_1.a.png", "figure_1.a.svg"]
    words = re.findall(r"<!-- (.*?) -->", paths[1].read_text(encoding="utf-8"))
    for of in [*OURS, *paper_points()]:
        assert of.label in words
    assert words.count("U-Net") == 2
    assert QUICK in words


def test_only_ours_are_filled_and_only_glnet_is_red(tmp_path: Path) -> None:
    without, with_paper, papers_alone = (
        memory_chart(points, paper, tmp_path / name)[0]
        for name, points, paper in (
            ("without", [OURS[1]], []),
            ("with", [OURS[1]], [OURS[0]]),
            ("papers", [], [OURS[0]]),
        )
    )
    filled = memory_chart(OURS, [], tmp_path / "filled")[0]

    assert ink(without, GLNET) == 0 < ink(without, NEUTRAL)
    assert ink(papers_alone, NEUTRAL) == 0
    assert 0 < ink(with_paper, GLNET) < ink(filled, GLNET)


def test_the_same_chart_is_the_same_file(tmp_path: Path) -> None:
    one, other = (memory_chart(OURS, paper_points(), tmp_path / name) for name in "ab")

    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]


def test_sweeps_have_a_line_each_and_a_size_at_every_point(tmp_path: Path) -> None:
    ours = Sweep("FCN-8s", [Stop("250", 800, 40), Stop("500", 1200, 50), Stop("1000", 4000, 52)])

    png, svg = sweep_chart([ours, *paper_sweeps("patches")], tmp_path / "1c.png", sizes="pixels")

    assert (png.name, svg.name) == ("1c.png", "1c.svg")
    words = re.findall(r"<!-- (.*?) -->", svg.read_text(encoding="utf-8"))
    assert [words.count(size) for size in ("250", "500")] == [1, 4]
    for label in ("FCN-8s", "FCN-8s, the paper's", "ICNet, the paper's", "at the points: pixels"):
        assert label in words


def test_the_papers_sweeps_are_what_its_tables_say() -> None:
    assert [sweep.stops for sweep in paper_sweeps("whole image")] == [(Stop("500", 1865, 71.6),)]
    assert [sweep.label for sweep in paper_sweeps("patches")] == ["FCN-8s", "ICNet", "GLNet, G⇌L"]
    assert all(sweep.is_paper for sweep in paper_sweeps("patches"))


def test_drawn_words_lie_on_nothing_at_any_scale() -> None:
    figure = blank_figure((6, 4))
    axes = figure.add_subplot()
    axes.set_xscale("log")
    spots = [(10.0**k, of) for k in range(3) for of in (1.0, 1.02, 5.0)]
    line = [(1.0, 5.0), (100.0, 5.0)]
    axes.plot(*zip(*line, strict=True))

    annotate(axes, spots, [f"GLNet {k}" for k in range(9)], ["red"] * 9, [line])

    figure.canvas.draw()
    found = [text.get_window_extent() for text in axes.texts]
    boxes = [Box(of.x0, of.y0, of.width, of.height) for of in found]
    assert len(boxes) == 9
    assert all(one.shared(other) == 0 for one, other in itertools.combinations(boxes, 2))
    (left, height), (right, _) = axes.transData.transform(line)
    through = Box(left, height - 1, right - left, 2)
    assert all(box.shared(through) == 0 for box in boxes)
    for x, y in axes.transData.transform(spots):
        assert all(box.shared(Box(x - 4, y - 4, 8, 8)) == 0 for box in boxes)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], "at least one point"),
        ([Point("a", 0, 1)], "finite mIoU, got 0 and 1 of a"),
        ([Point("a", 5, math.nan)], "got 5 and nan of a"),
        ([Point("a", math.inf, 5)], "got inf and 5 of a"),
    ],
)
def test_charts_that_cannot_be_are_refused(
    tmp_path: Path, points: list[Point], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        memory_chart(points, [], tmp_path / "a")
    with pytest.raises(ConfigurationError, match=message):
        sweep_chart([Sweep(of.label, [Stop("", *of[1:])]) for of in points], tmp_path / "a")
    assert not list(tmp_path.iterdir())
