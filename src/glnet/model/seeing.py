"""A network of one branch seeing the raster another way than it was trained to.

The paper tests the networks that it compares with both on patches and on whole images (Table 3).
What one branch has learnt serves either: only where its pixels come from differs, and how large
they are.
"""

from dataclasses import dataclass, replace
from typing import Literal

from glnet.errors import ConfigurationError
from glnet.model.branch import AnyBranch
from glnet.model.checkpoint import Model, StoredModel
from glnet.model.config import Branches, ModelConfig
from glnet.model.glnet import GLNet

ATTRIBUTES: dict[Branches, str] = {"local": "local", "global": "context"}
"""The attribute of `GLNet` that is the one branch."""


@dataclass(frozen=True)
class Seeing:
    """What of a raster enters a network of one branch at once.

    Attributes:
        what: Patches of it, or all of it, shrunk or enlarged to a square.
        side: Of the patch, or of the square, in pixels.
    """

    what: Literal["patches", "whole"]
    side: int


def seeing(model: Model, how: Seeing) -> Model:
    """The model, seeing rasters in this way.

    Raises:
        ConfigurationError: If it has several branches, or the side is impossible.
    """
    config = _config(model.config, how)
    branch: AnyBranch = getattr(model.network, ATTRIBUTES[model.config.architecture.branches])
    context, local = (branch, None) if how.what == "whole" else (None, branch)
    return Model(GLNet(context, local, None, None, stride=model.network.stride), config)


def stored_seeing(stored: StoredModel, how: Seeing) -> StoredModel:
    """The same for a model whose weights stay on disk.

    Raises:
        ConfigurationError: As `seeing`.
    """
    model = seeing(stored.model, how)
    ours = ATTRIBUTES[model.config.architecture.branches]
    theirs = ATTRIBUTES[stored.model.config.architecture.branches]
    return StoredModel(model, stored.folder, {ours: theirs})


def _config(config: ModelConfig, how: Seeing) -> ModelConfig:
    architecture, framing = config.architecture, config.framing
    if architecture.branches == "both" or config.coarse_to_fine is not None:
        raise ConfigurationError(
            "only a network of one branch can see patches or the whole image as you like; this "
            "model sees both, in the sizes that it was trained with"
        )
    if how.what == "whole":
        return replace(
            config,
            architecture=replace(architecture, branches="global"),
            framing=replace(framing, thumbnail_size=how.side),
            # Else images far larger than those of the training would be cut into regions.
            training_extent=None,
        )
    overlap = framing.overlap * how.side // framing.patch_size
    return replace(
        config,
        architecture=replace(architecture, branches="local"),
        framing=replace(framing, patch_size=how.side, overlap=overlap),
    )
