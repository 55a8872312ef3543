"""`dataset.yaml`: the description of a dataset, written by hand and read strictly."""

from pathlib import Path

from glnet.data.classes import ClassInfo
from glnet.data.colors import Color, free_color
from glnet.data.description import DatasetDescription, StemEndings
from glnet.data.encodings import (
    IndexEncoding,
    MaskEncoding,
    PaletteEncoding,
    ThresholdEncoding,
)
from glnet.data.sections import Section, located, read_section
from glnet.data.splits import FractionSplits, GroupSplits, ListedSplits, SplitRule
from glnet.errors import ConfigurationError

DESCRIPTION_NAME = "dataset.yaml"
"""What the description is called where it lies with its dataset."""


def read_description(file: str | Path) -> DatasetDescription:
    """Read a description; files it names are looked for beside it.

    Raises:
        ConfigurationError: If it cannot be read, or a key or value is not as it should be; the
            message names the file and the key.
    """
    return describe(read_section(Path(file)))


def describe(top: Section) -> DatasetDescription:
    """The description in a mapping; files it names are looked for beside its file.

    Raises:
        ConfigurationError: As `read_description`.
    """
    top.allow("classes", "mask", "splits", "stems")
    classes = _read_classes(top)
    encoding = _read_encoding(top.section("mask"))
    splits = _read_splits(top.section("splits")) if "splits" in top.values else None
    endings = _read_endings(top.section("stems"))
    with located(top.where()):
        return DatasetDescription(classes, encoding, splits, endings)


def _read_classes(top: Section) -> tuple[ClassInfo, ...]:
    """Names and colours; a class without colour gets one that no other has."""
    written = [_read_class(top, number, value) for number, value in enumerate(top.items("classes"))]
    taken = [color for _, color in written if color is not None]
    classes = []
    for number, (name, color) in enumerate(written):
        if color is None:
            color = free_color(taken)  # noqa: PLW2901
            taken.append(color)
        with located(top.where(f"classes[{number}]")):
            classes.append(ClassInfo(name, color))
    return tuple(classes)


def _read_class(top: Section, number: int, value: object) -> tuple[str, Color | None]:
    """A mapping, or the name alone."""
    if isinstance(value, str):
        return value, None
    section = top.nested(value, f"classes[{number}]")
    section.allow("name", "color")
    color = section.color("color") if "color" in section.values else None
    return section.text("name"), color


def _read_encoding(section: Section) -> MaskEncoding:
    readers = {"index": _read_index, "palette": _read_palette, "threshold": _read_threshold}
    encoding = section.values.get("encoding", "index")
    if not isinstance(encoding, str) or encoding not in readers:
        raise section.fail("encoding", f"one of {', '.join(readers)}")
    return readers[encoding](section)


def _read_index(section: Section) -> MaskEncoding:
    section.allow("encoding", "values", "ignore")
    return IndexEncoding(
        values=section.integers("values") if "values" in section.values else (),
        ignore=section.integer("ignore") if "ignore" in section.values else None,
    )


def _read_palette(section: Section) -> MaskEncoding:
    section.allow("encoding", "binarize", "ignore")
    return PaletteEncoding(
        ignore=section.color("ignore") if "ignore" in section.values else None,
        binarize=section.integer("binarize") if "binarize" in section.values else None,
    )


def _read_threshold(section: Section) -> MaskEncoding:
    section.allow("encoding", "threshold")
    if "threshold" not in section.values:
        return ThresholdEncoding()
    return ThresholdEncoding(section.number("threshold"))


def _read_splits(section: Section) -> SplitRule:
    readers = {"lists": _read_lists, "fractions": _read_fractions, "groups": _read_groups}
    chosen = [key for key in readers if key in section.values]
    if len(chosen) != 1:
        raise ConfigurationError(
            f"{section.where()}: expected exactly one of {', '.join(readers)},"
            f" got {', '.join(section.values) or 'none'}"
        )
    return readers[chosen[0]](section)


def _read_lists(section: Section) -> SplitRule:
    section.allow("lists")
    lists = section.section("lists")
    stems = {name: _read_stems(lists, name) for name in lists.values}
    with located(lists.where()):
        return ListedSplits(stems)


def _read_stems(lists: Section, name: str) -> tuple[str, ...]:
    """A list, or the name of a text file with one stem a line."""
    path = lists.values[name]
    if not isinstance(path, str):
        return lists.texts(name)
    try:
        lines = (lists.file.parent / path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise lists.fail(name, f"a list, or a text file with one stem a line ({error})") from error
    return tuple(line.strip() for line in lines if line.strip())


def _read_fractions(section: Section) -> SplitRule:
    section.allow("fractions", "seed", "group")
    fractions = section.section("fractions")
    shares = {name: fractions.number(name) for name in fractions.values}
    seed = section.integer("seed") if "seed" in section.values else 0
    group = section.text("group") if "group" in section.values else None
    with located(section.where()):
        return FractionSplits(shares, seed, group)


def _read_groups(section: Section) -> SplitRule:
    section.allow("groups", "group")
    groups = section.section("groups")
    listed = {name: groups.texts(name) for name in groups.values}
    expression = section.text("group")
    with located(section.where()):
        return GroupSplits(expression, listed)


def _read_endings(section: Section) -> StemEndings:
    section.allow("image", "mask")
    return StemEndings(**{key: section.text(key) for key in section.values})
