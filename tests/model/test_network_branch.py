"""A network in a branch's place: any size of pixels, and logits that lie where they should."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from glnet.errors import ConfigurationError
from glnet.model.branch import BranchOutput
from glnet.model.config import Architecture, CoarseToFine, ModelConfig
from glnet.model.network_branch import NetworkBranch
from tests.model.tiny import CLASSES


class Shrinking(nn.Module):
    """The first bands, averaged over squares; refuses what is no multiple of a square."""

    def __init__(self, classes: int, side: int, *, auxiliary: bool = False) -> None:
        super().__init__()
        self.classes, self.side, self.auxiliary = classes, side, auxiliary

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        assert not any(side % self.side for side in pixels.shape[-2:])
        logits = functional.avg_pool2d(pixels[:, : self.classes], self.side)
        return (logits, functional.avg_pool2d(logits, 2)) if self.auxiliary else (logits,)


def _ramp(height: int, width: int) -> Tensor:
    """Values that rise evenly down and to the right, by one a pixel."""
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    return torch.stack([rows[:, None].expand(-1, width), columns.expand(height, -1)])[None]


def test_sizes_that_fit_are_the_networks_own() -> None:
    pixels = torch.rand(2, 3, 24, 32)

    output: BranchOutput = NetworkBranch(Shrinking(3, 8), 3, 8, 8)(pixels)

    assert torch.equal(output.logits, functional.avg_pool2d(pixels, 8))


@pytest.mark.parametrize(("height", "width"), [(20, 33), (8, 9), (50, 24)])
def test_cells_of_other_sizes_lie_where_their_pixels_are(height: int, width: int) -> None:
    branch = NetworkBranch(Shrinking(2, 8), 2, 8, 8)

    logits = branch(_ramp(height, width)).logits[0]

    rows, columns = -(-height // 8), -(-width // 8)
    assert logits.shape[-2:] == (rows, columns)
    # A cell's value is the place of its centre; beyond those of the outer cells nothing is known.
    centres = (torch.arange(rows) + 0.5) * height / rows
    inner = (centres >= 4) & (centres + 8 < height)
    assert torch.allclose(logits[0, inner, 0], centres[inner], atol=1e-3)


def test_auxiliary_logits_are_cut_like_the_others() -> None:
    branch = NetworkBranch(Shrinking(2, 8, auxiliary=True), 2, 8, 16, (0.5,))

    output = branch(_ramp(40, 32))

    assert output.logits.shape[-2:] == (5, 4)
    (auxiliary,) = output.auxiliary
    assert auxiliary.shape[-2:] == (3, 2)
    # Cells of 40 / 3 pixels; the last hears the continued edge.
    assert torch.allclose(auxiliary[0, 0, :2, 0], torch.tensor([8.0, 20.0]), atol=1e-3)


@pytest.mark.parametrize("side", [66, 250, 64])
def test_averaged_logits_lie_where_their_pixels_are(side: int) -> None:
    logits = NetworkBranch(nn.Identity(), 2, 8)(_ramp(side, side)).logits[0]

    cells = -(-side // 8)
    centres = (torch.arange(cells) + 0.5) * side / cells
    # The borders of averaged squares are whole pixels.
    assert torch.allclose(logits[0, :, 0], centres, atol=0.51)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "branches: local"),
        ({"branches": "local"}, "sharing: none"),
    ],
)
def test_a_compared_network_shares_nothing(changes: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Architecture(network="unet", **changes)  # type: ignore[arg-type]


def test_a_compared_network_draws_no_boxes() -> None:
    alone = Architecture(network="unet", branches="local", sharing="none", aggregation=False)

    with pytest.raises(ConfigurationError, match="coarse_to_fine is GLNet's"):
        ModelConfig(classes=CLASSES[:2], architecture=alone, coarse_to_fine=CoarseToFine())
