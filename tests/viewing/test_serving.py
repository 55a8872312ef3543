"""Where the server listens, what it bounds, and what it notices."""

import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glnet.errors import ConfigurationError, OutputError, RasterError
from glnet.geometry import Size, Window
from glnet.raster import open_raster, write_picture
from glnet.viewing import page_files, serving
from glnet.viewing.encoding import Encoded
from glnet.viewing.finding import ImageFiles
from glnet.viewing.gallery import Gallery, thumbnail
from glnet.viewing.layers import Tile
from glnet.viewing.open_images import MOST_OPEN
from glnet.viewing.reducing import averaged
from glnet.viewing.shown_file import ShownFile
from glnet.viewing.shown_image import Showing, ShownImage
from glnet.viewing.work import MOST_WAITING, WORKERS, TileCache
from tests.inference.pictures import picture
from tests.viewing.served import NEEDS_PAGE, PATIENCE_S, Client, served

pytestmark = NEEDS_PAGE


def write_photo(path: Path, seed: int = 0) -> Path:
    write_picture(path, picture(60, 80, seed=seed), overwrite=True)
    return path


def gallery_of(*images: Path) -> Gallery:
    return Gallery([ImageFiles(image=image) for image in images], Showing())


def test_it_is_reached_from_this_machine_alone(tmp_path: Path) -> None:
    with served(gallery_of(write_photo(tmp_path / "a.jpg"))) as client:
        assert client.address.host == "127.0.0.1"
        assert client.address.url.startswith(f"http://127.0.0.1:{client.address.port}/?token=")
        assert len(client.address.token) >= 32


def test_every_run_has_a_token_of_its_own(tmp_path: Path) -> None:
    image = write_photo(tmp_path / "a.jpg")

    with served(gallery_of(image)) as first, served(gallery_of(image)) as second:
        assert first.address.token != second.address.token
        stranger = second.ask("/api/images", Authorization=f"Bearer {first.address.token}")
        assert stranger.status == 401


def test_a_port_in_use_is_told_with_the_next_that_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError, match=f"port {port} is in use; .* --port") as told:
            serving.listen("127.0.0.1", port)

        free = int(str(told.value).rsplit(" ", 1)[1])
        with serving.listen("127.0.0.1", free) as listening:
            assert listening.getsockname()[1] == free > port


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("127.0.0.1", -1, "up to 65535"),
        ("127.0.0.1", 65_536, "up to 65535"),
        ("0.0.0.0", 0, "every address"),
        ("::", 0, "every address"),
        ("somewhere", 0, "takes a number"),
        ("192.0.2.1", 0, "cannot listen"),
    ],
)
def test_places_where_nobody_can_listen_are_refused(host: str, port: int, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        serving.listen(host, port)


def test_a_port_that_is_not_ours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(serving, "_bound", refuse)

    with pytest.raises(ConfigurationError, match="from 1024 on"):
        serving.listen("127.0.0.1", 80)


def test_elsewhere_it_is_called_by_its_address_alone() -> None:
    assert serving.names_of("192.0.2.1") == {"192.0.2.1"}
    assert serving.names_of("2001:db8::1") == {"[2001:db8::1]"}
    assert serving.names_of("2001:0DB8:0:0::1") == {"[2001:db8::1]"}
    assert "localhost" in serving.names_of("127.0.0.1")
    assert "127.0.0.2" in serving.names_of("127.0.0.2")


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "LIBRARIES", ("no_such_library",))

    with pytest.raises(ConfigurationError, match=r"no_such_library; .*glnet\[view\]"):
        serving.require_view()


def test_a_page_that_is_not_built_says_how(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="make page"):
        page_files.page_files(tmp_path)


