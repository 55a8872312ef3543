"""Every protocol against cases small enough to be worked out on paper."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.errors import ConfigurationError
from glnet.evaluation.confusion import Confusion, Counts
from glnet.evaluation.protocols import (
    PROTOCOL_OF_KIND,
    PROTOCOLS,
    ImageCounts,
    deepglobe_figures,
    generic_figures,
    inria_figures,
    isic_figures,
    jaccard,
    mean_iou,
    six_class_mean_iou,
    thresholded,
    total,
)

SIX = ["urban", "agriculture", "rangeland", "forest", "water", "barren"]
TWO = ["background", "lesion"]


def counts(matrix: list[list[int]], ignored: list[int] | None = None) -> Counts:
    return Counts(np.array(matrix), np.array(ignored or [0] * len(matrix)))


def image(matrix: list[list[int]], group: str | None = None) -> ImageCounts:
    return ImageCounts(counts(matrix), group)


def lesion(hit: int, false: int, missed: int, rest: int) -> ImageCounts:
    """True rows, answered columns: background first."""
    return image([[rest, false], [missed, hit]])


def test_generic_is_the_mean_over_classes_that_occur_and_the_share_of_right_pixels() -> None:
    # Two images, three classes of which the last never occurs.
    #   class 0: hits 5 + 1 = 6, union 6 + (2 answered wrongly) + (1 missed) = 9   -> 6/9
    #   class 1: hits 2 + 1 = 3, union 3 + 1 + 2 = 6                               -> 3/6
    first = image([[5, 0, 0], [2, 2, 0], [0, 0, 0]])
    second = image([[1, 1, 0], [0, 1, 0], [0, 0, 0]])

    figures = generic_figures([first, second], ["a", "b", "c"])

    assert figures == {
        "overall": {"mIoU": pytest.approx((6 / 9 + 3 / 6) / 2), "accuracy": pytest.approx(9 / 12)}
    }


def diagonal(hits: list[int]) -> list[list[int]]:
    matrix: list[list[int]] = np.diag(hits).tolist()
    return matrix


def test_deepglobe_leaves_unknown_pixels_out_and_the_published_counting_does_not() -> None:
    # 10 pixels of each class, all right, but 5 of urban answered as water; 10 unknown (ignored)
    # pixels, 6 answered as urban and 4 as forest.
    matrix = diagonal([5, 10, 10, 10, 10, 10])
    matrix[0][4] = 5

    figures = deepglobe_figures([ImageCounts(counts(matrix, [6, 0, 0, 4, 0, 0]))], SIX)

    # Six classes: urban 5 / 10, water 10 / 15, the other four 1.
    six = (5 / 10 + 10 / 15 + 4) / 6
    # Published: the answers on unknown pixels are false: urban 5 / (10 + 6), forest 10 / (10 + 4).
    published = (5 / 16 + 10 / 14 + 10 / 15 + 3) / 6
    assert figures["six classes"] == {
        "mIoU": pytest.approx(six),
        "accuracy": pytest.approx(55 / 60),
    }
    assert figures["published counting"] == {
        "mIoU": pytest.approx(published),
        "accuracy": pytest.approx(55 / 70),
    }


def test_deepglobe_of_a_model_that_knows_unknown() -> None:
    # Unknown comes first, as in the published models. 4 of 10 unknown pixels answered as unknown
    # and 6 as urban; of 10 urban pixels 3 answered as unknown; the other classes 10 of 10.
    matrix = diagonal([4, 7, 10, 10, 10, 10, 10])
    matrix[0][1] = 6
    matrix[1][0] = 3

    figures = deepglobe_figures([image(matrix)], ["unknown", *SIX])

    # Six classes: urban misses 3 and nothing is false, as unknown pixels do not count: 7 / 10.
    assert figures["six classes"] == {
        "mIoU": pytest.approx((7 / 10 + 5) / 6),
        "accuracy": pytest.approx(57 / 60),
    }
    # Published: 6 pixels of unknown are false urban: 7 / 16; unknown answered rightly is right.
    assert figures["published counting"] == {
        "mIoU": pytest.approx((7 / 16 + 5) / 6),
        "accuracy": pytest.approx(61 / 70),
    }


def test_deepglobe_classes_that_occur_nowhere_count_0_only_as_published() -> None:
    figures = deepglobe_figures([image(diagonal([10, 10, 0, 0, 0, 0]))], SIX)

    assert figures["six classes"]["mIoU"] == 1.0
    assert figures["published counting"]["mIoU"] == pytest.approx(2 / 6)


def test_without_unknown_pixels_the_two_countings_agree() -> None:
    rng = np.random.default_rng(0)
    figures = deepglobe_figures([image(rng.integers(1, 9, (6, 6)).tolist())], SIX)

    assert figures["six classes"] == pytest.approx(figures["published counting"])


def test_unknown_as_a_class_and_as_ignored_pixels_are_counted_alike() -> None:
    """Of a model that never answers unknown."""
    rng = np.random.default_rng(0)
    matrix, ignored = rng.integers(1, 9, (6, 6)), rng.integers(1, 9, 6)
    seven = np.zeros((7, 7), np.int64)
    seven[1:, 1:], seven[0, 1:] = matrix, ignored

    as_class = deepglobe_figures([image(seven.tolist())], ["Unknown", *SIX])
    as_ignored = deepglobe_figures([ImageCounts(Counts(matrix, ignored))], SIX)

    for name, values in as_ignored.items():
        assert as_class[name] == pytest.approx(values)


def test_isic_thresholds_every_image_before_the_mean() -> None:
    good = lesion(hit=8, false=1, missed=1, rest=90)  # 8 / 10
    poor = lesion(hit=6, false=2, missed=2, rest=90)  # 6 / 10, under 0.65
    edge = lesion(hit=13, false=4, missed=3, rest=80)  # 13 / 20 = 0.65 exactly

    figures = isic_figures([good, poor, edge], TWO)

    assert figures == {
        "overall": {
            "Jaccard, 0 if under 0.65": pytest.approx((0.8 + 0 + 0.65) / 3),
            "Jaccard": pytest.approx((0.8 + 0.6 + 0.65) / 3),
            "dataset IoU": pytest.approx((8 + 6 + 13) / (10 + 10 + 20)),
            "accuracy": pytest.approx((98 + 96 + 93) / (100 + 100 + 100)),
        }
    }


def test_isic_nothing_to_find_and_nothing_found_is_right() -> None:
    empty = lesion(hit=0, false=0, missed=0, rest=10)
    false = lesion(hit=0, false=1, missed=0, rest=9)

    assert jaccard(empty.counts) == 1.0
    assert jaccard(false.counts) == 0.0
    figures = isic_figures([empty, empty], TWO)["overall"]
    assert (figures["Jaccard"], figures["dataset IoU"]) == (1.0, None)


def test_isic_images_without_a_label_leave_the_means() -> None:
    unlabelled = ImageCounts(counts([[0, 0], [0, 0]], [5, 5]))

    figures = isic_figures([unlabelled, lesion(1, 1, 0, 0)], TWO)["overall"]

    assert (figures["Jaccard"], figures["Jaccard, 0 if under 0.65"]) == (0.5, 0.0)
    assert set(isic_figures([unlabelled], TWO)["overall"].values()) == {None}


@pytest.mark.parametrize(("index", "score"), [(0.65, 0.65), (0.6499, 0.0), (1.0, 1.0), (0.0, 0.0)])
def test_the_threshold_itself_counts(index: float, score: float) -> None:
    assert thresholded(index) == score


def test_inria_pools_the_pixels_of_every_city() -> None:
    # austin: building hits 3 + 1, union 5 + 3; right 3 + 1 + 4 + 6. vienna: 2 of 4; right 2 + 6.
    images = [
        image([[4, 1], [1, 3]], "austin"),
        image([[2, 2], [0, 2]], "vienna"),
        image([[6, 1], [1, 1]], "austin"),
    ]

    figures = inria_figures(images, ["other", "building"])

    assert list(figures) == ["austin", "vienna", "overall"]
    assert figures["austin"] == {
        "building IoU": pytest.approx(4 / 8),
        "accuracy": pytest.approx(14 / 18),
    }
    assert figures["vienna"] == {
        "building IoU": pytest.approx(2 / 4),
        "accuracy": pytest.approx(4 / 6),
    }
    # The overall IoU is over pixels, no mean of cities: 6 / 12.
    assert figures["overall"] == {
        "building IoU": pytest.approx(6 / 12),
        "accuracy": pytest.approx(18 / 24),
    }


def test_inria_images_of_no_city_count_overall() -> None:
    figures = inria_figures([image([[4, 1], [1, 3]])], ["other", "building"])

    assert list(figures) == ["overall"]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_perfect_answer_has_all_figures_at_1(name: str) -> None:
    protocol = next(of for of in PROTOCOLS.values() if of.name == name)
    names = SIX if name == "deepglobe" else TWO
    perfect = image(diagonal([3] * len(names)), "somewhere")

    figures = protocol.figures([perfect, perfect], names)

    assert {value for of in figures.values() for value in of.values()} == {1.0}
    assert protocol.of_image(perfect.counts, names) == 1.0
    protocol.check(names)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_an_image_without_a_label_has_no_score(name: str) -> None:
    protocol = next(of for of in PROTOCOLS.values() if of.name == name)
    names = SIX if name == "deepglobe" else TWO
    nothing = counts(np.zeros((len(names), len(names)), int).tolist(), [4] * len(names))

    assert protocol.of_image(nothing, names) is None


def test_images_are_ranked_by_the_protocols_own_number() -> None:
    matrix = diagonal([5, 10, 10, 10, 10, 10])
    matrix[0][4] = 5

    assert six_class_mean_iou(counts(matrix, [9] * 6), SIX) == pytest.approx(
        (5 / 10 + 10 / 15 + 4) / 6
    )
    assert mean_iou(counts([[1, 1], [0, 2]]), TWO) == pytest.approx((1 / 2 + 2 / 3) / 2)


@given(st.lists(st.lists(st.integers(0, 9), min_size=6, max_size=6), min_size=1, max_size=4))
def test_the_total_is_that_of_one_long_image(tables: list[list[int]]) -> None:
    images = [ImageCounts(counts([of[:2], of[2:4]], of[4:])) for of in tables]
    confusion = Confusion(2)
    for of in tables:
        for row, column, number in zip((0, 0, 1, 1, 255, 255), (0, 1) * 3, of, strict=True):
            confusion.add(np.full(number, column), np.full(number, row))

    assert total(images) == confusion.result()
    assert math.isnan(total(images).accuracy) == (sum(sum(of[:4]) for of in tables) == 0)


@pytest.mark.parametrize("name", ["isic", "inria"])
def test_two_classes_are_required_where_one_of_two_is_scored(name: str) -> None:
    protocol = next(of for of in PROTOCOLS.values() if of.name == name)

    with pytest.raises(ConfigurationError, match=rf"{name} scores two classes.*a, b, c.*generic"):
        protocol.check(["a", "b", "c"])


def test_deepglobe_requires_its_six_classes() -> None:
    PROTOCOLS["deepglobe"].check([*SIX, "Unknown"])
    for names in (TWO, [*SIX, "roads"]):
        with pytest.raises(ConfigurationError, match="scores 6 classes, and perhaps one"):
            PROTOCOLS["deepglobe"].check(names)


def test_every_kind_of_dataset_has_a_protocol() -> None:
    assert set(PROTOCOL_OF_KIND.values()) == set(PROTOCOLS)


def test_the_headline_is_that_of_all_images_and_known_to_every_protocol() -> None:
    austin, vienna = image([[5, 0], [1, 1]], "austin"), image([[5, 0], [0, 9]], "vienna")
    six = image(diagonal([1, 2, 3, 4, 5, 6]))
    seen = {"deepglobe": ([six], SIX)}

    values = {}
    for name, protocol in PROTOCOLS.items():
        images, classes = seen.get(name, ([austin, vienna], ["ground", "building"]))
        part, figure = protocol.headline
        values[name] = protocol.figures(images, classes)[part][figure]

    assert values["inria"] == pytest.approx(10 / 11)
    # Of the two indices one is a half, which counts as 0.
    assert values["isic"] == pytest.approx((0 + 1) / 2)
    assert values["generic"] == pytest.approx((10 / 11 + 10 / 11) / 2)
    assert values["deepglobe"] == 1
