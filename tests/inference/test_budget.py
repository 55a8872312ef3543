"""A memory that is named is kept, or refused with the least that would do."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glnet.errors import ConfigurationError
from glnet.geometry import Size
from glnet.inference.budget import Fitting, parsed_bytes
from glnet.inference.estimate import estimate
from glnet.inference.groups import GROUP
from glnet.inference.host_memory import Beside
from glnet.inference.machine import has_bfloat16
from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.model.checkpoint import new_model, open_model, save_model
from glnet.model.config import Architecture, Framing
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff

SIZE = Size(300, 310)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GiB", 2 * 2**30),
        ("1.5 GB", 1_500_000_000),
        ("800M", 800 * 2**20),
        ("64kib", 64 * 2**10),
        ("1000000", 1_000_000),
        ("12B", 12),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, expected: int) -> None:
    assert parsed_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "pony", "-1GiB", "2 PiB", "1e9", "GiB", "1.GiB"])
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="a number and a unit, such as 2GiB"):
        parsed_bytes(text)


def test_without_a_budget_nothing_is_chosen() -> None:
    settings = Settings(patch_batch=5)

    assert Fitting(tiny_model(), settings).of("image", SIZE) is settings


def test_the_largest_batch_that_fits_is_chosen() -> None:
    model = tiny_model(framing=Framing(patch_size=256, thumbnail_size=64))
    settings = Settings(patch_batch=8, device="cuda")
    takes = {n: estimate(model, SIZE, Settings(patch_batch=n, device="cuda")) for n in (1, 2, 4)}
    budget = round(takes[2].device_bytes * 1.11)
    assert budget < takes[4].device_bytes

    fitted = Fitting(model, replace(settings, memory=budget)).of("image", SIZE)

    assert fitted.patch_batch == 2
    assert fitted.keeps_weights


def test_weights_are_given_up_before_patches() -> None:
    model, settings = tiny_model(), Settings(patch_batch=2)
    kept = estimate(model, SIZE, settings).host_bytes
    read = estimate(model, SIZE, replace(settings, keeps_weights=False)).host_bytes
    assert read < kept

    fitted = Fitting(model, replace(settings, host_memory=kept - 1)).of("image", SIZE)

    assert (fitted.patch_batch, fitted.keeps_weights) == (2, False)


def test_an_impossible_budget_tells_the_least_that_would_do() -> None:
    model = tiny_model()
    with pytest.raises(ConfigurationError, match="needs at least") as refused:
        Fitting(model, Settings(memory=1000)).of("a.tif", SIZE)

    found = re.search(r"--memory (\w+)", str(refused.value))
    assert found is not None
    least = parsed_bytes(found[1])
    assert str(refused.value).startswith("a.tif, of 300x310, needs")
    Fitting(model, Settings(memory=least)).of("a.tif", SIZE)
    with pytest.raises(ConfigurationError, match="needs at least"):
        Fitting(model, Settings(memory=least - 2**20)).of("a.tif", SIZE)


def test_no_more_patches_are_told_than_run_at_once(tmp_path: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(90, 110), 2, 0))

    report = segment_file(image, tmp_path / "b.tif", tiny_model(), Settings(patch_batch=99))

    assert report.patch_batch == GROUP


def test_a_file_that_is_decoded_whole_counts() -> None:
    model, settings = tiny_model(), Settings(patch_batch=1, keeps_weights=False, ahead=0)
    needed = estimate(model, SIZE, settings).host_bytes
    fitting = Fitting(model, replace(settings, host_memory=needed + 1000))

    fitting.of("small", SIZE, Beside(1000))
    with pytest.raises(ConfigurationError, match="large"):
        fitting.of("large", SIZE, Beside(2**20))


def test_a_budget_does_not_change_a_label(tmp_path: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(90, 110), 2, 0))
    save_model(tiny_model(), tmp_path / "model")
    stored = open_model(tmp_path / "model").model
    needed = estimate(stored, Size(90, 110), Settings(patch_batch=1, keeps_weights=False))

    plain = segment_file(image, tmp_path / "plain.tif", tmp_path / "model", Settings())
    settings = Settings(memory=needed.device_bytes)
    within = segment_file(image, tmp_path / "within.tif", tmp_path / "model", settings)

    assert (plain.patch_batch, within.patch_batch) == (4, 1)
    assert plain.classes == within.classes


HAS_BFLOAT16 = has_bfloat16("cpu")
"""Asked before tests are told otherwise."""

LIMITED = """
import resource, sys
from pathlib import Path
from glnet.cli.main import main
from glnet.geometry import Size
from glnet.inference.budget import Fitting
from glnet.inference.estimate import estimate
from glnet.inference.machine import _told_bytes
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings

image, model, output, precision, *batch = sys.argv[1:]
least = Settings(patch_batch=1, keeps_weights=False, ahead=0, precision=precision)
found = estimate(Predictor(model, least).model, Size(2000, 2000), least)
# Address space that takes no memory: the file of weights, stacks and pools of more threads. A small
# network with large patches, so that it is little beside what 16 patches take.
reserved = (Path(model) / "model.safetensors").stat().st_size + 2**26
room = found.host_bytes - found.program_bytes + reserved
resource.setrlimit(resource.RLIMIT_AS, (_told_bytes("VmSize:") + room,) * 2)
named = ["--patch-batch", *batch] if batch else ["--host-memory", str(found.host_bytes)]
named += ["--precision", precision]
sys.exit(main(["segment", image, "--model", model, "--output", output, *named]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="such limits are Linux's")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_within_its_budget_survives_an_enforced_limit(precision: str, tmp_path: Path) -> None:
    """The limit binds: more patches at once end under it, in one line."""
    if precision == "bfloat16" and not HAS_BFLOAT16:
        pytest.skip("this CPU imitates bfloat16, which takes memory of its own")
    config = replace(
        tiny_model().config,
        architecture=Architecture(backbone="test_resnet", fpn_width=64, refined_width=32),
        framing=Framing(patch_size=512, thumbnail_size=256),
    )
    save_model(new_model(config), tmp_path / "model")
    pixels = np.moveaxis(picture(2000, 2000), 2, 0)
    image = write_tiff(tmp_path / "a.tif", pixels, tiled=True, blockxsize=256, blockysize=256)
    output = tmp_path / "out.tif"

    def run(*batch: str) -> subprocess.CompletedProcess[str]:
        words = [str(image), str(tmp_path / "model"), str(output), precision]
        return subprocess.run(
            [sys.executable, "-c", LIMITED, *words, *batch],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        )

    within = run()
    assert within.returncode == 0, within.stderr
    assert output.exists()

    output.unlink()
    beyond = run("16")
    assert beyond.returncode == 1
    assert "not enough memory on cpu for 16 patches at once" in beyond.stderr
    assert not output.exists()
