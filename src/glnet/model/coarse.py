"""The coarse branch of a coarse-to-fine model as a model of its own."""

from dataclasses import replace

from glnet.errors import ConfigurationError
from glnet.model.checkpoint import Model, StoredModel
from glnet.model.glnet import GLNet


def coarse_of(model: Model) -> Model:
    """A model of the global branch alone: the coarse one.

    Raises:
        ConfigurationError: If it has none.
    """
    if model.network.coarse is None:
        raise ConfigurationError(
            "this model has no coarse branch; train one with coarse_to_fine in the configuration"
        )
    architecture = replace(
        model.config.architecture, branches="global", sharing="none", aggregation=False
    )
    # The extent is that of boxes.
    config = replace(
        model.config, architecture=architecture, coarse_to_fine=None, training_extent=None
    )
    return Model(GLNet(model.network.coarse, None, None, None), config)


def stored_coarse_of(stored: StoredModel) -> StoredModel:
    """The same for a model whose weights stay on disk.

    Raises:
        ConfigurationError: If it has none.
    """
    return StoredModel(coarse_of(stored.model), stored.folder, {"context": "coarse"})