def test_a_file_that_is_replaced_is_told_and_loaded_again(tmp_path: Path) -> None:
    image = write_photo(tmp_path / "a.jpg")

    with served(gallery_of(image)) as client:
        before = client.tile(0, 0, 0, 0).pixels
        write_photo(image, seed=1)
        told = client.tile(0, 0, 0, 1 - 1, "?of=1")
        assert told.status == 409
        assert b"a.jpg has changed" in told.body
        assert client.ask("/api/images/0/pixel/0/0").status == 409
        assert client.ask("/api/images/0/state").json["has_changed"]
        assert client.post("/api/images/0/reload").status == 200
        after = client.tile(0, 0, 0, 0).pixels

    assert (before != after).any()


def test_an_image_that_is_gone_is_told_in_a_line(tmp_path: Path) -> None:
    image = write_photo(tmp_path / "a.jpg")

    with served(gallery_of(image)) as client:
        image.unlink()
        answer = client.ask("/api/images/0")

    assert answer.status in {409, 500}
    assert b"a.jpg" in answer.body
    assert b"Traceback" not in answer.body


def test_a_flood_of_requests_is_answered_by_so_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working, most, lock, gate = 0, 0, threading.Lock(), threading.Event()
    real = ShownImage.layer

    def held_up(self: ShownImage, number: int) -> object:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        gate.wait(PATIENCE_S)
        with lock:
            working -= 1
        return real(self, number)

    monkeypatch.setattr(ShownImage, "layer", held_up)
    with served(gallery_of(write_photo(tmp_path / "a.jpg"))) as client:
        refused, answered = flooded(client, WORKERS + MOST_WAITING + 50, gate)

    assert most == WORKERS - 1  # One is left to other images.
    assert refused == [503] * 50
    assert answered == [200] * (WORKERS + MOST_WAITING)


def flooded(client: Client, requests: int, gate: threading.Event) -> tuple[list[int], list[int]]:
    """Ask for so many tiles at once; what is answered before the gate opens, and after."""
    statuses: list[int] = []

    def ask(number: int) -> None:
        statuses.append(client.tile(0, 0, 0, 0, f"?of={number}").status)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(requests)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + PATIENCE_S
    while len(statuses) < requests - WORKERS - MOST_WAITING and time.monotonic() < end:
        time.sleep(0.01)
    before = list(statuses)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    return before, statuses[len(before) :]


def test_tiles_are_kept_up_to_a_number_of_bytes() -> None:
    cache = TileCache(100)
    for number in range(20):
        cache.put(number, Tile(Encoded(b"x" * 30, "image/png"), True))
        cache.get(0)

    assert cache.held_bytes <= 100
    assert cache.get(0) is not None  # It was used all the time.
    assert cache.get(19) is not None
    assert cache.get(1) is None


def test_only_a_few_images_are_open_at_once(tmp_path: Path) -> None:
    images = [write_photo(tmp_path / f"{at}.jpg") for at in range(MOST_OPEN + 6)]
    gallery = gallery_of(*images)

    with served(gallery) as client:
        for number in range(len(images)):
            assert client.ask(f"/api/images/{number}").status == 200
        open_now = sum(gallery.is_open(number) for number in range(len(images)))
        listed = wait_for_all(client)

    assert open_now <= MOST_OPEN + 1  # The one that is looked at in the background.
    assert [of["name"] for of in listed] == [image.name for image in images]
    assert all(of["has_thumbnail"] for of in listed)


def wait_for_all(client: Client) -> list[dict[str, object]]:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        listed: list[dict[str, object]] = client.ask("/api/images").json["images"]
        if all(of["is_done"] for of in listed):
            return listed
        time.sleep(0.05)
    raise AssertionError("not all images were looked at")


def test_a_bad_image_does_not_keep_others_from_being_shown(tmp_path: Path) -> None:
    images = [write_photo(tmp_path / f"{at}.jpg") for at in range(3)]
    gallery = gallery_of(*images)
    images[1].write_bytes(b"no picture")

    with served(gallery) as client:
        listed = wait_for_all(client)
        bad = client.ask("/api/images/1")

    assert [of["has_thumbnail"] for of in listed] == [True, False, True]
    assert "1.jpg" in str(listed[1]["error"])
    assert bad.status == 500
    assert bad.body.count(b"\n") == 0


