"""Any segmentation network in a branch's place: pixels in, logits out; nothing is shared."""

import math
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from glnet.errors import InputMismatchError
from glnet.model.branch import AnyBranch, BranchOutput, Listen
from glnet.model.compiling import Compiling
from glnet.model.features import BranchFeatures
from glnet.model.resampling import Axis, crop_matrices

NOTHING_SHARED = BranchFeatures((), (), (), ())


class NetworkBranch(AnyBranch):
    """A network that hears nobody and offers nothing.

    Where the network's sides must be multiples of a number, pixels are continued by their edge,
    below and to the right, and what it says there is cut off.

    Args:
        network: Takes (N, bands, h, w), gives logits (N, K, any, any); or a mapping that has them
            as ``out`` (torchvision), an object that has them as ``logits``, or a tuple of them and
            of auxiliary logits.
        classes: K.
        stride: Pixels along each side of a cell of the branch's logits; finer ones are averaged.
        divisor: What the sides of the network's pixels must be multiples of.
        auxiliary_weights: Of the losses of the auxiliary logits, if any.
    """

    def __init__(
        self,
        network: nn.Module,
        classes: int,
        stride: int,
        divisor: int = 1,
        auxiliary_weights: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.auxiliary_weights = auxiliary_weights
        self._classes = classes
        self._stride = stride
        self._divisor = divisor

    def forward(self, pixels: Tensor, listen: Listen | None = None) -> BranchOutput:
        """Run the network on normalised pixels (N, bands, H, W).

        Raises:
            InputMismatchError: If what comes out are no logits of the classes.
        """
        del listen
        height, width = pixels.shape[-2:]
        more = [-side % self._divisor for side in (height, width)]
        whole = functional.pad(pixels, (0, more[1], 0, more[0]), mode="replicate")
        logits, *auxiliary = (
            _cut(of, whole, pixels) for of in _answers(self.network(whole), whole, self._classes)
        )
        cells = [
            min(found, math.ceil(side / self._stride))
            for found, side in zip(logits.shape[-2:], (height, width), strict=True)
        ]
        if cells != list(logits.shape[-2:]):
            logits = functional.adaptive_avg_pool2d(logits, (cells[0], cells[1]))
        return BranchOutput(NOTHING_SHARED, logits[:, :0], logits, tuple(auxiliary))

    def compile_with(self, compiling: Compiling) -> None:
        """Have torch.compile make code for the network."""
        self.network = compiling.of(self.network)


def _cut(logits: Tensor, whole: Tensor, pixels: Tensor) -> Tensor:
    """The logits of the first pixels of a whole, in cells of about the same size.

    Where the last pixel ends within a cell, the cells are brought to their new places bilinearly.
    """
    for dim in (-2, -1):
        cells, length, extent = logits.shape[dim], whole.shape[dim], pixels.shape[dim]
        wanted = -(-extent * cells // length)
        if wanted * length == extent * cells:
            logits = logits.narrow(dim, 0, wanted)
            continue
        matrix = crop_matrices(Axis(length, extent, (0,)), cells, wanted, "exact")[0]
        moved = matrix.to(logits) @ logits.movedim(dim, -2)
        logits = moved.movedim(-2, dim)
    return logits


def _answers(output: object, pixels: Tensor, classes: int) -> tuple[Tensor, ...]:
    """The logits that a network gave, the auxiliary ones behind them."""
    if isinstance(output, tuple) and all(isinstance(of, Tensor) for of in output) and output:
        found = cast(tuple[Tensor, ...], output)
    else:
        found = (_main_answer(output),)
    for logits in found:
        if logits.ndim != 4 or logits.shape[:2] != (len(pixels), classes):
            raise InputMismatchError(
                f"the network must give logits (N, classes, height, width) of {len(pixels)} images "
                f"and {classes} classes, it gave {tuple(logits.shape)}"
            )
    return found


def _main_answer(output: object) -> Tensor:
    if isinstance(output, dict):
        output = output.get("out")
    logits = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise InputMismatchError(
            "the network must give logits (N, classes, height, width), a mapping with 'out', an "
            f"object with logits or a tuple of logits; it gave {type(output).__name__}"
        )
    return logits
