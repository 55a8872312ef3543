"""Every way to compute a patch's scores that is compared: what is timed, and what it needs first.

A way is told how many patches run at once, and gives the run. All that does not belong to a patch
(the thumbnail's passes, weights that move to the device) has happened before.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.plain_step import Crop, convolve, cropping, pyramid, to_size
from glnet.errors import ConfigurationError
from glnet.geometry import PatchGrid, Size, Window
from glnet.model.answers import Answer
from glnet.model.build import build_glnet
from glnet.model.collapse import collapse
from glnet.model.config import Architecture, Framing
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures
from glnet.model.forms import Form, PlainForm, WholeOutput
from glnet.model.glnet import GLNet, required
from glnet.model.merging import Merger
from glnet.model.moving import moved

Run = Callable[[], Tensor | tuple[Tensor, ...]]
Way = Callable[[int], Run]
"""From a number of patches to what is timed, which runs once."""

CLASSES, BANDS = 7, 3
SCENE, PATCH = 2448, 508
"""The paper's image, and a patch of it; for other patches the scene shrinks as well."""

BACKBONE = "backbone"
NETWORKS = {
    "local": Architecture(branches="local", sharing="none", aggregation=False),
    "aggregation": Architecture(sharing="none"),
    "global-to-local": Architecture(sharing="global_to_local"),
    "bidirectional": Architecture(),
}
FORMS = ("plain", "hearing", "collapsed")
OTHERS = {"smp-fpn": "FPN", "smp-unet": "Unet", "smp-deeplabv3plus": "DeepLabV3Plus"}
"""Classes of segmentation_models_pytorch (smp)."""
SMP = "segmentation_models_pytorch"

NAMES = (BACKBONE, *(f"{of}-{form}" for of in NETWORKS for form in FORMS), *OTHERS)


@dataclass(frozen=True)
class Scene:
    """Noise of one image.

    Attributes:
        grid: Its patches.
        places: Of all patches, from the middle of the image on.
        thumbnail: (1, bands, h, w).
        patches: As many as ever run at once: (N, bands, h, w).
    """

    grid: PatchGrid
    places: list[PatchIndex]
    thumbnail: Tensor
    patches: Tensor

    @property
    def exchange(self) -> Exchange:
        """A new way between the frames."""
        return Exchange(self.grid, "exact")

    def windows(self, patches: int) -> list[Window]:
        """The first ones."""
        return [self.grid.window(*place) for place in self.places[:patches]]


