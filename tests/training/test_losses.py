import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from glnet.data import IGNORE_INDEX
from glnet.training.choices import Regularization
from glnet.training.losses import (
    LARGEST_WEIGHT,
    balanced_weights,
    feature_distances,
    focal_sums,
    focal_total,
    label_counts,
)


def drawn(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (2, 3, 4, 5), and labels of which about a quarter is ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 3, 4, 5, generator=generator)
    labels = torch.randint(0, 4, (2, 4, 5), generator=generator)
    return logits, torch.where(labels == 3, IGNORE_INDEX, labels).to(torch.uint8)


def focal_loss(
    logits: Tensor, labels: Tensor, gamma: float, weights: Tensor | None = None
) -> Tensor:
    """The mean over the pixels that count, as a step puts it together."""
    counts = label_counts(labels, logits.shape[1]).sum(0)
    sums = focal_sums(logits, labels, gamma, weights)
    return (sums / focal_total(counts, weights)).sum()


def slow_focal_loss(
    logits: Tensor, labels: Tensor, gamma: float, weights: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> float:
    terms: list[float] = []
    total = 0.0
    for n, row, column in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
        label = int(labels[n, row, column])
        if label != IGNORE_INDEX:
            powers = [math.exp(score) for score in logits[n, :, row, column].tolist()]
            p = powers[label] / sum(powers)
            terms.append(weights[label] * (1 - p) ** gamma * -math.log(p))
            total += weights[label]
    return sum(terms) / total


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 6.0])
def test_focal_loss_is_the_formula_pixel_by_pixel(gamma: float) -> None:
    logits, labels = drawn()

    loss = focal_loss(logits, labels, gamma)

    assert float(loss) == pytest.approx(slow_focal_loss(logits, labels, gamma), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_weighted_focal_loss_is_the_formula_pixel_by_pixel(gamma: float) -> None:
    logits, labels = drawn()
    weights = (0.5, 2.0, 7.0)

    loss = focal_loss(logits, labels, gamma, torch.tensor(weights))

    assert float(loss) == pytest.approx(slow_focal_loss(logits, labels, gamma, weights), rel=1e-5)


@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 7.0), (0.0, 1.0, 1.0)])
def test_focal_loss_with_gamma_0_is_cross_entropy(weights: tuple[float, ...] | None) -> None:
    logits, labels = drawn()
    of = None if weights is None else torch.tensor(weights)

    loss = focal_loss(logits, labels, 0.0, of)

    expected = functional.cross_entropy(logits, labels.long(), weight=of, ignore_index=IGNORE_INDEX)
    torch.testing.assert_close(loss, expected)


def test_sums_of_parts_add_up_to_those_of_the_whole() -> None:
    logits, labels = drawn()

    whole = focal_sums(logits, labels, 2.0)

    assert whole.shape == (2,)
    for n in range(2):
        torch.testing.assert_close(focal_sums(logits[n, None], labels[n, None], 2.0)[0], whole[n])


def test_label_counts_are_those_of_every_item() -> None:
    _, labels = drawn()

    counts = label_counts(labels, 3)

    expected = [[int((of == label).sum()) for label in range(3)] for of in labels]
    assert counts.tolist() == expected


def test_balanced_weights_make_classes_count_alike() -> None:
    counts = torch.tensor([400, 300, 200, 100])

    weighed = counts * balanced_weights(counts)

    torch.testing.assert_close(weighed, torch.full((4,), 250.0))


def test_balanced_weights_are_bounded_and_leave_absent_classes_alone() -> None:
    weights = balanced_weights(torch.tensor([10_000_000, 1, 0]))

    assert weights.tolist() == [pytest.approx(0.5), LARGEST_WEIGHT, 1.0]


def test_balanced_weights_of_equal_shares_and_of_nothing_are_1() -> None:
    assert balanced_weights(torch.tensor([5, 5, 5])).tolist() == pytest.approx([1.0] * 3)
    assert balanced_weights(torch.tensor([0, 0])).tolist() == [1.0, 1.0]


def test_focal_loss_brings_logits_to_the_size_of_the_labels() -> None:
    logits, _ = drawn()
    labels = torch.zeros(2, 16, 20, dtype=torch.uint8)

    loss = focal_loss(logits, labels, 2.0)

    enlarged = functional.interpolate(logits, (16, 20), mode="bilinear")
    torch.testing.assert_close(loss, focal_loss(enlarged, labels, 2.0))


def test_ignored_pixels_neither_count_nor_get_gradients() -> None:
    logits, labels = drawn()
    is_ignored = (labels == IGNORE_INDEX)[:, None].expand_as(logits)
    logits.requires_grad_()

    loss = focal_loss(logits, labels, 2.0)
    loss.backward()  # type: ignore[no-untyped-call]

    assert is_ignored.any()
    assert logits.grad is not None
    assert not logits.grad[is_ignored].any()
    assert logits.grad[~is_ignored].all()
    torch.testing.assert_close(loss, focal_loss(logits + 9 * is_ignored, labels, 2.0))


def test_nothing_labelled_is_no_loss_and_no_gradient() -> None:
    logits, labels = drawn()
    logits.requires_grad_()

    loss = focal_loss(logits, torch.full_like(labels, IGNORE_INDEX), 6.0)
    loss.backward()  # type: ignore[no-untyped-call]

    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 6.0])
def test_pixels_that_are_certain_have_finite_gradients(gamma: float) -> None:
    logits = torch.tensor([200.0, -200.0]).reshape(1, 2, 1, 1).repeat(1, 1, 1, 2).requires_grad_()

    focal_loss(logits, torch.tensor([[[0, 1]]]), gamma).backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_euclidean_distance_is_a_norm_per_patch_in_units_of_one_number() -> None:
    local, heard = torch.randn(2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    norms = [math.dist(local[n].flatten().tolist(), heard[n].flatten().tolist()) for n in (0, 1)]

    distances = feature_distances(local, heard, "euclidean")

    expected = [norm / math.sqrt(3 * 4 * 5) for norm in norms]
    assert distances.tolist() == pytest.approx(expected, rel=1e-5)


def test_mean_squared_distance_is_the_mean_of_squares_per_patch() -> None:
    local, heard = torch.randn(2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))

    distances = feature_distances(local, heard, "mean_squared")

    for n in (0, 1):
        pairs = zip(local[n].flatten().tolist(), heard[n].flatten().tolist(), strict=True)
        squares = [(ours - theirs) ** 2 for ours, theirs in pairs]
        assert float(distances[n]) == pytest.approx(sum(squares) / len(squares), rel=1e-5)


@pytest.mark.parametrize("norm", ["euclidean", "mean_squared"])
def test_distance_moves_only_the_local_map(norm: Regularization) -> None:
    local = torch.randn(1, 3, 2, 2, requires_grad=True)
    heard = torch.randn(1, 3, 2, 2, requires_grad=True)

    feature_distances(local, heard, norm).sum().backward()  # type: ignore[no-untyped-call]

    assert heard.grad is None
    assert local.grad is not None
    assert local.grad.any()


def test_maps_that_agree_have_finite_gradients() -> None:
    local = torch.ones(1, 3, 2, 2, requires_grad=True)

    distance = feature_distances(local, torch.ones(1, 3, 2, 2), "euclidean")
    distance.sum().backward()  # type: ignore[no-untyped-call]

    assert local.grad is not None
    assert not local.grad.any()
