"""Any network on patches: blended, within bounded memory, resumable, like GLNet."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

import glnet
from glnet.errors import ConfigurationError, InputMismatchError
from glnet.geometry import Size
from glnet.inference import groups, journal
from glnet.inference.estimate import estimate
from glnet.inference.settings import Settings
from tests.inference.pictures import picture
from tests.raster.raster_files import write_tiff

CLASSES = ("one", "two", "three")


def _model(network: nn.Module, classes: Sequence[str] = CLASSES, **more: int) -> glnet.Model:
    return glnet.from_network(network, classes, mean=(100.0,) * 3, std=(50.0,) * 3, **more)


class Brightest(nn.Module):
    """The band that is brightest is the class."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels


def test_labels_are_the_networks_own() -> None:
    pixels = picture(300, 250)
    model = _model(Brightest(), patch_size=64, overlap=16)

    labels = glnet.segment(pixels, model)

    assert np.mean(labels == pixels.argmax(axis=2)) > 0.999


def test_stride_averages_logits() -> None:
    pixels = np.repeat(np.repeat(picture(40, 40), 4, axis=0), 4, axis=1)
    model = _model(Brightest(), patch_size=64, overlap=16, stride=4)

    labels = glnet.segment(pixels, model)

    # In the middle of squares of one colour; between them, scores are enlarged.
    assert np.mean(labels[2::4, 2::4] == pixels.argmax(axis=2)[2::4, 2::4]) > 0.95


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_room_that_scores_take_is_told_before(tmp_path: Path, stride: int) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(200, 260), 2, 0))
    model = _model(Brightest(), patch_size=128, overlap=32, stride=stride)
    taken: list[int] = []

    def looking(phase: str, done: int, total: int) -> None:
        if phase == "patches" and done == total:
            files = (tmp_path / "b.tif.unfinished").glob("scores-*")
            taken.append(sum(of.stat().st_size for of in files))

    report = glnet.segment_file(image, tmp_path / "b.tif", model, Settings(), progress=looking)

    assert taken[0] <= report.scratch_bytes <= 1.2 * taken[0]


def test_a_network_of_torchvision_segments_a_file_and_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=3
    )
    model = _model(network, patch_size=128, overlap=32)
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(200, 260), 2, 0))
    settings = Settings(patch_batch=1)
    report = glnet.segment_file(image, tmp_path / "whole.tif", model, settings)
    monkeypatch.setattr(journal, "SECONDS_BETWEEN_NOTES", 0)
    monkeypatch.setattr(groups, "GROUP", 2)

    def stopping(phase: str, done: int, total: int) -> None:
        if phase == "patches" and groups.GROUP <= done < total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        glnet.segment_file(image, tmp_path / "b.tif", model, settings, progress=stopping)
    again = glnet.segment_file(
        image, tmp_path / "b.tif", model, settings, rules=glnet.Rules(resume=True)
    )

    assert (report.patches, report.note, report.form) == (6, None, "plain")
    assert again.resumed
    assert (tmp_path / "b.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_what_it_takes_is_estimated() -> None:
    network = nn.Conv2d(3, 3, 3, padding=1)
    model = _model(network, patch_size=64, overlap=16)

    found = estimate(model, Size(500, 500), Settings(patch_batch=2))

    patches = len(model.config.framing.grid(Size(500, 500)))
    assert found.patches == patches
    assert found.multiply_adds == patches * 64 * 64 * 9 * 9
    assert found.scratch_bytes == patches * 4 * 3 * 64 * 64


class _Wrong(nn.Module):
    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def forward(self, _: Tensor) -> object:
        return self.output


@pytest.mark.parametrize("output", ["text", {"aux": 1}, torch.zeros(3), torch.zeros(4, 2, 8, 8)])
def test_what_are_no_logits_is_told_in_one_line(output: object) -> None:
    model = _model(_Wrong(output), patch_size=64)

    with pytest.raises(InputMismatchError, match="the network must give logits"):
        glnet.segment(picture(64, 64), model)


def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        _model(Brightest(), stride=0)
    with pytest.raises(ConfigurationError):
        _model(Brightest(), ["one"])
