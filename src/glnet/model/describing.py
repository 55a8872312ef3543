"""What a model is, in a few words."""

from glnet.model.config import Architecture, ModelConfig

BRANCHES = {
    "global": "global branch alone",
    "local": "local branch alone",
    "both": "global and local branch",
}
SHARING = {
    "none": "no sharing",
    "global_to_local": "{depth} sharing from global to local",
    "bidirectional": "{depth} sharing in both directions",
}


def in_words(config: ModelConfig) -> str:
    """The architecture, and whether boxes are refined or all of the image."""
    words = architecture_in_words(config.architecture)
    if config.coarse_to_fine is None:
        return words
    places = {"one": "one box", "each": "boxes"}[config.coarse_to_fine.boxes]
    return f"coarse to fine: a coarse branch, then in {places} around the foreground {words}"


def architecture_in_words(architecture: Architecture) -> str:
    """Such as "global and local branch, deep sharing in both directions, aggregated"."""
    if architecture.network != "glnet":
        sees = {"local": "patches", "global": "the whole image"}[architecture.branches]
        return f"{architecture.network}, which sees {sees}"
    parts = [BRANCHES[architecture.branches]]
    if architecture.branches == "both":
        parts.append(SHARING[architecture.sharing].format(depth=architecture.sharing_depth))
        parts.append("aggregated" if architecture.aggregation else "not aggregated")
    return ", ".join(parts)
