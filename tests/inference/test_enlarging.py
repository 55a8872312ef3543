import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from glnet.inference.enlarging import enlarge, taps

CPU = torch.device("cpu")
few = settings(deadline=None, max_examples=60)
sides = st.integers(1, 60)
seeds = st.integers(0, 2**31)


def _scores(seed: int, height: int, width: int) -> torch.Tensor:
    return torch.randn(2, height, width, generator=torch.Generator().manual_seed(seed))


@few
@given(sides, sides, sides, sides, seeds)
def test_enlarging_exactly_is_bilinear(
    height: int, width: int, rows: int, columns: int, seed: int
) -> None:
    scores = _scores(seed, height, width)

    large = enlarge(scores, taps(height, rows, "exact", CPU), taps(width, columns, "exact", CPU))

    expected = functional.interpolate(scores[None].double(), (rows, columns), mode="bilinear")[0]
    torch.testing.assert_close(large, expected.float(), rtol=1e-5, atol=1e-5)


@few
@given(sides, sides, st.integers(1, 600), sides, seeds)
def test_enlarging_as_published_is_nearest_to_the_last_bit(
    height: int, width: int, rows: int, columns: int, seed: int
) -> None:
    scores = _scores(seed, height, width)

    large = enlarge(
        scores, taps(height, rows, "published", CPU), taps(width, columns, "published", CPU)
    )

    expected = functional.interpolate(scores[None], (rows, columns), mode="nearest")[0]
    assert torch.equal(large, expected)


@few
@given(sides, sides, st.data(), seeds)
def test_a_part_is_the_same_rows_of_the_whole(
    cells: int, pixels: int, data: st.DataObject, seed: int
) -> None:
    start = data.draw(st.integers(0, pixels - 1))
    stop = data.draw(st.integers(start + 1, pixels))
    scores, rows = _scores(seed, cells, 3), taps(cells, pixels, "exact", CPU)
    columns = taps(3, 7, "exact", CPU)

    part = enlarge(scores, rows.part(start, stop), columns)

    assert torch.equal(part, enlarge(scores, rows, columns)[:, start:stop])
