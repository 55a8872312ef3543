"""What there is to know about a dataset beside its pixels."""

from collections import Counter
from dataclasses import dataclass, field

from glnet.data.classes import IGNORE_INDEX, ClassInfo
from glnet.data.encodings import IndexEncoding, MaskEncoding, check_encoding
from glnet.data.listing import listing
from glnet.data.splits import SplitRule
from glnet.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class StemEndings:
    """What image and mask names end in beyond the stem they share.

    With ``image="_sat"`` and ``mask="_mask"``, ``7_sat.jpg`` and ``7_mask.png`` are a pair ``7``.
    """

    image: str = ""
    mask: str = ""


@dataclass(frozen=True)
class DatasetDescription:
    """Classes, how masks show them, how files pair up, and how images part into splits.

    Attributes:
        classes: In the order of their index.
        encoding: How masks show the classes.
        splits: How images part; None puts all of them into one split named ``all``.
        endings: What names end in beyond the shared stem.

    Raises:
        ConfigurationError: If there are under 2 or over 255 classes, two of one name, or the
            encoding cannot tell them apart.
    """

    classes: tuple[ClassInfo, ...]
    encoding: MaskEncoding = field(default_factory=IndexEncoding)
    splits: SplitRule | None = None
    endings: StemEndings = field(default_factory=StemEndings)

    def __post_init__(self) -> None:
        if not 2 <= len(self.classes) <= IGNORE_INDEX:
            raise ConfigurationError(
                f"expected 2 to {IGNORE_INDEX} classes, got {len(self.classes)};"
                " the background is a class too"
            )
        counts = Counter(info.name for info in self.classes)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise ConfigurationError(f"class names must differ, came twice: {listing(twice)}")
        check_encoding(self.encoding, self.classes)

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)
