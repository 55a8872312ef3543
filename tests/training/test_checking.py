"""What `glnet train` finds out before the first epoch."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from glnet.data import SegmentationFolder
from glnet.errors import DatasetError, GLNetError, RasterError
from glnet.training import checking
from glnet.training.checking import CHECKING, check_splits
from glnet.training.run import Watchers, train
from tests.training.tiny_run import FRAMING, SCENE, tiny_config, write_scenes

SPLITS = ("train", "validation")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("whole") / "data", train=6).root


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "data"))


def check(data: Path, told: Callable[[str, int, int], None] = lambda *_: None) -> None:
    check_splits(SegmentationFolder.open(data), SPLITS, FRAMING, told)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size - 200])


def _narrow(path: Path) -> None:
    Image.open(path).resize((64, SCENE.height)).save(path)


def _strange(path: Path) -> None:
    labels = np.array(Image.open(path))
    labels[-1, -1] = 99
    Image.fromarray(labels).save(path)


def _as_colors(path: Path) -> None:
    """Every mask in colours of the palette; one pixel of one mask in none of them."""
    description = path.parents[1] / "dataset.yaml"
    values = yaml.safe_load(description.read_text())
    values["mask"] = {"encoding": "palette"}
    description.write_text(yaml.safe_dump(values))
    for mask in path.parent.glob("*.png"):
        picture = Image.open(mask).convert("RGB")
        if mask == path:
            picture.putpixel((SCENE.width - 1, SCENE.height - 1), (1, 2, 3))
        picture.save(mask)


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "image cut short": ("images", _cut, "cannot be read"),
    "image is text": ("images", lambda path: path.write_text("hello"), "cannot be opened"),
    "image is empty": ("images", lambda path: path.write_bytes(b""), r"empty \(0 bytes\)"),
    "image is grey": ("images", lambda path: Image.open(path).convert("L").save(path), "1 bands"),
    "image is one pixel": ("images", lambda path: Image.new("RGB", (1, 1)).save(path), "is 1x1"),
    "mask cut short": ("masks", _cut, "{stem}.png"),
    "mask of another size": ("masks", _narrow, "as large as its image"),
    "class out of range": ("masks", _strange, r"class value 99 out of range.*row 159, column 127"),
    "colour of no class": ("masks", _as_colors, r"#010203.*row 159, column 127"),
    "mask in colours": ("masks", lambda at: Image.open(at).convert("RGB").save(at), "needs 1 band"),
    "mask missing": ("masks", Path.unlink, "have no mask: {stem}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("stem", ["train_003", "validation_000"])
def test_one_faulty_file_of_either_split_is_named(damage: str, stem: str, data: Path) -> None:
    kind, change, said = DAMAGES[damage]
    path = data / kind / f"{stem}.png"
    change(path)

    with pytest.raises(GLNetError, match=said.format(stem=stem)) as raised:
        check(data)

    assert stem in str(raised.value)
    assert isinstance(raised.value, DatasetError | RasterError)


def test_what_is_whole_passes_and_is_told_image_by_image(data: Path) -> None:
    told: list[tuple[str, int, int]] = []

    check(data, lambda *of: told.append(of))

    assert told == [(CHECKING, done, 7) for done in range(1, 8)]


@pytest.mark.parametrize(("faulty", "more"), [(2, ""), (5, ""), (6, " and 1 more")])
def test_several_faulty_files_are_named_together(faulty: int, more: str, data: Path) -> None:
    paths = [data / "masks" / f"train_00{number}.png" for number in range(faulty)]
    for path in paths:
        _strange(path)

    with pytest.raises(
        DatasetError, match=f"^{faulty} of 7 labelled images cannot train"
    ) as raised:
        check(data)

    images = [data / "images" / path.name for path in paths]
    listed = ", ".join(f"the mask of {path}" for path in images[1:5])
    assert str(raised.value).endswith(f"something is wrong with {listed}{more}, too")


def test_files_are_read_in_strips(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "STRIP_PIXELS", SCENE.width * 7)
    _strange(data / "masks" / "train_005.png")

    with pytest.raises(DatasetError, match=f"row {SCENE.height - 1}, column {SCENE.width - 1}"):
        check(data)


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_whose_masks_ignore_every_pixel_is_refused(split: str, data: Path) -> None:
    description = data / "dataset.yaml"
    description.write_text(description.read_text().replace("index", "index\n  ignore: 255"))
    for path in (data / "masks").glob(f"{split}*.png"):
        Image.new("L", (SCENE.width, SCENE.height), 255).save(path)

    with pytest.raises(DatasetError, match=f"the masks of split '{split}' ignore every pixel"):
        check(data)


def test_training_does_not_begin_with_a_faulty_file(data: Path, tmp_path: Path) -> None:
    _strange(data / "masks" / "validation_000.png")
    config = tiny_config(data, tmp_path / "run")

    with pytest.raises(DatasetError, match="class value 99 out of range"):
        train(config, Watchers(lambda _: pytest.fail("an epoch has been trained")))

    assert not Path(config.output).exists()
