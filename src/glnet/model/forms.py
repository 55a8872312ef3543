"""What a prediction asks of a network, and the network answering as it was trained.

A form is a way to compute one network. `PlainForm` runs the branches as they are; `CollapsedForm`
(`collapse.py`) multiplies their linear heads out. Both give the same answers up to rounding.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from glnet.model.answers import Answer
from glnet.model.branch import BranchOutput
from glnet.model.compiling import Compiling
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures, HeardFeatures, Layer
from glnet.model.glnet import GLNet, required
from glnet.model.moving import moved


class WholeOutput(NamedTuple):
    """What a form computes for a thumbnail.

    Attributes:
        features: What patches hear of it; layers that they do not hear are empty.
        logits: (1, K, h, w), the branch's own answer, where it was wanted.
        far: (1, C, h, w), what `Form.far_part` takes, where that is wanted.
    """

    features: BranchFeatures
    logits: Tensor | None
    far: Tensor | None


class PatchOutput(NamedTuple):
    """What a form computes for a batch of patches.

    Attributes:
        features: What the refined branch hears of them; layers that it does not hear are empty.
        scores: (N, K, h, w) of every wanted answer. The aggregated one is the patches' own part:
            the far part is to be added.
    """

    features: BranchFeatures
    scores: Mapping[Answer, Tensor]


class Form(Protocol):
    """A way to compute a network, without gradients."""

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answers it can give; the last one is the network's own."""
        ...

    @property
    def hears_patches(self) -> bool:
        """Whether the thumbnail is seen again after the patches (bidirectional sharing)."""
        ...

    def see_whole(self, thumbnail: Tensor, wanted: Collection[Answer]) -> WholeOutput:
        """Run the context branch on (1, bands, h, w).

        Args:
            thumbnail: The whole raster.
            wanted: Of what the thumbnail gives: the global answer and the aggregated one's far
                part. With bidirectional sharing the network's own come from `see_again`.
        """
        ...

    def see_patches(
        self,
        pixels: Tensor,
        whole: WholeOutput | None,
        exchange: Exchange,
        places: Sequence[PatchIndex],
        wanted: Collection[Answer],
    ) -> PatchOutput:
        """Run the local branch on patches (N, bands, h, w), hearing the context."""
        ...

    def see_again(
        self, thumbnail: Tensor, merged: HeardFeatures, wanted: Collection[Answer]
    ) -> WholeOutput:
        """Run the refined branch on the thumbnail, hearing the merged patches."""
        ...

    def far_part(
        self,
        whole: WholeOutput,
        exchange: Exchange,
        frame: torch.Size,
        places: Sequence[PatchIndex],
    ) -> Tensor:
        """What the thumbnail adds to the aggregated scores of patches: (N, K, h, w)."""
        ...

    def compile(self) -> Compiling:
        """Have torch.compile make code for the backbone that runs most; tells what became of it.

        That of the patches, or of the thumbnail where there are no patches: code for what runs once
        per image would seldom pay.
        """
        ...


class PlainForm:
    """The network as it was trained; lower precision is torch's autocast.

    Args:
        network: Not changed.
        device: Where to compute.
        dtype: In which numbers.
    """

    def __init__(
        self,
        network: GLNet,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._network = moved(network, device, torch.float32).eval()
        self._device = torch.device(device)
        self._dtype = dtype
        self.answers = answers_of(network)
        self.hears_patches = network.refined is not None

    def compile(self) -> Compiling:
        """As `Form.compile`."""
        compiling = Compiling()
        getattr(self._network, most_seeing(self.answers)).compile_with(compiling)
        return compiling

    def see_whole(self, thumbnail: Tensor, wanted: Collection[Answer]) -> WholeOutput:
        """As `Form.see_whole`."""
        del wanted  # all are computed
        with self._numbers():
            output: BranchOutput = required(self._network.context, "context branch")(thumbnail)
        return self._whole(output)

    def see_patches(
        self,
        pixels: Tensor,
        whole: WholeOutput | None,
        exchange: Exchange,
        places: Sequence[PatchIndex],
        wanted: Collection[Answer],
    ) -> PatchOutput:
        """As `Form.see_patches`."""
        del wanted
        features = None if whole is None else whole.features
        aggregation = self._network.aggregation
        with self._numbers():
            output = self._network.see_patches(pixels, features, exchange, places)
            scores = {Answer.LOCAL: output.logits}
            if aggregation is not None:
                scores[Answer.AGGREGATED] = aggregation.own_part(output.fused)
        heard = shared_layers(self._network) if self.hears_patches else ()
        return PatchOutput(output.features.only(heard), scores)

    def see_again(
        self, thumbnail: Tensor, merged: HeardFeatures, wanted: Collection[Answer]
    ) -> WholeOutput:
        """As `Form.see_again`."""
        del wanted
        with self._numbers():
            output = self._network.see_again(thumbnail, merged)
        return self._whole(output)

    def far_part(
        self,
        whole: WholeOutput,
        exchange: Exchange,
        frame: torch.Size,
        places: Sequence[PatchIndex],
    ) -> Tensor:
        """As `Form.far_part`."""
        aggregation = required(self._network.aggregation, "aggregation layer")
        with self._numbers():
            heard = exchange.hear(required(whole.far, "fused map"), frame, places)
            return aggregation.heard_part(heard)

    def _whole(self, output: BranchOutput) -> WholeOutput:
        features = output.features.only(shared_layers(self._network))
        return WholeOutput(features, output.logits, output.fused)

    def _numbers(self) -> AbstractContextManager[object]:
        if self._dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self._device.type, self._dtype)


def answers_of(network: GLNet) -> tuple[Answer, ...]:
    """The answers a network can give; the last one is its own."""
    parts = (
        (Answer.GLOBAL, network.context),
        (Answer.LOCAL, network.local),
        (Answer.AGGREGATED, network.aggregation),
    )
    return tuple(answer for answer, part in parts if part is not None)


def most_seeing(answers: Collection[Answer]) -> str:
    """The attribute of `GLNet` that is the branch which runs most often, by the network's answers.

    That of the patches, where there is one.
    """
    return "local" if Answer.LOCAL in answers else "context"


def shared_layers(network: GLNet) -> frozenset[Layer]:
    """The layers that one of the branches hears of another."""
    listeners = (of for of in (network.local, network.refined) if of is not None)
    return frozenset[Layer]().union(*(of.listens_to for of in listeners))
