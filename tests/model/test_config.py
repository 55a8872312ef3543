import pytest

from glnet.errors import ConfigurationError
from glnet.geometry import Size
from glnet.model.config import Architecture, Branches, Framing, ModelConfig, Normalization
from tests.model.tiny import CLASSES


def test_defaults_are_the_papers() -> None:
    framing, architecture = Framing(), Architecture()

    assert (framing.patch_size, framing.thumbnail_size, framing.overlap) == (500, 500, 50)
    assert (architecture.backbone, architecture.branches) == ("resnet50", "both")
    assert (architecture.sharing, architecture.sharing_depth) == ("bidirectional", "deep")
    assert architecture.aggregation


def test_the_grid_of_reduced_patches_is_in_raster_pixels() -> None:
    grid = Framing(patch_size=64, overlap=16, reduction=3).grid(Size(400, 192))

    assert grid.patch == Size(192, 192)
    assert grid.rows == (0, 104, 208)
    assert grid.columns == (0,)


def test_a_published_framing_takes_the_published_grid() -> None:
    grid = Framing(patch_size=508, sampling="published").grid(Size(2448, 2448))

    assert grid.rows == grid.columns == (0, 388, 776, 1164, 1552, 1940)


@pytest.mark.parametrize("branches", ["global", "local"])
def test_one_branch_alone_neither_shares_nor_aggregates(branches: Branches) -> None:
    with pytest.raises(ConfigurationError, match=f"the {branches} branch alone"):
        Architecture(branches=branches, sharing="none")
    with pytest.raises(ConfigurationError, match=f"the {branches} branch alone"):
        Architecture(branches=branches, aggregation=False)


def test_impossible_architectures_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="only through the aggregation"):
        Architecture(aggregation=False)
    with pytest.raises(ConfigurationError, match="at least 1"):
        Architecture(fpn_width=0)
    with pytest.raises(ConfigurationError, match="at least 1"):
        Architecture(refined_width=0)


def test_impossible_framings_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="patch_size must be from 32 to 8192, got 31"):
        Framing(patch_size=31)
    with pytest.raises(ConfigurationError, match="thumbnail_size must be from 32 to 8192"):
        Framing(thumbnail_size=8193)
    with pytest.raises(ConfigurationError, match="under patch_size 64, got 64"):
        Framing(patch_size=64, overlap=64)
    with pytest.raises(ConfigurationError, match="overlap must be at least 0"):
        Framing(overlap=-1)
    with pytest.raises(ConfigurationError, match="reduction must be at least 1"):
        Framing(reduction=0)


def test_impossible_normalizations_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="for every band"):
        Normalization((0.0,), (1.0, 1.0))
    with pytest.raises(ConfigurationError, match="for every band"):
        Normalization((), ())
    with pytest.raises(ConfigurationError, match="positive std"):
        Normalization((0.0,), (0.0,))


def test_a_model_of_one_class_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="2 to 255 classes, got 1"):
        ModelConfig(classes=CLASSES[:1])
