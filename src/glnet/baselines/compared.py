"""What all compared networks look like from outside."""

from torch import Tensor, nn

from glnet.errors import InputMismatchError


class ComparedNetwork(nn.Module):
    """A segmentation network with one map of logits, and how it divides an image.

    The logits are those of the network's own last stride, before they are enlarged to the image:
    whoever asks enlarges them in one way for all networks.

    Args:
        network: Takes (N, bands, H, W), gives logits, or a tuple with them first and the auxiliary
            logits behind.
        stride: Pixels per cell of its logits, along each side; a power of two.
        divisor: The sides of what it is given must be multiples of this.
        auxiliary_weights: Of its paper's auxiliary losses, in the order of the auxiliary logits.
    """

    def __init__(
        self,
        network: nn.Module,
        stride: int,
        divisor: int,
        auxiliary_weights: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.stride = stride
        self.divisor = divisor
        self.auxiliary_weights = auxiliary_weights

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Turn (N, bands, H, W) into logits (N, K, H / stride, W / stride).

        In training mode, auxiliary logits of coarser maps follow, one for each auxiliary weight.

        Raises:
            InputMismatchError: If a side is no multiple of the divisor.
        """
        height, width = pixels.shape[-2:]
        if height % self.divisor or width % self.divisor:
            raise InputMismatchError(
                f"expected sides that are multiples of {self.divisor}, got {height} x {width}; pad "
                "the image"
            )
        answers = self.network(pixels)
        return answers if isinstance(answers, tuple) else (answers,)
