import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.wording import duration, in_binary_units, listed, roughly, share_of, shortened


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7620, "2 h 7 min")],
)
def test_times_are_told_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5999, "100 min"),
        (6000, "2 h"),
        (90_000, "25 h"),
    ],
)
def test_estimates_of_time_have_one_unit(seconds: float, words: str) -> None:
    assert roughly(seconds) == words


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "0.977 KiB"), (2**30, "1 GiB"), (3**30, "187 TiB")],
)
def test_sizes_have_three_digits(size: int, text: str) -> None:
    assert in_binary_units(size) == text


@given(st.text(), st.integers(0, 40))
def test_what_is_shortened_fits_and_keeps_both_ends(text: str, width: int) -> None:
    short = shortened(text, width)

    assert len(short) <= width
    assert short == text or len(text) > width
    if len(text) > width >= 5:
        assert text.startswith(short.split("...")[0])
        assert short[-1] == text[-1]


@given(st.lists(st.text("abc", min_size=1, max_size=30), min_size=1), st.integers(33, 60))
def test_a_list_keeps_all_its_parts_within_the_width(parts: list[str], width: int) -> None:
    lines = listed(parts, width).split("\n")

    assert max(map(len, lines)) <= width
    assert " ".join(line.strip() for line in lines) == ", ".join(parts)


@pytest.mark.parametrize(
    ("phase", "done", "share"),
    [
        ("patches", 1, 0.25),
        ("patches, region 2 of 4", 2, 0.375),
        ("global part, region 2 of 4", 1, 0.5),
        ("patches, box 1 of 2, region 2 of 4, way 1 of 2", 2, 0.5 * (1 + 0.25) / 4),
        ("writing", 4, 1.0),
    ],
)
def test_shares_are_those_of_all_units(phase: str, done: int, share: float) -> None:
    assert share_of(phase, done, 4) == pytest.approx(share)
