"""Pixels and masks at random, and how large they may be."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from glnet.geometry import Size
from glnet.raster import Valid

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 70)
sizes = st.builds(Size, sides, sides)
strip_bytes = st.integers(1, 20_000)


def random_pixels(seed: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    generator = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return generator.normal(0, 1000, shape).astype(dtype)
    limits = np.iinfo(np.dtype(dtype))
    return generator.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def random_mask(seed: int, height: int, width: int) -> Valid:
    return np.random.default_rng(seed).random((height, width)) < 0.6
