"""What IPython shows of our values: by its own machinery, short as text, harmless as HTML."""

from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

from glnet.data.classes import ClassInfo
from glnet.evaluation.report import Evaluation, Score
from glnet.geometry import Size
from glnet.inference.estimate import estimate
from glnet.inference.report import SegmentBatch, SegmentFailure, SegmentReport
from glnet.inference.settings import Settings
from glnet.inference.showing import show
from glnet.inference.tally import ClassShare
from glnet.model.checkpoint import Model, new_model
from glnet.training.estimating import estimate_steps
from tests.inference.test_showing import halves
from tests.model.tiny import tiny_model
from tests.training.tiny_run import tiny_config

HOSTILE = "\"><script>alert('x')</script>&"


def hostile_model() -> Model:
    config = tiny_model("deep").config
    named = (ClassInfo(HOSTILE, (1, 2, 3)), *config.classes[1:])
    return new_model(replace(config, classes=named))


def a_report() -> SegmentReport:
    return SegmentReport(
        image=HOSTILE,
        output="labels.tif",
        overlay=None,
        confidence=None,
        probabilities=None,
        vector=None,
        height=10,
        width=20,
        patches=4,
        refined_patches=3,
        classes=(ClassShare(HOSTILE, 150, 0.75, None), ClassShare("lake", 50, 0.25, None)),
        nodata_pixels=0,
        area_basis=None,
        seconds=75.0,
        megapixels_per_second=0.5,
        peak_host_bytes=None,
        peak_device_bytes=None,
        device="cpu",
        precision="float32",
        note=HOSTILE,
    )


def values() -> Iterator[tuple[object, tuple[str, ...]]]:
    """Everything that has a face, with words that must be on it."""
    model = hostile_model()
    yield model, ("deep sharing from global to local", "3 classes", "bands")
    yield estimate(model, Size(100, 120), Settings()), ("100x120", "GMAC", "MiB")
    steps = estimate_steps(tiny_config(Path(), Path()), 3, 3, Size(64, 64), "cuda", "float32")
    yield steps[0], ("context", "64x64", "GMAC")
    scores = {"local": Score({HOSTILE: 0.5}, 0.5, 0.75)}
    yield Evaluation(3, 100, scores), ("local branch", "50.0", "3 images")
    yield a_report(), ("labels.tif", "10x20", "1 min 15 s", "75.0%")
    failure = SegmentFailure("other.tif", HOSTILE)
    yield SegmentBatch((a_report(),), (failure,)), ("1", "failed")
    yield show(halves(), classes=[HOSTILE, "lake"]), ("lake 50.0%", "40x60")


class _Read(HTMLParser):
    """The words of a piece of HTML; its elements are closed as they were opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.add(tag)
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def shown() -> list[tuple[dict[str, str], tuple[str, ...]]]:
    make: Any = DisplayFormatter  # Typed in some versions, not in others.
    formatter = make()
    formatter.active_types = formatter.format_types
    return [(formatter.format(value)[0], words) for value, words in values()]


def test_a_notebook_draws_every_value(shown: list[tuple[dict[str, str], tuple[str, ...]]]) -> None:
    assert len(shown) == 7
    for bundle, words in shown:
        page = _Read(bundle["text/html"])
        told = page.words + bundle["text/plain"]
        assert all(word in told for word in words), (words, told)


def test_names_are_no_markup(shown: list[tuple[dict[str, str], tuple[str, ...]]]) -> None:
    for bundle, _ in shown:
        assert not {"script", "iframe", "style"} & _Read(bundle["text/html"]).tags


def test_a_console_gets_a_few_lines(shown: list[tuple[dict[str, str], tuple[str, ...]]]) -> None:
    for bundle, _ in shown:
        assert len(bundle["text/plain"]) <= 240
        assert "\n" not in bundle["text/plain"]
        assert "data:image" not in bundle["text/plain"]