def make_scene(patch: int, patches: int, device: str, dtype: torch.dtype) -> Scene:
    """Draw as many patches of that side as shall run at once.

    Raises:
        ConfigurationError: If the scene has not so many, or a patch cannot have that side.
    """
    side = SCENE * patch // PATCH
    framing = Framing(patch_size=patch, thumbnail_size=patch, overlap=patch // 10)
    grid = framing.grid(Size(side, side))
    if patches > len(grid):
        raise ConfigurationError(
            f"the scene has {len(grid)} patches, {patches} were asked for at once; ask for fewer"
        )
    middle = len(grid) // 2 + len(grid.columns) // 2
    places = grid.places[middle:] + grid.places[:middle]
    noise = torch.Generator().manual_seed(0)
    thumbnail = torch.randn(1, BANDS, patch, patch, generator=noise)
    pixels = torch.randn(patches, BANDS, patch, patch, generator=noise)
    return Scene(grid, places, thumbnail.to(device, dtype), pixels.to(device, dtype))


def build_ways(
    backbone: str, scene: Scene, names: set[str], device: str, dtype: torch.dtype
) -> dict[str, Way]:
    """The bare backbone, and the ways of these names that can be had here (`is_missing`).

    Raises:
        ConfigurationError: If timm lacks the backbone.
    """
    ways = {BACKBONE: _bare(_network("local", backbone), scene, device, dtype)}
    for of in NETWORKS:
        wanted = [form for form in FORMS if f"{of}-{form}" in names]
        if not wanted:
            continue
        network = _network(of, backbone)
        for form in wanted:
            make = {"plain": _plain, "hearing": _hearing, "collapsed": _collapsed}[form]
            ways[f"{of}-{form}"] = make(network, scene, device, dtype)
    for name in OTHERS:
        if name in names and not is_missing(name, backbone):
            ways[name] = _other(name, backbone, scene, device, dtype)
    return ways


def is_missing(name: str, backbone: str) -> bool:
    """Whether a network of smp cannot be had: smp is not installed, or has no such backbone."""
    if name not in OTHERS:
        return False
    return find_spec(SMP) is None or backbone not in import_module(SMP).encoders.encoders


def _network(name: str, backbone: str) -> GLNet:
    """Fresh weights do not change the cost."""
    torch.manual_seed(0)
    return build_glnet(replace(NETWORKS[name], backbone=backbone), BANDS, CLASSES).eval()


# The bare backbone and other networks


def _bare(network: GLNet, scene: Scene, device: str, dtype: torch.dtype) -> Way:
    backbone = moved(required(network.local, "local branch").backbone, device, dtype)
    return lambda patches: partial(backbone, scene.patches[:patches])


def _other(name: str, backbone: str, scene: Scene, device: str, dtype: torch.dtype) -> Way:
    make = getattr(import_module(SMP), OTHERS[name])
    network = make(encoder_name=backbone, encoder_weights=None, classes=CLASSES)
    network = moved(network, device, dtype).eval()
    more = other_side(name, scene.patches.shape[-1]) - scene.patches.shape[-1]
    pixels = functional.pad(scene.patches, (0, more, 0, more))
    return lambda patches: partial(network, pixels[:patches])


def other_side(name: str, patch: int) -> int:
    """The side of what enters a network of smp: some insist on a multiple of 32."""
    of = getattr(import_module(SMP), OTHERS[name])
    return -(-patch // 32) * 32 if getattr(of, "requires_divisible_input_shape", True) else patch


# Forms of glnet


def _hearing(network: GLNet, scene: Scene, device: str, dtype: torch.dtype) -> Way:
    return _form_way(PlainForm(network, device, dtype), scene)


def _collapsed(network: GLNet, scene: Scene, device: str, dtype: torch.dtype) -> Way:
    return _form_way(collapse(network, BANDS, device, dtype), scene)


def _form_way(form: Form, scene: Scene) -> Way:
    """A patch as `Passes` runs it, without reading its pixels and keeping its scores."""
    wholes, exchange = _wholes(form, scene), scene.exchange

    def way(patches: int) -> Run:
        merger = _merger(form, wholes.first, exchange, scene.places[:patches])
        return partial(_form_scores, form, scene, exchange, wholes, merger, patches)

    return way


class _Wholes(NamedTuple):
    """What is known of the thumbnail.

    Attributes:
        first: Seen before the patches, which hear it.
        last: What the scores' far part comes from; the refined branch's, if there is one.
    """

    first: WholeOutput | None
    last: WholeOutput | None


def _wholes(form: Form, scene: Scene) -> _Wholes:
    """Run the thumbnail's passes; one patch is merged for all, since contents cost nothing."""
    if Answer.GLOBAL not in form.answers:
        return _Wholes(None, None)
    wanted = form.answers[-1:]
    whole = form.see_whole(scene.thumbnail, () if form.hears_patches else wanted)
    places, exchange = scene.places[:1], scene.exchange
    merger = _merger(form, whole, exchange, places)
    if merger is None:
        return _Wholes(whole, whole)
    output = form.see_patches(scene.patches[:1], whole, exchange, places, wanted)
    merger.add(output.features, places)
    merged = merger.merged(scene.thumbnail.dtype)
    return _Wholes(whole, form.see_again(scene.thumbnail, merged, wanted))


def _merger(
    form: Form, whole: WholeOutput | None, exchange: Exchange, places: list[PatchIndex]
) -> Merger | None:
    if not form.hears_patches:
        return None
    return Merger(exchange, required(whole, "context branch").features, places)


def _form_scores(
    form: Form,
    scene: Scene,
    exchange: Exchange,
    wholes: _Wholes,
    merger: Merger | None,
    patches: int,
) -> Tensor:
    pixels, places, answer = scene.patches[:patches], scene.places[:patches], form.answers[-1]
    output = form.see_patches(pixels, wholes.first, exchange, places, (answer,))
    if merger is not None:
        merger.add(output.features, places)
    scores = output.scores[answer]
    del output  # The far part of the bidirectional form comes when the patch's maps are gone.
    if answer is not Answer.AGGREGATED:
        return scores
    far = form.far_part(required(wholes.last, "far part"), exchange, scores.shape, places)
    return scores + far


# The plain form, as the literature draws it


def _plain(network: GLNet, scene: Scene, device: str, dtype: torch.dtype) -> Way:
    """Bring, concatenate, convolve (`plain_step.py`); only the wanted answer is computed."""
    wholes = _wholes(PlainForm(network, device), _in_float32(scene))
    local, far = required(network.local, "local branch"), None
    context = canvas = None
    if wholes.first is not None and wholes.last is not None:
        features = wholes.first.features.map(lambda _, of: of.to(dtype))
        context = features.only(local.fpn.listens_to)
        far = required(wholes.last.far, "fused map").to(dtype)
        if network.refined is not None:
            canvas = features.map(lambda _, of: torch.zeros_like(of, dtype=torch.float32))
    given = _Given(moved(network, device, dtype), context, canvas, far)

    @cache  # what a crop knows of its places is no part of a run, as with an exchange's matrices
    def crop(patches: int) -> Crop:
        return cropping(scene.windows(patches), scene.grid.raster)

    def way(patches: int) -> Run:
        return partial(_plain_scores, given, scene, crop(patches), patches)

    return way


def _in_float32(scene: Scene) -> Scene:
    return replace(scene, thumbnail=scene.thumbnail.float(), patches=scene.patches.float())


class _Given(NamedTuple):
    """What the plain form knows before a patch.

    Attributes:
        network: Whose weights they are.
        context: The maps that a patch hears.
        canvas: The maps that it is merged into.
        far: The fused map (1, C, h, w) that is aggregated.
    """

    network: GLNet
    context: BranchFeatures | None
    canvas: BranchFeatures | None
    far: Tensor | None


def _plain_scores(given: _Given, scene: Scene, crop: Crop, patches: int) -> Tensor:
    local = required(given.network.local, "local branch")
    own = local.backbone(scene.patches[:patches])
    features, fused = pyramid(local.fpn, own, given.context, crop)
    if given.canvas is not None:
        merge(given.canvas, features, scene.windows(patches), scene.grid.raster)
    del own, features
    if given.far is None:
        return convolve(local.classify, fused)
    aggregation = required(given.network.aggregation, "aggregation layer")
    return convolve(aggregation, fused, crop(given.far, fused))


def merge(
    canvas: BranchFeatures, features: BranchFeatures, windows: list[Window], raster: Size
) -> None:
    """Shrink every map to the cells under its patch and add it there, as the published code does.

    Args:
        canvas: Maps (1, C, S, T) in the thumbnail's frame; they change.
        features: Maps (P, C, h, w).
        windows: Of the patches.
        raster: That they lie in.
    """
    for targets, levels in zip(canvas, features, strict=True):
        for target, maps in zip(targets, levels, strict=True):
            for at, of in zip(windows, maps, strict=True):
                rows = _cells(at.row, at.size.height, raster.height, target.shape[-2])
                columns = _cells(at.column, at.size.width, raster.width, target.shape[-1])
                place = target[:, :, rows, columns]
                place += to_size(of[None], place)


def _cells(start: int, patch: int, length: int, cells: int) -> slice:
    """The rows (or columns) of a global map that belong to a patch; at least one."""
    first = min(round(start / length * cells), cells - 1)
    return slice(first, first + max(1, round(cells * patch / length)))
