"""A file that takes long to open keeps those waiting who ask for it, and nobody else."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from glnet.errors import RasterError
from glnet.geometry import Size, Window
from glnet.raster import write_picture
from glnet.viewing.finding import ImageFiles
from glnet.viewing.gallery import Gallery
from glnet.viewing.layers import Layer
from glnet.viewing.open_images import OpenImages
from glnet.viewing.shown_file import ShownFile
from glnet.viewing.shown_image import Running, Showing, ShownImage
from glnet.viewing.work import WORKERS
from tests.inference.pictures import picture
from tests.viewing.served import NEEDS_PAGE, PATIENCE_S, Reply, served

SLOW, OTHER = 0, 1


class SlowDisk:
    """Opens images; the first one only when the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.opened: list[str] = []

    def open(
        self, files: ImageFiles, showing: Showing, folder: Path, running: Running | None = None
    ) -> ShownImage:
        self.opened.append(files.name)
        if files.name == "0.jpg":
            self.begun.set()
            assert self.gate.wait(PATIENCE_S)
        return ShownImage(files, showing, folder, running)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.jpg" for number in range(2)]
    for seed, path in enumerate(paths):
        write_picture(path, picture(60, 80, seed=seed))
    return paths


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    disk = SlowDisk()
    monkeypatch.setattr("glnet.viewing.gallery.ShownImage", disk.open)
    return disk


def gallery_of(photos: list[Path]) -> Gallery:
    return Gallery([ImageFiles(image=photo) for photo in photos], Showing())


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


@NEEDS_PAGE
def test_while_a_file_is_opened_all_others_are_shown(photos: list[Path], disk: SlowDisk) -> None:
    many = 3 * WORKERS
    gallery = gallery_of(photos)

    with ThreadPoolExecutor(many) as people, served(gallery) as client:
        waiting: list[Future[Reply]] = [
            people.submit(client.ask, f"/api/images/{SLOW}/state") for _ in range(many)
        ]
        assert disk.begun.wait(PATIENCE_S)
        try:
            meanwhile = [
                client.ask(path).status
                for path in (
                    "/api/images",
                    f"/api/images/{OTHER}",
                    f"/api/images/{OTHER}/state",
                    f"/api/images/{OTHER}/tiles/0/0/0/0",
                    f"/api/images/{OTHER}/pixel/0/0",
                )
            ]
            meanwhile.append(client.post(f"/api/images/{OTHER}/reload").status)
            were_waiting = not any(of.done() for of in waiting)
        finally:
            disk.gate.set()
        in_the_end = [of.result(PATIENCE_S).status for of in waiting]

    assert meanwhile == [200] * 6
    assert were_waiting
    assert in_the_end == [200] * many
    assert disk.opened.count("0.jpg") == 1


@NEEDS_PAGE
def test_while_a_file_is_read_slowly_all_others_are_shown(
    photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    many, gate, reading = 3 * WORKERS, threading.Event(), threading.Semaphore(0)
    usual = ShownImage.layer

    def slow(self: ShownImage, number: int) -> Layer | None:
        if self.files.name == "0.jpg":
            reading.release()
            assert gate.wait(PATIENCE_S)
        return usual(self, number)

    with ThreadPoolExecutor(many) as people, served(gallery_of(photos)) as client:
        client.ask(f"/api/images/{SLOW}")
        monkeypatch.setattr(ShownImage, "layer", slow)
        path = f"/api/images/{SLOW}/tiles/0/0/0/0"
        waiting = [people.submit(client.ask, path) for _ in range(many)]
        try:
            for _ in range(WORKERS - 1):
                assert reading.acquire(timeout=PATIENCE_S)
            meanwhile = client.ask(f"/api/images/{OTHER}/tiles/0/0/0/0").status
            were_waiting = not any(of.done() for of in waiting)
        finally:
            gate.set()
        in_the_end = [of.result(PATIENCE_S).status for of in waiting]

    assert meanwhile == 200
    assert were_waiting
    assert in_the_end == [200] * many


@NEEDS_PAGE
def test_while_a_file_is_opened_others_are_made_ready(
    photos: list[Path], disk: SlowDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.raster.spooling.KEPT_BYTES", 0)  # They are copied first.
    gallery = gallery_of(photos)

    with served(gallery) as client:
        try:
            client.ask("/api/images")
            assert disk.begun.wait(PATIENCE_S)
            client.ask(f"/api/images/{OTHER}")
            eventually(lambda: client.ask("/api/images").json["images"][OTHER]["is_done"])
            is_shown = client.ask(f"/api/images/{OTHER}/tiles/0/0/0/0").pixels.shape[0] == 60
            was_slow_done = gallery.known[SLOW].is_done
        finally:
            disk.gate.set()
        eventually(lambda: gallery.known[SLOW].is_done)

    assert is_shown
    assert not was_slow_done
    assert disk.opened == ["0.jpg", "1.jpg"]


def test_an_image_that_is_left_for_a_moment_is_looked_at_again(
    photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery, prepare = gallery_of(photos), ShownFile.prepare
    moments = iter([OTHER])

    def interrupted(self: ShownFile, goes_on: Callable[[], bool]) -> None:
        moment = next(moments, None)
        if moment is None:
            prepare(self, goes_on)
            return
        gallery.want(moment)
        prepare(self, goes_on)
        gallery.reload(moment)  # It is not open any more, and keeps nothing waiting.

    monkeypatch.setattr("glnet.raster.spooling.KEPT_BYTES", 0)
    monkeypatch.setattr(ShownFile, "prepare", interrupted)
    with gallery, gallery.shown(0), gallery.shown(OTHER):
        gallery.want(0)
        gallery.start()
        eventually(lambda: gallery.known[0].is_done)

        assert gallery.known[0].thumbnail is not None


def test_an_image_that_is_changed_while_it_is_opened_is_opened_anew(
    photos: list[Path], disk: SlowDisk
) -> None:
    gallery = gallery_of(photos)

    with ThreadPoolExecutor(1) as people, gallery:
        first = people.submit(lambda: _shown(gallery, SLOW))
        assert disk.begun.wait(PATIENCE_S)
        gallery.reload(SLOW)  # Waits for nobody.
        disk.gate.set()
        with gallery.shown(SLOW) as image:
            assert image is not first.result(PATIENCE_S)

    assert disk.opened == ["0.jpg", "0.jpg"]
    with pytest.raises(RasterError, match="closed"):
        first.result().picture.read(Window(0, 0, Size(1, 1)))


def _shown(gallery: Gallery, number: int) -> ShownImage:
    with gallery.shown(number) as image:
        return image


def test_what_cannot_be_opened_is_told_to_all_who_wait_and_tried_again(photos: list[Path]) -> None:
    gate, tries = threading.Event(), []

    def opened(number: int) -> ShownImage:
        tries.append(number)
        assert gate.wait(PATIENCE_S)
        if len(tries) == 1:
            raise RasterError("the disk is away")
        return ShownImage(ImageFiles(image=photos[0]), Showing(), photos[0].parent)

    with ThreadPoolExecutor(3) as people, OpenImages(opened) as images:
        waiting = [people.submit(lambda: images.shown(0).__enter__()) for _ in range(3)]
        eventually(lambda: images._places[0].uses == 3)
        gate.set()
        told = [of.exception(PATIENCE_S) for of in waiting]
        assert images.get(0) is None
        with images.shown(0) as image:
            assert images.get(0) is image

    assert [str(of) for of in told] == ["the disk is away"] * 3
    assert tries == [0, 0]
