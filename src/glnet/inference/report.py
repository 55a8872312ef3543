"""What is told about segmented images, and to whom."""

from dataclasses import asdict, dataclass
from typing import Protocol

from glnet.inference.showing import SIDE, Shown, show_result
from glnet.inference.tally import ClassShare
from glnet.markup import facts, table
from glnet.wording import duration


@dataclass(frozen=True)
class Box:
    """A window of the image, in pixels."""

    row: int
    column: int
    height: int
    width: int


@dataclass(frozen=True, kw_only=True)
class SegmentReport:
    """How one image was segmented.

    Attributes:
        image: As it was named.
        output: The label map.
        overlay: The overlay picture, if one was asked for.
        confidence: The map of the winning class's probability, if it was asked for.
        probabilities: The map of all classes' probabilities, if it was asked for.
        vector: The file of polygons, if it was asked for.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        patches: How many there are; 0 for a model of the global branch alone.
        refined_patches: How many of them the local branch saw: not those without a measurement, nor
            those that kept the context branch's answer. Of several ways to lay the image, the
            mean, rounded up.
        classes: How much of every class there is.
        nodata_pixels: How many pixels are no measurements.
        area_basis: What square metres are measured on; None where nothing tells a pixel's size.
        seconds: From opening the image to having the results in their places.
        megapixels_per_second: Of the image.
        peak_host_bytes: Most memory of this process so far; None where the system does not tell.
        peak_device_bytes: Most memory of tensors on the GPU meanwhile; None on a CPU.
        device: Where the network ran.
        precision: In which numbers the network computed.
        patch_batch: How many patches entered the network at once, at most.
        turns: In which ways the image was laid; the scores were averaged.
        patches_everywhere: How many it would see of the whole image; more where it saw boxes.
        boxes: Of a coarse-to-fine model, the boxes that were refined; None for others.
        context: What the global branch saw at once, and why.
        thumbnail: What the thumbnail was made of; None for a model that sees none.
        blending: How patches were blended.
        scratch_bytes: About how much disk space scores took meanwhile.
        resumed: Whether this went on from an unfinished run; the seconds are those since.
        form: ``collapsed`` where the linear head was multiplied out, ``plain`` as it was trained.
        damaged: How many places could not be read, where that is no error.
        compiled: Whether torch.compile made code for the backbone that sees the patches.
        note: What else there is to know, in one line.
    """

    image: str
    output: str
    overlay: str | None
    confidence: str | None
    probabilities: str | None
    vector: str | None
    height: int
    width: int
    patches: int
    refined_patches: int
    classes: tuple[ClassShare, ...]
    nodata_pixels: int
    area_basis: str | None
    seconds: float
    megapixels_per_second: float
    peak_host_bytes: int | None
    peak_device_bytes: int | None
    device: str
    precision: str
    patch_batch: int = 1
    turns: str = "none"
    patches_everywhere: int = 0
    boxes: tuple[Box, ...] | None = None
    context: str = "whole image"
    thumbnail: str | None = None
    blending: str = "feathered"
    resumed: bool = False
    scratch_bytes: int = 0
    form: str = "plain"
    compiled: bool = False
    damaged: int = 0
    note: str | None = None

    def show(self, side: int = SIDE) -> Shown:
        """A small picture of the labels over their image, with a legend: for a notebook.

        Both are read from disk, strip by strip, whatever their size. Where the image is not there
        any more, or cannot be opened without more words (a slide's level), the labels are shown
        alone, and the picture's note says so.

        Args:
            side: Of the picture's longer side, in pixels; up to 2048.

        Raises:
            InputMismatchError: If the side is out of range.
            RasterError: If the label map cannot be read.
        """
        return show_result(self.output, [of.name for of in self.classes], self.image, side)

    def __repr__(self) -> str:
        largest = sorted(self.classes, key=lambda of: -of.share)[:3]
        shares = ", ".join(f"{of.name} {of.share:.1%}" for of in largest if of.pixels)
        return (
            f"SegmentReport({self.output}, {self.height}x{self.width}, {duration(self.seconds)}: "
            f"{shares})"
        )

    def _repr_html_(self) -> str:
        pairs = [
            ("labels", self.output),
            ("image", f"{self.image}, {self.height}x{self.width}"),
            ("time", f"{duration(self.seconds)}, {self.megapixels_per_second:.3g} megapixels/s"),
            ("on", f"{self.device} in {self.precision}"),
            ("patches", f"{self.refined_patches:,} of {self.patches:,} refined"),
            ("context", self.context),
            *([("note", self.note)] if self.note else []),
        ]
        rows = [(of.name, f"{of.share:.1%}", f"{of.pixels:,}") for of in self.classes]
        shares = table(("class", "share", "pixels"), rows)
        return f"<div>{facts('Segmented', pairs)}{shares}<div>.show() draws it</div></div>"

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class SegmentFailure:
    """An image that could not be segmented, and why, in one line."""

    image: str
    error: str

    @property
    def line(self) -> str:
        """The error, with the image's name where the error itself does not have it."""
        return self.error if self.image in self.error else f"{self.image}: {self.error}"

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class SegmentBatch:
    """What became of several images, each list in the order of the images.

    Attributes:
        reports: Of those that were segmented.
        failures: Of those that could not be.
        finished_before: Images whose results were there already, where a run was resumed.
    """

    reports: tuple[SegmentReport, ...]
    failures: tuple[SegmentFailure, ...]
    finished_before: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"SegmentBatch({len(self.reports)} segmented, {len(self.failures)} failed, "
            f"{len(self.finished_before)} finished before)"
        )

    def _repr_html_(self) -> str:
        rows = [(of.image, of.output, duration(of.seconds)) for of in self.reports]
        rows += [(of.image, f"failed: {of.error}", "") for of in self.failures]
        rows += [(image, "finished before", "") for image in self.finished_before]
        return table(("image", "labels", "time"), rows, labels=2)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "reports": [report.to_dict() for report in self.reports],
            "failures": [failure.to_dict() for failure in self.failures],
            "finished_before": list(self.finished_before),
        }


class Watcher(Protocol):
    """Who wants to know how several images come along, one after another."""

    def starts(self, image: str) -> None:
        """An image is next."""
        ...

    def advances(self, phase: str, done: int, total: int) -> None:
        """So many steps of a phase of this image are done."""
        ...

    def announces(self, text: str) -> None:
        """What is going to happen with this image, in one line."""
        ...

    def finishes(self, report: SegmentReport) -> None:
        """The image is segmented."""
        ...

    def fails(self, failure: SegmentFailure) -> None:
        """The image cannot be segmented; the next one follows."""
        ...

    def passes_over(self, image: str) -> None:
        """The image's results are there already."""
        ...


class Unwatched:
    """A `Watcher` that tells nobody."""

    def starts(self, image: str) -> None:
        """Say nothing."""

    def advances(self, phase: str, done: int, total: int) -> None:
        """Say nothing."""

    def announces(self, text: str) -> None:
        """Say nothing."""

    def finishes(self, report: SegmentReport) -> None:
        """Say nothing."""

    def fails(self, failure: SegmentFailure) -> None:
        """Say nothing."""

    def passes_over(self, image: str) -> None:
        """Say nothing."""
