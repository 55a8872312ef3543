import re
from pathlib import Path

import pytest

from glnet.data.classes import ClassInfo
from glnet.data.colors import QUALITATIVE
from glnet.data.description import DatasetDescription, StemEndings
from glnet.data.description_file import read_description
from glnet.data.encodings import IndexEncoding, PaletteEncoding, ThresholdEncoding
from glnet.data.splits import FractionSplits, GroupSplits, ListedSplits
from glnet.errors import ConfigurationError

TWO = "classes: [soil, carrot]\n"


def read(folder: Path, text: str) -> DatasetDescription:
    file = folder / "dataset.yaml"
    file.write_text(text)
    return read_description(file)


def test_classes_have_names_and_colors_given_or_free(tmp_path: Path) -> None:
    first = "[{}, {}, {}]".format(*QUALITATIVE[0])

    description = read(
        tmp_path,
        f'classes: [soil, {{name: carrot, color: "#00c800"}}, {{name: weed, color: {first}}}]',
    )

    assert description.classes == (
        ClassInfo("soil", QUALITATIVE[1]),
        ClassInfo("carrot", (0, 200, 0)),
        ClassInfo("weed", QUALITATIVE[0]),
    )
    assert description.num_classes == 3


def test_everything_but_classes_has_a_default(tmp_path: Path) -> None:
    description = read(tmp_path, TWO)

    assert description.encoding == IndexEncoding()
    assert description.splits is None
    assert description.endings == StemEndings()


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("{encoding: index, ignore: 255}", IndexEncoding(ignore=255)),
        ("{values: [1, 2], ignore: 0}", IndexEncoding((1, 2), 0)),
        ("{encoding: palette}", PaletteEncoding()),
        ("{encoding: palette, ignore: [0, 0, 0]}", PaletteEncoding((0, 0, 0))),
        ("{encoding: threshold}", ThresholdEncoding(127)),
        ("{encoding: threshold, threshold: 0.5}", ThresholdEncoding(0.5)),
    ],
)
def test_mask_encodings(tmp_path: Path, text: str, encoding: object) -> None:
    assert read(tmp_path, f"{TWO}mask: {text}\n").encoding == encoding


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (
            "{lists: {train: [a, b], test: [c]}}",
            ListedSplits({"train": ("a", "b"), "test": ("c",)}),
        ),
        ("{lists: {train: train.txt}}", ListedSplits({"train": ("a 1", "b")})),
        (
            "{fractions: {train: 0.8, test: 0.2}, seed: 3, group: '^(..)'}",
            FractionSplits({"train": 0.8, "test": 0.2}, 3, "^(..)"),
        ),
        ("{fractions: {all: 1}}", FractionSplits({"all": 1})),
        (
            "{group: '^(..)', groups: {train: ['01', '02']}}",
            GroupSplits("^(..)", {"train": ("01", "02")}),
        ),
    ],
)
def test_splits(tmp_path: Path, text: str, rule: object) -> None:
    (tmp_path / "train.txt").write_text("a 1\n\n  b  \n")

    assert read(tmp_path, f"{TWO}splits: {text}\n").splits == rule


