"""What ``import glnet`` offers."""

import pytest

import glnet


def test_every_public_name_is_there() -> None:
    assert set(glnet.__all__) <= set(dir(glnet))
    for name in glnet.__all__:
        assert getattr(glnet, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'glnet' has no attribute 'segmnet'"):
        getattr(glnet, "segmnet")  # noqa: B009 - mypy knows that it is not there
