"""What a prediction takes in the host's memory besides tensors in the network."""

from dataclasses import dataclass
from functools import cache

from glnet.geometry import Size
from glnet.inference.machine import resident_host_bytes
from glnet.inference.settings import Settings
from glnet.model.config import ModelConfig
from glnet.raster import CACHE_BYTES, LABEL_TILE, STRIP_BYTES

LIBRARIES_BYTES = 128 * 2**20
"""What libraries take when they first run: kernels made for this CPU, workspaces, pools of threads.

This and `UNUSED_SHARE` are fitted to peaks of whole runs on one machine (`benchmarks/host.py`)."""

UNUSED_SHARE = 0.05
"""Of tensors in host memory: pieces of freed memory that the next tensor does not fit into."""


OVERVIEW_BYTES = 44 * 2**20
"""What GDAL took to make and check the overviews of 20,000 x 20,000 labels, beyond its cache."""

POLYGON_BYTES = 100 * 2**20
"""What polygons take while they are made (`benchmarks/vectors.py`), but for the largest one."""


@dataclass(frozen=True)
class Beside:
    """What is held beside a prediction by whoever asked for it, in bytes.

    Attributes:
        host: In host memory: a file that is decoded whole, a picture that is drawn.
        device: In tensors on the device, once the passes are done: what becomes of the labels.
    """

    host: int = 0
    device: int = 0

    def __add__(self, other: "Beside") -> "Beside":
        return Beside(self.host + other.host, self.device + other.device)

    def __le__(self, other: "Beside") -> bool:
        return self.host <= other.host and self.device <= other.device


NOTHING = Beside()


@cache
def program_bytes() -> int:
    """What this process takes by itself, before its first prediction; 0 if nobody knows."""
    return resident_host_bytes() or 0


def reading_bytes(config: ModelConfig, settings: Settings, batch: int) -> int:
    """Pixels on their way into the network, GDAL's cache and the thumbnail's strips."""
    framing, bands = config.framing, config.normalization.bands
    values = batch * bands * framing.patch_size**2
    # As float32, while the next are made: as read, stacked, and as two steps of normalisation.
    patches = values * (4 * (settings.ahead + 1) + 1 + 1 + 8)
    window = batch * bands * (framing.patch_size * framing.reduction) ** 2
    thumbnail = 8 * bands * framing.thumbnail_size**2 + 2 * STRIP_BYTES
    return CACHE_BYTES + max(patches + (window if framing.reduction > 1 else 0), thumbnail)


def writing_bytes(size: Size, settings: Settings, bands: int = 1) -> int:
    """Tiles of results on their way to the file, their counts, and GDAL making overviews."""
    tile = min(LABEL_TILE, size.height) * min(LABEL_TILE, size.width)
    waiting = (settings.ahead + 2) * bands * tile
    counts = 2 * 8 * 256 * min(LABEL_TILE, size.height)
    has_overviews = max(size.height, size.width) > LABEL_TILE
    return waiting + counts + (OVERVIEW_BYTES if has_overviews else 0)


def computing_bytes(tensors: int) -> int:
    """What computing on the CPU takes, with so many bytes of tensors."""
    return LIBRARIES_BYTES + round((1 + UNUSED_SHARE) * tensors)
