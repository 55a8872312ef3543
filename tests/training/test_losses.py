import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from glnet.data import IGNORE_INDEX
from glnet.training.losses import feature_distance, focal_loss


def drawn(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (2, 3, 4, 5), and labels of which about a quarter is ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 3, 4, 5, generator=generator)
    labels = torch.randint(0, 4, (2, 4, 5), generator=generator)
    return logits, torch.where(labels == 3, IGNORE_INDEX, labels).to(torch.uint8)


def slow_focal_loss(logits: Tensor, labels: Tensor, gamma: float) -> float:
    terms: list[float] = []
    for n, row, column in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
        label = int(labels[n, row, column])
        if label != IGNORE_INDEX:
            powers = [math.exp(score) for score in logits[n, :, row, column].tolist()]
            p = powers[label] / sum(powers)
            terms.append((1 - p) ** gamma * -math.log(p))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 6.0])
def test_focal_loss_is_the_formula_pixel_by_pixel(gamma: float) -> None:
    logits, labels = drawn()

    loss = focal_loss(logits, labels, gamma)

    assert float(loss) == pytest.approx(slow_focal_loss(logits, labels, gamma), rel=1e-5)


def test_focal_loss_with_gamma_0_is_cross_entropy() -> None:
    logits, labels = drawn()

    loss = focal_loss(logits, labels, 0.0)

    torch.testing.assert_close(
        loss, functional.cross_entropy(logits, labels.long(), ignore_index=IGNORE_INDEX)
    )


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

    distance = feature_distance(local, heard, "euclidean")

    assert float(distance) == pytest.approx(sum(norms) / 2 / math.sqrt(3 * 4 * 5), rel=1e-5)


def test_mean_squared_distance_is_the_mean_of_squares() -> None:
    local, heard = torch.randn(2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    pairs = zip(local.flatten().tolist(), heard.flatten().tolist(), strict=True)
    squares = [(ours - theirs) ** 2 for ours, theirs in pairs]

    distance = feature_distance(local, heard, "mean_squared")

    assert float(distance) == pytest.approx(sum(squares) / len(squares), rel=1e-5)


@pytest.mark.parametrize("norm", ["euclidean", "mean_squared"])
def test_distance_moves_only_the_local_map(norm: str) -> None:
    local = torch.randn(1, 3, 2, 2, requires_grad=True)
    heard = torch.randn(1, 3, 2, 2, requires_grad=True)

    feature_distance(local, heard, norm).backward()  # type: ignore[arg-type, no-untyped-call]

    assert heard.grad is None
    assert local.grad is not None
    assert local.grad.any()


def test_maps_that_agree_have_finite_gradients() -> None:
    local = torch.ones(1, 3, 2, 2, requires_grad=True)

    feature_distance(local, torch.ones(1, 3, 2, 2), "euclidean").backward()  # type: ignore[no-untyped-call]

    assert local.grad is not None
    assert not local.grad.any()
