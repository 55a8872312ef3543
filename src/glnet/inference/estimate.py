"""What a prediction will take, found by running its passes with tensors that have no content.

Tensors on torch's ``meta`` device have a shape and a type, and no memory; they stand for those on
the device, which need not be here. The passes, the form and the stitching are those of a
prediction, so what is counted is what a prediction does. All batches of patches are alike, so that
two of them tell the rest. (torch's fake tensors know their device as well; nothing here asks.)
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from glnet.errors import ConfigurationError
from glnet.geometry import Size, Window
from glnet.inference.forming import dtype_of, form_of
from glnet.inference.live_bytes import LiveBytes
from glnet.inference.passes import Passes
from glnet.inference.prediction import TURNS, Prediction, View
from glnet.inference.settings import Settings
from glnet.model.checkpoint import Model
from glnet.model.config import ModelConfig
from glnet.model.exchange import Exchange
from glnet.model.forms import answers_of
from glnet.model.moving import moved
from glnet.raster import UPRIGHT

META = torch.device("meta")

BATCHES = 2
"""So many are run: the second one shows what the first has left behind."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a prediction of one image takes.

    Attributes:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        patches: How many there are.
        patch_batch: How many run at once.
        device: Where the network runs.
        precision: In which numbers it computes.
        form: ``collapsed`` or ``plain``.
        device_bytes: The most that tensors take on the device at once, weights included. What
            libraries take within one operation, and what a GPU's driver takes, is not in it.
        scratch_bytes: On disk, while it runs.
        multiply_adds: Of convolutions and matrix products, for the whole image.
    """

    height: int
    width: int
    patches: int
    patch_batch: int
    device: str
    precision: str
    form: str
    device_bytes: int
    scratch_bytes: int
    multiply_adds: int

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def estimate(model: Model, size: Size, settings: Settings) -> Estimate:
    """Estimate a prediction of the model's own answer.

    Args:
        model: Its weights may be of any values.
        size: Of the image.
        settings: Resolved but for the device, which need not be here.

    Raises:
        ConfigurationError: If a setting cannot be.
    """
    if not settings.collapse and settings.precision != "float32":
        raise ConfigurationError("the plain form is estimated in float32 only")
    grid = model.config.framing.grid(size)
    batch = min(settings.patch_batch, len(grid))
    contentless = replace(settings, device=META.type)
    wanted = answers_of(model.network)[-1:]
    formed = form_of(_with_weights_where_they_count(model, settings), contentless)
    counts = _Counts()
    with (
        torch.inference_mode(),
        FlopCounterMode(display=False) as counter,
        LiveBytes(META.type) as live,  # the inner one: the other takes operations to pieces
    ):
        counts.total = counter.get_total_flops
        passes = Passes(
            formed.form,
            Exchange(grid, model.config.framing.sampling),
            grid.places[: BATCHES * batch],
            wanted,
            _ContentlessPixels(model.config, contentless),
            _Nowhere,
        )
        logits = passes.run(batch, counts.note)
        counts.end()
        kept = passes.kept
        view = View(UPRIGHT, grid, model.config.framing.sampling, logits, kept)
        prediction = Prediction(size, [view])
        strip = Window(0, 0, Size(min(prediction.strip_height(), size.height), size.width))
        prediction.best(wanted[0], strip, META)
    is_on_cpu = torch.device(settings.device).type == "cpu"
    patches = len(grid) if model.network.local is not None else 0
    on_host = sum(of.numel() * of.element_size() for of in model.network.state_dict().values())
    return Estimate(
        height=size.height,
        width=size.width,
        patches=patches,
        patch_batch=batch,
        device=settings.device,
        precision=settings.precision,
        form=formed.name,
        device_bytes=live.peak + (on_host if is_on_cpu else 0),
        scratch_bytes=sum(4 * patches * of.frame.numel() for of in kept.values())
        * len(TURNS[settings.turns]),
        multiply_adds=counts.of_all(patches) // 2 * len(TURNS[settings.turns]),
    )


def _with_weights_where_they_count(model: Model, settings: Settings) -> Model:
    """The model with weights that are on the device already, if that is the host.

    Otherwise every branch's weights come to the device when they are needed, and count there.
    """
    if torch.device(settings.device).type != "cpu":
        return model
    return Model(moved(model.network, META, torch.float32), model.config)


class _ContentlessPixels:
    """Thumbnails and patches of the right sizes."""

    def __init__(self, config: ModelConfig, settings: Settings) -> None:
        self._config = config
        self._settings = settings

    def thumbnail(self) -> Tensor:
        return self._pixels(1, self._config.framing.thumbnail_size)

    def patches(self, indices: Sequence[int]) -> Tensor:
        return self._pixels(len(indices), self._config.framing.patch_size)

    def _pixels(self, number: int, side: int) -> Tensor:
        return torch.empty(
            number,
            self._config.normalization.bands,
            side,
            side,
            dtype=dtype_of(self._settings),
            device=self._settings.device,
        )


class _Nowhere:
    """A scratch that keeps nothing."""

    def __init__(self, frame: torch.Size) -> None:
        self.frame = frame

    @property
    def classes(self) -> int:
        return self.frame[0]

    def write(self, patch: int, scores: Tensor) -> None:
        pass

    def add(self, patch: int, scores: Tensor) -> None:
        pass

    def read(self, patch: int, device: torch.device) -> Tensor:
        del patch
        return torch.empty(self.frame, device=device)

    def close(self) -> None:
        pass


class _Counts:
    """Counts operations phase by phase; every batch takes what one takes."""

    def __init__(self) -> None:
        self.total: Callable[[], int] = lambda: 0
        self._phases: dict[str, list[tuple[int, int]]] = {}
        self._all = 0

    def note(self, phase: str, done: int, total: int) -> None:
        """Told as `Passes.run` goes on."""
        del total  # of those that are run
        self._phases.setdefault(phase, []).append((done, self.total()))

    def end(self) -> None:
        """Everything has run."""
        self._all = self.total()

    def of_all(self, patches: int) -> int:
        """Of so many patches, by what the last batch took beyond the ones before it."""
        extra = 0
        for noted in self._phases.values():
            if len(noted) < 2:
                continue
            (before, less), (done, more) = noted[-2:]
            extra += (more - less) * (patches - done) // max(1, done - before)
        return self._all + extra