def test_stem_endings(tmp_path: Path) -> None:
    endings = read(tmp_path, f"{TWO}stems: {{image: _sat, mask: _mask}}\n").endings

    assert endings == StemEndings("_sat", "_mask")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "dataset.yaml: expected a mapping of keys, got [1, 2]"),
        ("classes: [", "dataset.yaml: is no YAML: "),
        ("1: 2", "dataset.yaml: expected text as key, got 1; quote it"),
        ("mask: {}", "dataset.yaml: classes: expected a list, got None"),
        ("classes: [soil]", "dataset.yaml: expected 2 to 255 classes, got 1"),
        ("classes: [soil, soil]", "dataset.yaml: class names must differ, came twice: soil"),
        ("classes: [soil, 3]", "classes[1]: expected a mapping of keys, got 3"),
        ("classes: [soil, ' ']", "classes[1]: expected a class name, got ' '"),
        ("classes: [soil, {name: 3}]", "classes[1].name: expected text (quote it"),
        ("classes: [soil, {name: a, color: red}]", "classes[1].color: expected a colour such as"),
        ("classes: [soil, {nam: a}]", "classes[1].nam: unknown key; known are name, color"),
        (TWO + "clases: []", "clases: unknown key; known are classes, mask, splits, stems"),
        (TWO + "mask: index", "mask: expected a mapping of keys, got 'index'"),
        (TWO + "mask: {encoding: rgb}", "expected one of index, palette, threshold, got 'rgb'"),
        (TWO + "mask: {encoding: [1]}", "mask.encoding: expected one of index"),
        (TWO + "mask: {threshold: 3}", "mask.threshold: unknown key; known are encoding, values"),
        (TWO + "mask: {ignore: a}", "mask.ignore: expected a whole number, got 'a'"),
        (TWO + "mask: {ignore: true}", "mask.ignore: expected a whole number, got True"),
        (TWO + "mask: {ignore: 1}", "ignore: 1 is also the value of class 'carrot'"),
        (TWO + "mask: {values: [1, a]}", "mask.values: expected a list of whole numbers"),
        (TWO + "mask: {values: [1]}", "values must give each of the 2 classes a value"),
        (TWO + "mask: {values: [1, 1]}", "values must give each of the 2 classes a value"),
        (TWO + "mask: {encoding: palette, ignore: 0}", "mask.ignore: expected a colour"),
        (TWO + "mask: {encoding: palette, binarize: 0}", "binarize must be 1 to 255, got 0"),
        (TWO + "mask: {encoding: palette, binarize: 9}", "only channels of 0 or 255"),
        (
            "classes: [{name: a, color: '#000000'}, b]\n"
            "mask: {encoding: palette, ignore: [0, 0, 0]}",
            "a colour of its own for each class and ignore, #000000 came twice",
        ),
        (TWO + "mask: {encoding: threshold, threshold: x}", "threshold: expected a number, got"),
        ("classes: [a, b, c]\nmask: {encoding: threshold}", "exactly 2 classes apart, got 3"),
        (TWO + "splits: {}", "splits: expected exactly one of lists, fractions, groups, got none"),
        (TWO + "splits: {lists: {}, groups: {}}", "groups, got lists, groups"),
        (TWO + "splits: {lists: {}}", "splits.lists: expected at least one split"),
        (TWO + "splits: {lists: {train: [01]}}", "splits.lists.train: expected a list of texts"),
        (TWO + "splits: {lists: {train: 1}}", "splits.lists.train: expected a list, got 1"),
        (TWO + "splits: {lists: {train: no.txt}}", "one stem a line"),
        (TWO + "splits: {lists: {train: [a]}, seed: 1}", "splits.seed: unknown key"),
        (TWO + "splits: {fractions: {a: b}}", "splits.fractions.a: expected a number, got 'b'"),
        (TWO + "splits: {fractions: {a: 0.5}}", "splits: fractions must be over 0 and sum to 1"),
        (TWO + "splits: {fractions: {a: 1.5, b: -0.5}}", "fractions must be over 0"),
        (TWO + "splits: {fractions: {a: .nan}}", "fractions must be over 0"),
        (TWO + "splits: {fractions: {a: 1}, seed: x}", "splits.seed: expected a whole number"),
        (TWO + "splits: {fractions: {a: 1}, group: '('}", "is no regular expression"),
        (TWO + "splits: {fractions: {a: 1}, group: 'a'}", "needs parentheses"),
        (TWO + "splits: {groups: {a: [b]}}", "splits.group: expected text"),
        (TWO + "splits: {group: '(.)', groups: {a: 1}}", "splits.groups.a: expected a list"),
        (TWO + "stems: {masks: a}", "stems.masks: unknown key; known are image, mask"),
        (TWO + "stems: {mask: 1}", "stems.mask: expected text"),
    ],
)
def test_refusals_name_file_and_key_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        read(tmp_path, text)

    assert str(caught.value).startswith(str(tmp_path / "dataset.yaml"))
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("dataset.yaml") == 1


def test_a_missing_description_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no\.yaml: cannot be read"):
        read_description(tmp_path / "no.yaml")
