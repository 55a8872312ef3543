"""What the paper's tables compare: every network as changes to a training configuration.

A method is trained once, whatever tables and figures show it. Some go on from another one's model,
so that what two of them share is trained once.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from glnet.baselines.building import NetworkName

Sees = Literal["patches", "whole", "both"]
"""What enters the network: patches, the whole image as a thumbnail, or GLNet's both."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A network to train and measure.

    Attributes:
        key: Its name in folders and on the command line.
        label: Its name in tables.
        sees: What enters it.
        changes: To the training configuration, as typed behind ``glnet train``.
        start: The key of the method whose model it goes on from.
        network: Which network it is.
    """

    key: str
    label: str
    sees: Sees
    changes: tuple[str, ...] = ()
    start: str | None = None
    network: NetworkName | Literal["glnet"] = "glnet"


def _changes(**architecture: str) -> tuple[str, ...]:
    return tuple(f"--architecture.{key}={value}" for key, value in architecture.items())


NOTHING_SHARED = {"sharing": "none", "aggregation": "false"}
GLOBAL = _changes(branches="global", **NOTHING_SHARED)
LOCAL = _changes(branches="local", **NOTHING_SHARED)
UNSHARED = _changes(sharing="none")
SHALLOW = _changes(sharing="global_to_local", sharing_depth="shallow")
DEEP = _changes(sharing="global_to_local")
BOXES = ("--coarse_to_fine.boxes=one",)

GLNETS = (
    Method(key="global_only", label="Global only", sees="whole", changes=GLOBAL),
    Method(key="local_only", label="Local only", sees="patches", changes=LOCAL),
    Method(
        key="aggregation",
        label="GLNet: Agg",
        sees="both",
        changes=(*UNSHARED, "--loss.regularization=0"),
        start="global_only",
    ),
    Method(
        key="regularization",
        label="GLNet: Agg, Fmreg",
        sees="both",
        changes=UNSHARED,
        start="global_only",
    ),
    Method(
        key="shallow",
        label="GLNet: global to local, shallow",
        sees="both",
        changes=SHALLOW,
        start="global_only",
    ),
    Method(
        key="deep",
        label="GLNet: global to local",
        sees="both",
        changes=DEEP,
        start="global_only",
    ),
    Method(key="bidirectional", label="GLNet: both directions", sees="both", start="deep"),
    Method(
        key="global_only_boxes",
        label="Global only, box",
        sees="whole",
        changes=(*GLOBAL, *BOXES),
        start="global_only",
    ),
    Method(
        key="local_only_boxes",
        label="Local only, box",
        sees="patches",
        changes=(*LOCAL, *BOXES),
        start="global_only",
    ),
    Method(
        key="deep_boxes",
        label="GLNet: global to local, box",
        sees="both",
        changes=(*DEEP, *BOXES),
        start="global_only_boxes",
    ),
    Method(
        key="bidirectional_boxes",
        label="GLNet: both directions, box",
        sees="both",
        changes=BOXES,
        start="deep_boxes",
    ),
)

NAMES: dict[NetworkName, str] = {
    "unet": "U-Net",
    "icnet": "ICNet",
    "pspnet": "PSPNet",
    "segnet": "SegNet",
    "deeplabv3plus": "DeepLabv3+",
    "fcn8s": "FCN-8s",
    "fpn": "FPN",
}
"""As the paper writes them."""


def _compared() -> tuple[Method, ...]:
    ways: tuple[tuple[Literal["patches", "whole"], str, tuple[str, ...]], ...] = (
        ("patches", "patches", LOCAL),
        ("whole", "whole image", GLOBAL),
    )
    return tuple(
        Method(
            key=f"{network}_{sees}",
            label=f"{NAMES[network]}, {words}",
            sees=sees,
            changes=(*changes, f"--architecture.network={network}"),
            network=network,
        )
        for network in NAMES
        for sees, words, changes in ways
    )


METHODS = {method.key: method for method in (*GLNETS, *_compared())}
"""All of them, by their keys."""

assert set(NAMES) == set(get_args(NetworkName))
