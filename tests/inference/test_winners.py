"""The class of every pixel is the one with the highest score."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from glnet.inference.prediction import winners


@given(st.data(), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
def test_the_first_of_the_highest_scores_wins(
    data: st.DataObject, classes: int, height: int, width: int
) -> None:
    few = st.sampled_from([-1.5, 0.0, 0.25])
    scores = data.draw(arrays(np.float32, (classes, height, width), elements=few))

    labels = winners(torch.from_numpy(scores))

    np.testing.assert_array_equal(labels.numpy(), scores.argmax(axis=0))
