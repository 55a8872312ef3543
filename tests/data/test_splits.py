import random
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.data.splits import FractionSplits, GroupSplits, ListedSplits, SplitRule
from glnet.errors import DatasetError

STEMS = [f"{patient:02d}_{eye}" for patient in range(10) for eye in ("left", "right", "third")]
BY_PATIENT = r"^(\d\d)_"

shares = st.sampled_from(
    [{"train": 1.0}, {"train": 0.8, "test": 0.2}, {"train": 0.5, "validation": 0.2, "test": 0.3}]
)


@given(shares, st.integers(0, 99), st.sampled_from([None, BY_PATIENT]), st.randoms())
def test_fractions_partition_the_images_whatever_their_order(
    fractions: dict[str, float], seed: int, group: str | None, shuffler: random.Random
) -> None:
    rule = FractionSplits(fractions, seed, group)
    shuffled = shuffler.sample(STEMS, len(STEMS))

    parts = rule.assign(shuffled)

    assert sorted(chain(*parts.values())) == STEMS
    assert parts == rule.assign(STEMS)
    assert tuple(parts) == rule.names == tuple(fractions)


@given(shares, st.integers(0, 99), st.sampled_from([1, 3]))
def test_fractions_are_off_by_less_than_the_largest_group(
    fractions: dict[str, float], seed: int, largest: int
) -> None:
    rule = FractionSplits(fractions, seed, BY_PATIENT if largest == 3 else None)

    parts = rule.assign(STEMS)

    for name, fraction in fractions.items():
        assert abs(len(parts[name]) - fraction * len(STEMS)) < largest


@given(st.integers(0, 99))
def test_fractions_never_part_a_group(seed: int) -> None:
    parts = FractionSplits({"train": 0.7, "test": 0.3}, seed, BY_PATIENT).assign(STEMS)

    patients = [{stem[:2] for stem in part} for part in parts.values()]
    assert not patients[0] & patients[1]


def test_another_seed_is_another_draw_and_a_draw_stays() -> None:
    draws = [FractionSplits({"a": 0.5, "b": 0.5}, seed).assign("abcdefgh")["a"] for seed in (0, 1)]

    # Written down, so that no release or machine may draw otherwise.
    assert draws == [("d", "f", "g", "h"), ("a", "d", "f", "g")]


def test_groups_take_every_image_of_theirs() -> None:
    rule = GroupSplits(BY_PATIENT, {"train": ("03", "01"), "test": ("02",)})

    parts = rule.assign(STEMS)

    assert parts["train"] == tuple(stem for stem in STEMS if stem[:2] in {"01", "03"})
    assert parts["test"] == tuple(stem for stem in STEMS if stem[:2] == "02")


def test_lists_are_the_splits() -> None:
    rule = ListedSplits({"train": ("c", "a"), "test": ("b",)})

    assert rule.assign("abcd") == {"train": ("c", "a"), "test": ("b",)}
    assert rule.names == ("train", "test")


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            ListedSplits({"a": ("01_x", "z")}),
            "split 'a' lists 2 stems that have no image: 01_x, z$",
        ),
        (ListedSplits({"a": ("01_left.jpg",)}), "names without folder and suffix"),
        (
            ListedSplits({"a": ("01_left",), "b": ("01_left",)}),
            r"every stem .* 01_left came twice \(01_left in a, b\)",
        ),
        (ListedSplits({"a": ("01_left", "01_left")}), r"came twice \(01_left in a\)"),
        (ListedSplits({"a": ()}), "split 'a' got no image"),
        (FractionSplits({"a": 0.999, "b": 0.001}), "split 'b' got no image"),
        (FractionSplits({"a": 1.0}, group="^(x)"), r"'\^\(x\)' finds nothing in the stem"),
        (FractionSplits({"a": 1.0}, group="^(x)?"), "finds nothing in the stem"),
        (GroupSplits(BY_PATIENT, {"a": ("77",)}), "no image belongs to: 77; .* 00, 01"),
        (GroupSplits(BY_PATIENT, {"a": ("01",), "b": ("01",)}), "every group .* 01 came twice"),
        (GroupSplits(BY_PATIENT, {"a": ()}), "split 'a' got no image"),
    ],
)
def test_splits_refuse_images_that_do_not_fit(rule: SplitRule, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        rule.assign(STEMS)
