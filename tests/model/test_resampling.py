import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from glnet.model.resampling import (
    Axis,
    Sampling,
    bilinear,
    bilinear_step,
    crop_matrices,
    shifted,
)
from tests.model import slow_sampling
from tests.model.axes import (
    assume_published_runs,
    exact_axes,
    few,
    map_sides,
    published_axes,
)

seeds = st.integers(0, 2**31)
samplings = st.sampled_from(("exact", "published"))


def random_map(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@few
@given(st.integers(1, 40), st.integers(1, 40), seeds)
def test_bilinear_equals_interpolate(source: int, target: int, seed: int) -> None:
    values = random_map(seed, 1, 1, source)

    resized = values[0, 0] @ bilinear(source, target).T

    expected = functional.interpolate(values, target, mode="linear", align_corners=False)
    torch.testing.assert_close(resized, expected[0, 0])


@few
@given(st.integers(1, 9), st.integers(1, 9), st.integers(-12, 12), seeds)
def test_shifted_is_a_tap_of_a_zero_padded_convolution(
    rows: int, columns: int, offset: int, seed: int
) -> None:
    matrix = random_map(seed, 2, rows, columns)

    moved = shifted(matrix, offset)

    for row in range(rows):
        inside = 0 <= row + offset < rows
        expected = matrix[:, row + offset] if inside else torch.zeros(2, columns)
        assert torch.equal(moved[:, row], expected.to(moved))


@few
@given(st.one_of(exact_axes(), published_axes()), map_sides, map_sides, samplings)
def test_crop_rows_sum_to_one_so_a_constant_stays(
    axis: Axis, cells: int, samples: int, sampling: Sampling
) -> None:
    crop = crop_matrices(axis, cells, samples, sampling)

    assert crop.shape == (len(axis.starts), samples, cells)
    assert crop.min() >= 0
    torch.testing.assert_close(crop.sum(dim=2), torch.ones_like(crop[:, :, 0]))


@few
@given(exact_axes(), map_sides, map_sides)
def test_exact_crop_takes_every_sample_at_its_true_place(
    axis: Axis, cells: int, samples: int
) -> None:
    crop = crop_matrices(axis, cells, samples, "exact")

    expected = slow_sampling.exact_crop(axis, cells, samples)
    torch.testing.assert_close(crop, slow_sampling.as_tensor(expected))


def test_exact_crop_by_the_raster_itself_is_a_bilinear_resize() -> None:
    whole = Axis(100, 100, (0,))

    crop = crop_matrices(whole, 13, 25, "exact")

    torch.testing.assert_close(crop[0], bilinear(13, 25))


@few
@given(published_axes(), published_axes(), map_sides, map_sides, map_sides, seeds)
def test_published_crop_equals_cutting_then_resizing(
    rows: Axis, columns: Axis, height: int, width: int, samples: int, seed: int
) -> None:
    assume_published_runs(rows, height)
    assume_published_runs(columns, width)
    of = random_map(seed, 2, height, width)

    down = crop_matrices(rows, height, samples, "published")
    across = crop_matrices(columns, width, samples + 1, "published")

    for r in range(len(rows.starts)):
        for c in range(len(columns.starts)):
            cut = slow_sampling.published_crop(rows, columns, of, (r, c))
            size = (samples, samples + 1)
            expected = functional.interpolate(cut[None], size, mode="bilinear")[0]
            torch.testing.assert_close(down[r] @ of @ across[c].T, expected)


def test_bilinear_steps_first_made_in_a_prediction_still_serve_training() -> None:
    with torch.inference_mode():
        bilinear_step(3, 41, torch.ones(()))
    values = torch.ones(3, requires_grad=True)

    (gradient,) = torch.autograd.grad((bilinear_step(3, 41, values) @ values).sum(), values)

    torch.testing.assert_close(gradient.double(), bilinear(3, 41).sum(dim=0))
