"""The page on a segmentation that runs, which it stops and goes on with."""

import re
import select
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from glnet.cli.segment_view import _Both, _segmented
from glnet.errors import OutputError
from glnet.geometry import Size, Window
from glnet.inference.report import SegmentFailure, Unwatched
from glnet.inference.segment import segment_file, segment_files
from glnet.inference.settings import Settings
from glnet.inference.starting import Rules
from glnet.model.checkpoint import save_model
from glnet.model.config import Framing
from glnet.raster import LabelWriter, write_picture
from glnet.viewing.encoding import NOTHING
from glnet.viewing.finding import ImageFiles
from glnet.viewing.gallery import Gallery
from glnet.viewing.live import LiveJob, StoppedError
from glnet.viewing.serving import Address
from glnet.viewing.shown_image import Showing
from tests.cli.commands import run, start
from tests.inference.pictures import picture
from tests.model.tiny import CLASSES, tiny_model
from tests.viewing.browser import NEEDS_BROWSER, Visit, started
from tests.viewing.served import NEEDS_PAGE, PATIENCE_S, Client, served

pytestmark = NEEDS_PAGE

HALTING = """
import itertools, threading
from glnet.inference import journal
from glnet.inference.answering import Answerer
from glnet.viewing.live import LiveJob
journal.SECONDS_BETWEEN_NOTES = 0
answered, cancel = Answerer.answered, LiveJob.cancel
cancelled, tiles = threading.Event(), itertools.count()
def halting(self, window):
    if next(tiles) == 6:
        cancelled.wait(300)
    return answered(self, window)
def telling(self):
    cancel(self)
    cancelled.set()
Answerer.answered, LiveJob.cancel = halting, telling
"""
"""After some tiles, writing waits until it is cancelled; it is noted at once how far a run is."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    save_model(tiny_model(framing=Framing(patch_size=512, thumbnail_size=64, overlap=16)), folder)
    return folder


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    write_picture(path, picture(1500, 2100))
    return path


@contextmanager
def viewed(*words: object) -> Iterator[Address]:
    """A command that is looked at: the address that it printed."""
    # In what numbers a process of its own computes must not hang on the CPU.
    process = start("segment", *words, "--view", "--precision", "float32", before=HALTING)
    try:
        yield address_of(process)
    finally:
        process.kill()
        process.communicate()


def address_of(process: subprocess.Popen[str]) -> Address:
    assert process.stderr is not None
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if select.select([process.stderr], [], [], 1)[0]:
            found = re.search(r"view: http://(.*):(\d+)/\?token=(\S+)", process.stderr.readline())
            if found is not None:
                return Address(found[1], int(found[2]), found[3])
    raise AssertionError("no address was printed")


@NEEDS_BROWSER
def test_strips_appear_and_the_run_is_stopped_and_resumed_to_the_same_bytes(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    whole, watched = tmp_path / "whole.tif", tmp_path / "watched.tif"
    assert run("segment", photo, "--model", model, "--output", whole) == 0

    with (
        viewed(photo, "--model", model, "--output", watched) as address,
        started() as browser,
    ):
        page = Visit(browser.new_page(viewport={"width": 1100, "height": 760}), address)
        page.page.goto(address.url)
        page.until("document.getElementById('phase').textContent.startsWith('writing')")
        page.page.locator("#opacity-1").fill("1")
        page.page.evaluate("window.held = document.getElementById('opacity-1')")
        page.until("document.querySelectorAll('#layers .quiet:not([hidden])').length === 1")
        page.page.wait_for_timeout(1200)
        numbers = page.text("#numbers")
        shown = page.shot
        is_kept_in_hand = page.page.evaluate("window.held.isConnected")
        page.page.locator("#cancel").click()
        page.until("document.getElementById('phase').textContent.startsWith('stopped')")
        was_kept = (tmp_path / "watched.tif.unfinished").is_dir()
        was_there = watched.exists()
        page.page.locator("#resume").click()
        page.until("document.getElementById('phase').textContent === 'finished'")
        page.until("document.getElementById('classes').textContent.includes(' px')")
        complaints = page.complaints

    assert is_kept_in_hand
    assert "megapixels/s" in numbers
    assert "no limit given" in numbers
    assert "left of writing" in numbers
    colors = {tuple(color) for color in np.unique(shown.reshape(-1, 3), axis=0).tolist()}
    assert colors & {of.color for of in CLASSES}
    assert was_kept
    assert not was_there
    assert watched.read_bytes() == whole.read_bytes()
    assert complaints == []


def test_the_command_ends_by_itself_where_nobody_looks(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    output = tmp_path / "labels.tif"

    status = run("segment", photo, "--model", model, "--output", output, "--view")

    assert status == 0
    assert output.is_file()


def test_a_bad_port_is_told_before_the_work(
    model: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("segment", photo, "--model", model, "--output", tmp_path / "a.tif", "--view")

    assert run(*words, "--port", 99999) == 1

    assert "a port is a number up to 65535" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_images_that_are_made_at_once_cannot_be_looked_at(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.png"
    write_picture(other, picture(60, 80))
    words = ("--model", tmp_path, "--output", tmp_path, "--view", "--ray", "local")

    assert run("segment", photo, other, *words) == 1

    assert "--view shows one image after another" in capsys.readouterr().err


@pytest.fixture
def job(photo: Path) -> Iterator[LiveJob]:
    gallery = Gallery([ImageFiles(image=photo)], Showing())
    with LiveJob(gallery, [str(photo)], 1000, lambda: 500) as job:
        job.starts(str(photo))
        yield job


def client_of(job: LiveJob) -> AbstractContextManager[Client]:
    return served(job._gallery, job)


def test_labels_are_served_as_they_are_written(job: LiveJob) -> None:
    size, labels = Size(1500, 2100), np.ones((512, 512), np.uint8)

    with client_of(job) as client:
        job.opens(size, CLASSES, [])
        before = client.tile(1, 0, 0, 0)
        job.sees(Window(0, 512, Size(512, 512)), labels)
        there, not_there = client.tile(1, 0, 0, 1), client.tile(1, 0, 1, 1)
        state = client.ask("/api/images/0/state").json
        small = client.tile(1, 2, 0, 0).pixels

        assert (before.pixels[..., 3] == 0).all()
        assert (there.pixels == [*CLASSES[1].color, 255]).all()
        assert (not_there.pixels[..., 3] == 0).all()
        assert there.headers["cache-control"] == "no-store"
        assert state["layers"][1]["progress"] == pytest.approx(512**2 / size.area)
        assert (small[:128, 128:256, 3] == 255).all()
        assert small[..., 3].sum() == 128 * 128 * 255


def test_progress_is_told_with_memory_and_what_is_left(job: LiveJob) -> None:
    with client_of(job) as client:
        job.opens(Size(1500, 2100), CLASSES, [])
        job.advances("patches", 0, 8)
        time.sleep(0.05)
        job.advances("patches", 2, 8)
        told = client.ask("/api/images").json["job"]

        assert (told["phase"], told["done"], told["total"]) == ("patches", 2, 8)
        assert told["state"] == "running"
        assert told["seconds_left"] == pytest.approx(3 * 0.05, rel=0.9)
        assert told["megapixels_per_second"] > 0
        assert (told["memory"], told["budget"]) == (500, 1000)


def test_the_pace_is_that_of_all_regions_together(
    job: LiveJob, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("glnet.viewing.live.time.monotonic", lambda: now[0])
    job.starts(str(photo))
    job.opens(Size(1000, 2000), CLASSES, [])
    job.advances("patches, region 1 of 4", 0, 8)
    now[0] += 10
    job.advances("global part, region 1 of 4", 1, 8)
    job.advances("patches, region 2 of 4", 4, 8)
    told = job.described()

    assert told["share"] == pytest.approx(3 / 8)
    assert told["seconds_left"] == pytest.approx(10 * 5 / 3)
    assert told["megapixels_per_second"] == pytest.approx(2 * 3 / 8 / 10)
    job.advances("writing", 0, 6)
    assert job.described()["seconds_left"] is None


def test_labels_of_finished_images_keep_no_files_open(job: LiveJob, photo: Path) -> None:
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir()))
    for _ in range(2):
        for _ in range(2):  # The second time after a stop.
            job.starts(str(photo))
            job.opens(Size(1500, 2100), CLASSES, [])
        job.ends(str(photo), None)

    assert len(list(open_files.iterdir())) == before
    job.sees(Window(0, 0, Size(512, 512)), np.ones((512, 512), np.uint8))  # Nobody sees it.


def test_who_still_reads_labels_of_a_run_that_was_stopped_finds_nothing(
    job: LiveJob, photo: Path
) -> None:
    tile, labels = Window(0, 0, Size(512, 512)), np.ones((512, 512), np.uint8)
    job.opens(Size(1500, 2100), CLASSES, [])
    job.sees(tile, labels)
    with job._gallery.shown(0) as image:
        assert image.running is not None
        before = image.running.labels.read(tile).pixels
        job.starts(str(photo))
        job.opens(Size(1500, 2100), CLASSES, [])
        after = image.running.labels.read(tile).pixels
        small = image.running.labels.tile(2, 0, 0).pixels

    assert (before == 1).all()
    assert (after == NOTHING).all()
    assert (small == NOTHING).all()


def test_after_a_stop_only_what_this_run_has_made_is_left_out(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [tmp_path / f"{name}.png" for name in "abc"]
    for at, image in enumerate(images):
        write_picture(image, picture(60, 80 + at))
    images[0].write_bytes(b"no picture")
    found = tmp_path / "found"
    settings = Settings(device="cpu")
    segment_files(images[1:], found, model, settings)
    old = {name: (found / f"{name}.tif").stat().st_mtime_ns for name in "bc"}
    names = [str(image) for image in images]
    gallery = Gallery([ImageFiles(image=image) for image in images], Showing())
    stopped: list[str] = []

    class StopsOnce(Unwatched):
        def starts(self, image: str) -> None:
            if image == names[1] and not stopped:
                stopped.append(image)
                live.cancel()

    def goes_on() -> bool:
        live.resume()
        return True

    with LiveJob(gallery, names, None, lambda: None) as live:
        monkeypatch.setattr(live, "waits_for_resume", goes_on)
        segment = partial(segment_files, images, found, model, settings, audience=live)
        batch = _segmented(
            live, segment, Rules(overwrite=True), _Both(StopsOnce(), live), lambda: None
        )

    assert stopped == names[1:2]
    assert [of.image for of in batch.reports] == names[1:]
    assert [of.image for of in batch.failures] == names[:1]
    assert batch.finished_before == ()
    assert all((found / f"{name}.tif").stat().st_mtime_ns > was for name, was in old.items())


def test_images_that_were_finished_before_are_shown_with_their_labels(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    settings, output = Settings(device="cpu"), tmp_path / "labels.tif"
    segment_file(photo, output, model, settings)
    gallery = Gallery([ImageFiles(image=photo)], Showing(), tmp_path)

    with LiveJob(gallery, [str(photo)], None, lambda: None) as live:
        told = _Both(Unwatched(), live, lambda _: output)
        batch = _segmented(
            live,
            partial(segment_files, [photo], output, model, settings, audience=live),
            Rules(resume=True),
            told,
            lambda: None,
        )

    assert batch.finished_before == (str(photo),)
    assert gallery.known[0].files.labels == output


def test_a_run_that_is_cancelled_stops_at_its_next_step(job: LiveJob) -> None:
    with client_of(job) as client:
        job.advances("patches", 1, 8)
        assert client.post("/api/job/cancel").status == 200

        with pytest.raises(StoppedError):
            job.advances("patches", 2, 8)
        job.stops()
        assert client.ask("/api/images").json["job"]["state"] == "stopped"
        threading.Timer(0.1, lambda: client.post("/api/job/resume")).start()
        assert job.waits_for_resume()
        job.advances("patches", 3, 8)


def test_nobody_who_looks_means_nobody_who_resumes(job: LiveJob) -> None:
    job.stops()

    assert not job.waits_for_resume()


def test_resuming_what_runs_and_cancelling_what_has_stopped_changes_nothing(job: LiveJob) -> None:
    job.resume()
    job.advances("patches", 1, 8)
    job.cancel()
    job.stops()
    job.cancel()

    assert job.described()["state"] == "stopped"


def test_a_full_disk_ends_the_looking_on_and_not_the_run(
    job: LiveJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.opens(Size(600, 600), CLASSES, [])

    def fail(*_: object) -> None:
        raise OutputError("no space")

    assert job._labels is not None
    monkeypatch.setattr(job._labels, "add", fail)
    for _ in range(2):
        job.sees(Window(0, 0, Size(512, 512)), np.ones((512, 512), np.uint8))

    assert job.described()["note"] == "the page shows no more labels: no space"


def test_labels_that_find_no_room_are_not_shown(
    job: LiveJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job._gallery, "folder", Path("/nowhere/at/all"))

    job.opens(Size(600, 600), CLASSES, [])
    job.sees(Window(0, 0, Size(512, 512)), np.ones((512, 512), np.uint8))

    assert "cannot make a temporary file" in str(job.described()["note"])


def test_a_failure_is_told_on_the_page_and_in_the_terminal(job: LiveJob, photo: Path) -> None:
    class Heard(Unwatched):
        words: ClassVar[list[str]] = []

        def fails(self, failure: SegmentFailure) -> None:
            self.words.append(failure.error)

    told = _Both(Heard(), job)
    told.starts(str(photo))
    told.fails(SegmentFailure(str(photo), "the image is damaged"))

    assert Heard.words == ["the image is damaged"]
    assert job.described()["note"] == "failed: the image is damaged"


def test_labels_of_another_size_than_the_image_are_refused(job: LiveJob) -> None:
    job.opens(Size(600, 600), CLASSES, [])

    with client_of(job) as client:
        answer = client.ask("/api/images/0")

    assert answer.status == 500
    assert b"the labels that are written: 600x600" in answer.body


def test_a_finished_image_is_shown_from_its_files(
    job: LiveJob, photo: Path, tmp_path: Path
) -> None:
    output = tmp_path / "labels.tif"
    labels = np.ones((1500, 2100), np.uint8)
    with LabelWriter(output, Size(*labels.shape), None, [(1, 2, 3)] * 2, ["a", "b"]) as writer:
        writer.write(labels)
    job.opens(Size(*labels.shape), CLASSES, [])

    with client_of(job) as client:
        before = client.ask("/api/images/0").json
        job.ends(str(photo), output)
        after = client.ask("/api/images/0").json

    assert (before["is_running"], after["is_running"]) == (True, False)
    assert after["version"] > before["version"]
    assert [of["name"] for of in after["classes"]] == ["a", "b"]
    assert after["layers"][1]["progress"] == 1