def test_a_file_without_windows_is_copied_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.raster.spooling.KEPT_BYTES", 0)
    image = write_photo(tmp_path / "a.jpg")
    with open_raster(image) as raster:
        expected = np.moveaxis(raster.read(Window(0, 0, Size(60, 80))), 0, 2)

    with served(gallery_of(image)) as client:
        before = client.tile(0, 0, 0, 0)
        unknown = client.ask("/api/images/0/pixel/0/0").json
        wait_for_all(client)
        after = client.tile(0, 0, 0, 0)
        known = client.ask("/api/images/0/pixel/0/0").json

    assert before.pixels.shape[:2] == (1, 1)
    assert before.pixels[0, 0, 3] == 0
    assert before.headers["cache-control"] == "no-store"
    assert "values" not in unknown
    assert np.array_equal(after.pixels[..., :3], expected)
    assert known["values"] == expected[0, 0].tolist()


def test_classes_of_a_mask_that_is_copied_first_are_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.raster.spooling.KEPT_BYTES", 0)
    Image.fromarray(np.full((60, 80), 2, np.uint8)).save(tmp_path / "mask.png")
    files = ImageFiles(image=write_photo(tmp_path / "a.jpg"), labels=tmp_path / "mask.png")

    with served(Gallery([files], Showing())) as client:
        before = client.ask("/api/images/0").json["classes"]
        wait_for_all(client)
        after = client.ask("/api/images/0/state").json

    assert before == []
    assert [of["name"] for of in after["classes"]] == ["class 0", "class 1", "class 2"]
    assert after["layers"][1]["classes"] == after["classes"]


def test_copying_that_nobody_waits_for_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.raster.spooling.KEPT_BYTES", 0)
    with ShownFile(write_photo(tmp_path / "a.jpg"), averaged, tmp_path) as file:
        file.prepare(lambda: False)
        assert not file.is_prepared
        assert file.error is None
        file.prepare(lambda: True)
        assert file.progress == 1


def test_what_nobody_foresaw_of_an_image_does_not_keep_others_from_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail_of_one(image: ShownImage) -> Encoded | None:
        if image.files.name == "0.jpg":
            raise ValueError("odd pixels")
        return thumbnail(image)

    monkeypatch.setattr("glnet.viewing.gallery.thumbnail", fail_of_one)
    with served(gallery_of(*(write_photo(tmp_path / f"{at}.jpg") for at in range(2)))) as client:
        listed = wait_for_all(client)

    assert [of["has_thumbnail"] for of in listed] == [False, True]
    assert listed[0]["error"] == "odd pixels"
    assert "ValueError" in capsys.readouterr().err  # For who has to mend it.


def test_a_full_disk_is_told_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OutputError("cannot write a temporary file: no space")

    monkeypatch.setattr("glnet.raster.spooling.KEPT_BYTES", 0)
    monkeypatch.setattr("glnet.viewing.shown_file.spooled", fail)
    with served(gallery_of(write_photo(tmp_path / "a.jpg"))) as client:
        wait_for_all(client)
        state = client.ask("/api/images/0/state").json

    assert state["error"] == "cannot write a temporary file: no space"


def test_an_image_is_opened_anew_under_its_readers(tmp_path: Path) -> None:
    gallery = gallery_of(write_photo(tmp_path / "a.jpg"))

    with gallery.shown(0) as before:
        gallery.reload(0)
        with gallery.shown(0) as after:
            assert after is not before
        assert before.picture.read(Window(0, 0, Size(1, 1))) is not None  # Still open.
    with pytest.raises(RasterError, match="closed"):
        before.picture.read(Window(0, 0, Size(1, 1)))
    gallery.close()
