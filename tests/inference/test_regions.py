"""What the global branch sees at once: which regions there are, and that they blend into one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glnet.errors import ConfigurationError
from glnet.geometry import Size, Window, strips
from glnet.inference.regions import RegionRule, regions_of
from glnet.inference.settings import Settings
from glnet.inference.streaming import predict
from glnet.model.answers import Answer
from glnet.model.config import CoarseToFine, TrainingExtent
from glnet.raster import ArrayRaster
from tests.inference.pictures import picture
from tests.model.tiny import ALL_ANSWERS, tiny_model

CPU = torch.device("cpu")
EXTENT = TrainingExtent(smallest=Size(100, 100), largest=Size(200, 300))


@pytest.mark.parametrize(
    ("size", "rule", "number", "why"),
    [
        (Size(400, 600), RegionRule(), 1, "whole image; its sides are at most 2 times those of"),
        (Size(401, 300), RegionRule(), 2, "2 regions of 209x300"),
        (Size(4, 700), RegionRule(), 2, "2 regions of 4x352"),
        (Size(401, 300), RegionRule("whole"), 1, "whole image, as asked for"),
        (Size(300, 300), RegionRule("region"), 2, "2 regions of 158x300"),
        (Size(200, 300), RegionRule("region"), 1, "whole image, which is one region"),
        (Size(200, 300), RegionRule(side=150, overlap=0), 4, "4 regions of 150x150 (as asked for)"),
    ],
)
def test_regions_follow_from_the_training_and_from_what_is_asked(
    size: Size, rule: RegionRule, number: int, why: str
) -> None:
    config = tiny_model(training_extent=EXTENT).config

    found = regions_of(size, config, rule)

    assert len(found.grid) == number
    assert found.why.startswith(why)


@pytest.mark.parametrize(
    ("rule", "is_one"),
    [(RegionRule(), True), (RegionRule("region"), False), (RegionRule(side=300), False)],
)
def test_a_box_of_any_size_is_a_whole_image_unless_regions_are_wanted(
    rule: RegionRule, is_one: bool
) -> None:
    config = tiny_model(training_extent=EXTENT, coarse_to_fine=CoarseToFine()).config

    assert (len(regions_of(Size(2000, 600), config, rule).grid) == 1) == is_one


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_regions_cover_the_raster_with_little_more_than_itself(height: int, width: int) -> None:
    config = tiny_model(training_extent=EXTENT).config

    grid = regions_of(Size(height, width), config, RegionRule("region")).grid

    # The mean of neighbouring numbers of regions is at most that of one and two.
    assert grid.patch.height <= 1.5 * 200
    assert grid.patch.width <= 1.5 * 300
    covered = sum(of.size.area for of in grid)
    assert covered <= 1.5 * height * width or min(grid.patch.height, grid.patch.width) < 100


def test_a_region_is_at_least_a_patch() -> None:
    config = tiny_model().config
    patch = config.framing.patch_size * config.framing.reduction

    assert len(regions_of(Size(100, 100), config, RegionRule(side=patch, overlap=0)).grid) > 1
    with pytest.raises(ConfigurationError, match=f"covers {patch} px, got {patch - 1}"):
        regions_of(Size(100, 100), config, RegionRule(side=patch - 1))


def test_without_a_training_the_whole_image_is_seen() -> None:
    config = tiny_model().config

    assert "does not know" in regions_of(Size(10**6, 10**6), config, RegionRule()).why
    with pytest.raises(ConfigurationError, match="name the side of a region"):
        regions_of(Size(100, 100), config, RegionRule("region"))


@pytest.mark.parametrize(
    "rule",
    [
        {"context": "half"},
        {"side": 0},
        {"overlap": -1},
        {"context": "whole", "side": 5},
        {"side": 50, "overlap": 50},
    ],
)
def test_impossible_rules_are_refused(rule: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        regions_of(Size(500, 500), tiny_model().config, RegionRule(**rule))  # type: ignore[arg-type]


def _scores(
    pixels: np.ndarray, rule: RegionRule, answer: Answer = Answer.AGGREGATED
) -> torch.Tensor:
    raster = ArrayRaster(pixels)
    with predict(tiny_model(), raster, Settings(regions=rule), (answer,)) as prediction:
        return prediction.scores(answer, Window(0, 0, raster.size), CPU)


def test_one_region_is_the_whole_image() -> None:
    pixels = picture(130, 170)

    one = _scores(pixels, RegionRule(side=500))

    assert torch.equal(one, _scores(pixels, RegionRule("whole")))


@pytest.mark.parametrize("answer", ALL_ANSWERS)
def test_where_one_region_is_alone_its_answer_is_that_of_the_part(answer: Answer) -> None:
    pixels = picture(150, 210)

    found = _scores(pixels, RegionRule(side=110, overlap=10), answer)
    corner = _scores(pixels[:110, :110], RegionRule("whole"), answer)

    # The first region reaches to 110, the second begins at 40 along rows, at 100 along columns.
    assert torch.allclose(found[:, :40, :50], corner[:, :40, :50], atol=1e-6)
    assert not torch.allclose(found[:, 40:110, :100], corner[:, 40:110, :100], atol=1e-6)


@settings(deadline=None, max_examples=6)
@given(st.integers(20, 90), st.sampled_from(ALL_ANSWERS))
def test_strips_of_blended_regions_are_the_same_bits(height: int, answer: Answer) -> None:
    raster = ArrayRaster(picture(150, 120))
    rule = RegionRule(side=90, overlap=30)
    with predict(tiny_model(), raster, Settings(regions=rule), (answer,)) as prediction:
        whole = prediction.scores(answer, Window(0, 0, raster.size), CPU)
        parts = [prediction.scores(answer, of, CPU) for of in strips(raster.size, height)]

    assert torch.equal(torch.cat(parts, dim=1), whole)


def test_equal_regions_answer_as_one() -> None:
    """A picture without any change gives the same answer in every region."""
    flat = np.full((150, 150, 3), 90, np.uint8)

    found = _scores(flat, RegionRule(side=100, overlap=50), Answer.GLOBAL)

    alone = _scores(flat[:100, :100], RegionRule("whole"), Answer.GLOBAL)
    assert torch.allclose(found.amax((1, 2)), alone.amax((1, 2)), atol=1e-5)
    assert torch.allclose(found.amin((1, 2)), alone.amin((1, 2)), atol=1e-5)
