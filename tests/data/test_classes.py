import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.data.classes import ClassInfo
from glnet.data.colors import QUALITATIVE, Color, as_hex, default_color, free_color, parse_color
from glnet.data.listing import listing
from glnet.errors import ConfigurationError

colors = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))


@given(colors)
def test_colors_read_back_as_they_were_written(color: Color) -> None:
    assert parse_color(as_hex(color)) == color
    assert parse_color(list(color)) == color


@pytest.mark.parametrize(
    "value", ["#12345", "red", "#gggggg", [1, 2], [1, 2, 256], [1, 2, True], [1.0, 2, 3], None, 7]
)
def test_parse_color_refuses_what_is_none(value: object) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"got {value!r}")):
        parse_color(value)


def test_default_colors_all_differ() -> None:
    assert len({default_color(index) for index in range(500)}) == 500


@given(st.lists(st.sampled_from(QUALITATIVE)))
def test_free_color_is_not_taken(taken: list[Color]) -> None:
    assert free_color(taken) not in taken


@given(st.text(min_size=1).filter(lambda name: bool(name.strip())), colors)
def test_classes_survive_json(name: str, color: Color) -> None:
    info = ClassInfo(name, color)

    assert ClassInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": "soil"}, "keys name and color, got name"),
        ({}, "got none"),
        ({"name": "soil", "color": "#000000", "id": 3}, "got name, color, id"),
        ({"name": 3, "color": "#000000"}, "expected a class name, got 3"),
        ({"name": " ", "color": "#000000"}, "expected a class name, got ' '"),
        ({"name": "soil", "color": "brown"}, "expected a colour"),
    ],
)
def test_classes_refuse_what_cannot_be(value: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ClassInfo.from_dict(value)


def test_listing_counts_what_it_does_not_show() -> None:
    assert listing("abcde") == "a, b, c, d, e"
    assert listing("abcdefg") == "a, b, c, d, e and 2 more"
