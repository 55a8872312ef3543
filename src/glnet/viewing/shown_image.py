"""An image with all that lies on it, open."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glnet.closing import Closing
from glnet.data.classes import ClassInfo
from glnet.errors import DatasetError, RasterError
from glnet.geometry import PatchGrid, Size, Window
from glnet.raster import Georeference, Palette, Raster, RasterFile, SlideRaster
from glnet.viewing.box_file import read_boxes
from glnet.viewing.finding import File, ImageFiles
from glnet.viewing.labels import LabelView, by_index, classes_of, decoding_of
from glnet.viewing.layers import Layer, LayerKind
from glnet.viewing.reducing import Fit, averaged, sampled
from glnet.viewing.shown_file import AS_IT_IS, Opening, ShownFile
from glnet.viewing.sources import GrowingLabels
from glnet.viewing.stretching import Stretch, stretch_of

Grids = Callable[[Size], Sequence[tuple[Window, PatchGrid]]]
"""Of a raster: the places in it that are seen by themselves, and the patches of each."""


@dataclass(frozen=True, kw_only=True)
class Showing:
    """How images are shown.

    Attributes:
        bands: Which, counted from 1; the first three by default.
        level: Of slides, 0 for the largest.
        mpp: Of slides, the micrometres per pixel, instead of a level.
        threshold: Masks of truth are class 1 above it, else class 0.
        grids: Where a model's patches lie.
    """

    bands: tuple[int, ...] | None = None
    level: int | None = None
    mpp: float | None = None
    threshold: float | None = None
    grids: Grids | None = None


@dataclass(frozen=True, eq=False)
class Running:
    """What a running segmentation gives of an image.

    Attributes:
        labels: Those that are written so far.
        classes: What they are called.
        grids: Its patches.
    """

    labels: GrowingLabels
    classes: tuple[ClassInfo, ...]
    grids: Sequence[tuple[Window, PatchGrid]]


class ShownImage(Closing):
    """The open files of an image, and its layers from the lowest to the topmost.

    Args:
        files: Which.
        showing: How.
        folder: For temporary files.
        running: What is being written of it, in place of the label map's file.

    Raises:
        RasterError: If a file cannot be opened, or is not of the kind it is named as.
        DatasetError: If a file has another size than the image.
        ConfigurationError: If what a truth means is not known.
    """

    def __init__(
        self, files: ImageFiles, showing: Showing, folder: Path, running: Running | None = None
    ) -> None:
        self.files, self.running = files, running
        self._showing, self._folder = showing, folder
        self._stack = ExitStack()
        self.opened: list[ShownFile] = []
        self.layers: list[Layer] = []
        self.classes: tuple[ClassInfo, ...] = ()
        self._own: dict[ShownFile, tuple[ClassInfo, ...]] = {}
        self._others: list[tuple[str, ShownFile]] = []
        self.labels: ShownFile | None = None
        self.truth: ShownFile | None = None
        self.confidence: ShownFile | None = None
        self.probabilities: ShownFile | None = None
        try:
            opening = Opening(bands=showing.bands, level=showing.level, mpp=showing.mpp)
            self.picture = self._open(files.image, averaged, opening)
            self._open_all()
        except BaseException:
            self.close()
            raise
        self._stretch: Stretch | None = None

    @property
    def name(self) -> str:
        """What it is called: the file without its folders."""
        return self.files.name

    @property
    def size(self) -> Size:
        """Height and width in pixels."""
        return self.picture.size

    @property
    def georeference(self) -> Georeference:
        """Where it lies on Earth."""
        return self.picture.file.georeference

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel of a slide."""
        file = self.picture.file
        return file.mpp if isinstance(file, SlideRaster) else None

    @property
    def grids(self) -> Sequence[tuple[Window, PatchGrid]]:
        """Where patches lie, if that is known."""
        if self.running is not None:
            return self.running.grids
        return () if self._showing.grids is None else self._showing.grids(self.size)

    @property
    def held_bytes(self) -> int:
        """Host memory that pixels take while it is open."""
        return sum(of.held_bytes for of in self.opened)

    @property
    def is_prepared(self) -> bool:
        """Whether all that takes long is done."""
        return all(of.is_prepared for of in self.opened)

    def prepare(self, goes_on: Callable[[], bool]) -> None:
        """Do what takes long, file by file; by one thread.

        Raises:
            RasterError: If a copy cannot be read.
        """
        for file in self.opened:
            if not file.is_prepared and goes_on():
                file.prepare(goes_on)
                self._learn_what_was_copied()

    def layer(self, number: int) -> Layer | None:
        """A layer, by its place; None where there is none. A picture's brightness is known now.

        Raises:
            RasterError: If the sample cannot be read from which that follows.
        """
        if not 0 <= number < len(self.layers):
            return None
        if self.layers[number].kind is LayerKind.PICTURE and self._stretch is None:
            pyramid = self.picture.pyramid
            if pyramid is None:
                return self.layers[number]
            self._stretch = stretch_of(pyramid, self.picture.file)
            self.layers[number] = self._picture_layer()
        return self.layers[number]

    @property
    def stretch(self) -> Stretch:
        """How the picture's bands become brightness, once that is known."""
        return self._stretch or Stretch()

    def boxes(self) -> tuple[Window, ...]:
        """The boxes that were refined, where they are saved.

        Raises:
            RasterError: If their file is none.
        """
        return () if self.files.boxes is None else read_boxes(self.files.boxes, self.size)

    def close(self) -> None:
        """Close all files. Closing twice is no error."""
        self._stack.close()

    def _open_all(self) -> None:
        files = self.files
        if self.running is not None:
            self.classes = self.running.classes
            self._require_size("the labels that are written", self.running.labels.size)
        elif files.labels is not None:
            self.labels = self._open_labels(files.labels)
        self._others = [(name, self._open_labels(path)) for name, path in files.others]
        self.truth = None if files.truth is None else self._open_truth(files.truth)
        self.confidence = self._open_scores(files.confidence, "confidence", 1)
        self.probabilities = self._open_scores(
            files.probabilities, "probabilities", len(self.classes) or None
        )
        self.layers = [self._picture_layer(), *self._layers_of_labels()]
        self.boxes()

    def _picture_layer(self) -> Layer:
        stretch = getattr(self, "_stretch", None) or Stretch()
        return Layer(LayerKind.PICTURE, "image", (self.picture,), stretch=stretch)

    def _layers_of_labels(self) -> Iterator[Layer]:
        classes = self.classes
        labels = self.running.labels if self.running is not None else self.labels
        for name, file in self._others:
            yield Layer(LayerKind.LABELS, name, (file,), self._own[file])
        if self.truth is not None:
            yield Layer(LayerKind.TRUTH, "truth", (self.truth,), classes)
        if labels is not None:
            yield Layer(LayerKind.LABELS, "labels", (labels,), classes)
        if self.confidence is not None:
            yield Layer(LayerKind.CONFIDENCE, "confidence", (self.confidence,))
        if labels is not None and self.truth is not None:
            yield Layer(LayerKind.ERRORS, "errors", (labels, self.truth), classes)

    def _open_labels(self, path: File) -> ShownFile:
        opening = Opening(palette=Palette.KEEP, view=lambda raster: LabelView(raster, by_index))
        file = self._open(path, sampled, opening)
        if not isinstance(file.file, RasterFile) or file.file.bands != 1:
            raise RasterError(
                f"{path} has {file.file.bands} bands; expected a label map, which has one"
            )
        self._learn(file)
        return file

    def _open_truth(self, path: File) -> ShownFile:
        def view(raster: Raster) -> Raster:
            return LabelView(raster, decoding_of(raster, self.classes, self._showing.threshold))

        opening = Opening(palette=self._truth_palette(path), view=view)
        file = self._open(path, sampled, opening)
        if not self.classes:
            self._learn(file)
        return file

    def _learn(self, file: ShownFile) -> None:
        """What a map's labels are called; those of the first that knows are the image's."""
        if isinstance(file.file, RasterFile):
            self._own[file] = classes_of(file.file, file.pyramid)
            self.classes = self.classes or self._own[file]

    def _learn_what_was_copied(self) -> None:
        # A sample of a file without windows is all of it in memory: it is taken of the copy.
        late = [file for file, own in self._own.items() if not own and file.pyramid is not None]
        for file in late:
            self._learn(file)
        if late:
            self.layers[1:] = list(self._layers_of_labels())

    def _truth_palette(self, path: File) -> Palette:
        """Indices of a mask with colours are kept, unless the colours are the classes' own."""
        with ShownFile(path, sampled, self._folder, Opening(palette=Palette.KEEP)) as file:
            palette = file.file.palette if isinstance(file.file, RasterFile) else None
        colors = [info.color for info in self.classes]
        if not palette or not colors:
            return Palette.KEEP
        is_ours = all(palette.get(at) == color for at, color in enumerate(colors))
        has_ours = set(colors) <= set(palette.values())
        return Palette.EXPAND if has_ours and not is_ours else Palette.KEEP

    def _open_scores(self, path: File | None, what: str, bands: int | None) -> ShownFile | None:
        if path is None:
            return None
        file = self._open(path, averaged)
        dtype, found = file.file.dtype, file.file.bands
        if bands is not None and found != bands:
            raise DatasetError(f"{path} has {found} bands; {what} of this image have {bands}")
        if dtype != np.uint8 and dtype.kind != "f":
            raise DatasetError(
                f"{path} has pixels of {dtype}; expected {what} in bytes, as glnet segment writes "
                "them, or in floats of 0 to 1"
            )
        return file

    def _open(self, path: File, fit: Fit, opening: Opening = AS_IT_IS) -> ShownFile:
        file = self._stack.enter_context(ShownFile(path, fit, self._folder, opening))
        if self.opened:
            self._require_size(str(path), file.size)
        self.opened.append(file)
        return file

    def _require_size(self, what: str, size: Size) -> None:
        if size != self.picture.size:
            raise DatasetError(
                f"{what}: {size}, and the image {self.files.image} is {self.picture.size}; "
                "expected the same size"
            )
