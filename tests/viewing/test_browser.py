"""The page in a real browser, against the arrays that its files were made of."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser

from glnet.geometry import Size
from glnet.raster import write_picture
from glnet.raster.gdal import gdal_settings
from glnet.viewing.finding import ImageFiles, Named, find_files
from glnet.viewing.gallery import Gallery
from glnet.viewing.shown_file import ShownFile
from glnet.viewing.shown_image import Showing
from tests.inference.pictures import picture
from tests.viewing.browser import NEEDS_BROWSER, Open, Visit, started
from tests.viewing.drawn_files import COLORS, NAMES, Drawn, draw_files
from tests.viewing.served import NEEDS_PAGE, PATIENCE_S, Client, served

pytestmark = [NEEDS_BROWSER, NEEDS_PAGE]

EIGHT_MEGAPIXELS = Size(2400, 3400)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return draw_files(tmp_path_factory.mktemp("large"), EIGHT_MEGAPIXELS)


@pytest.fixture(scope="module")
def client(large: Drawn) -> Iterator[Client]:
    named = Named(labels=large.label_file, truth=large.truth_file)
    with served(Gallery(find_files([large.image], named), Showing())) as client:
        yield client


@pytest.fixture
def visit(browser: Browser, client: Client) -> Iterator[Open]:
    """Opens pages; at the end, none may have complained or asked anybody else."""
    visits: list[Visit] = []

    def opened(view: str = "", of: Client = client, **options: object) -> Visit:
        usual = {"viewport": {"width": 1100, "height": 760}}
        context = browser.new_context(**(usual | options))  # type: ignore[arg-type]
        visits.append(Visit(context.new_page(), of.address))
        visits[-1].go(view)
        return visits[-1]

    yield opened
    for one in visits:
        one.page.context.close()
    assert [text for one in visits for text in one.complaints] == []


def test_the_page_loads_and_tiles_arrive(visit: Open) -> None:
    page = visit()

    assert page.text("#title") == "scene.tif"
    assert page.tiles >= 8  # Four of the image, four of the labels.
    assert len(np.unique(page.shot.reshape(-1, 3), axis=0)) > 1000
    assert "token" not in page.page.url


def test_full_resolution_shows_the_files_pixels(visit: Open, large: Drawn) -> None:
    x, y, zoom = 1700, 1200, 4
    page = visit(f"#image=0&x={x}&y={y}&zoom={zoom}&switched=labels")

    shown = page.shot
    for row, column in ((1200, 1700), (1150, 1650), (1250, 1720), (1199, 1751)):
        at = page.pixel(row, column, x, y, zoom)
        assert shown[at].tolist() == large.pixels[:, row, column].tolist()


def test_a_key_goes_to_full_resolution_and_back(visit: Open) -> None:
    page = visit()
    assert "28" in page.text("#place") or "%" in page.text("#place")

    page.page.keyboard.press("1")
    page.until("document.getElementById('place').textContent.includes(', 100 %')")
    page.page.keyboard.press("0")
    page.until("!document.getElementById('place').textContent.includes(', 100 %')")


def test_layers_appear_and_fade(visit: Open, large: Drawn) -> None:
    x, y, zoom = 1700.0, 1200.0, 4.0
    page = visit(f"#image=0&x={x}&y={y}&zoom={zoom}")
    at = page.pixel(1200, 1700, x, y, zoom)
    color = np.array(COLORS[large.labels[1200, 1700]])
    below = large.pixels[:, 1200, 1700].astype(float)

    page.page.locator("#opacity-2").fill("1")
    page.settle()
    assert page.shot[at].tolist() == color.tolist()
    page.page.locator("#opacity-2").fill("0.5")
    page.settle()
    assert np.abs(page.shot[at] - (color + below) / 2).max() <= 2
    page.page.locator("#layer-2").uncheck()
    page.settle()
    assert page.shot[at].tolist() == below.tolist()
    assert "switched=labels" in page.page.url


def test_a_class_is_switched_off_in_the_legend(visit: Open, large: Drawn) -> None:
    x, y, zoom = 1700.0, 1200.0, 4.0
    label = int(large.labels[1200, 1700])
    page = visit(f"#image=0&x={x}&y={y}&zoom={zoom}&opacity=labels%3A1")
    at = page.pixel(1200, 1700, x, y, zoom)
    assert page.shot[at].tolist() == list(COLORS[label])

    page.page.locator(f"#class-{label}").uncheck()
    page.settle()

    assert page.shot[at].tolist() == large.pixels[:, 1200, 1700].tolist()


def test_the_legend_counts_every_class(visit: Open, large: Drawn) -> None:
    page = visit()
    page.until("document.getElementById('summary').textContent.includes('IoU')")

    legend = page.text("#classes")
    for label, name in enumerate(NAMES):
        assert name in legend
        share = (large.labels == label).sum() / (large.labels != 255).sum()
        assert f"{100 * share:.1f} %" in legend
    assert "km²" in legend or "ha" in legend


@pytest.mark.parametrize("seed", range(2))
def test_a_click_tells_what_the_arrays_hold(seed: int, visit: Open, large: Drawn) -> None:
    rng = np.random.default_rng(seed)
    row, column = int(rng.integers(150, 2250)), int(rng.integers(250, 3150))
    x, y, zoom = column + 10, row - 10, 3
    page = visit(f"#image=0&x={x}&y={y}&zoom={zoom}")

    page.click(row, column, x, y, zoom)
    page.until("document.getElementById('answer').textContent.includes('row, column')")

    told = page.text("#answer")
    label = large.labels[row, column]
    assert f"{row}, {column}" in told
    assert ", ".join(map(str, large.pixels[:, row, column])) in told
    assert NAMES[large.truth[row, column]] in told
    if label != 255:
        assert NAMES[label] in told
        assert f"p({NAMES[label]})" in told
    assert "lon, lat" in told


def test_swiping_parts_two_layers_at_a_line(visit: Open, large: Drawn) -> None:
    x, y, zoom = 1700, 1200, 1
    faded = "opacity=labels%3A1,truth%3A1"
    page = visit(f"#image=0&x={x}&y={y}&zoom={zoom}&{faded}&swipe=labels,truth,0.5")

    shown = page.shot
    for row in (1000, 1200, 1400):
        for column, values in ((1500, large.labels), (1900, large.truth)):
            at = page.pixel(row, column, x, y, zoom)
            assert shown[at].tolist() == list(COLORS[values[row, column]])
    frame = page.page.locator("#divider").bounding_box()
    assert frame is not None
    page.page.mouse.move(frame["x"] + 12, frame["y"] + 300)
    page.page.mouse.down()
    page.page.mouse.move(frame["x"] - 288, frame["y"] + 300)
    page.page.mouse.up()
    page.settle()

    shown = page.shot
    at = page.pixel(1200, 1500, x, y, zoom)
    assert shown[at].tolist() == list(COLORS[large.truth[1200, 1500]])
    assert "swipe=labels,truth,0." in page.page.url


def test_errors_of_a_class_are_shown(visit: Open, large: Drawn) -> None:
    found, true = large.labels, large.truth
    rows, columns = np.nonzero((found == 1) & (true != 1))
    inner = (rows > 100) & (rows < 2300) & (columns > 100) & (columns < 3300)
    row, column = int(rows[inner][50]), int(columns[inner][50])
    page = visit(
        f"#image=0&x={column}&y={row}&zoom=4&switched=errors,labels&of=1&opacity=errors%3A1"
    )

    at = page.pixel(row, column, column, row, 4)
    assert page.shot[at].tolist() == [230, 159, 0]
    assert "false positive" in page.text("#errors")


def test_the_address_restores_the_view(visit: Open) -> None:
    first = visit()
    for key in ("1", "t", "b", "s"):
        first.page.keyboard.press(key)
    first.page.locator("#class-3").uncheck()
    first.settle()
    view = "#" + first.page.url.split("#")[1]

    again = visit(view)

    assert "#" + again.page.url.split("#")[1] == view
    # The same to the eye: images on the way to it may differ by a level.
    assert np.abs(first.shot.astype(int) - again.shot.astype(int)).mean() < 0.5


@pytest.mark.parametrize(
    "view", ["#image=-1&x=a&y=&zoom=0", "#image=99", "#%00&swipe=,,&hide=x,-1"]
)
def test_addresses_of_nothing_still_show_an_image(view: str, visit: Open) -> None:
    page = visit(view)

    assert page.text("#title") == "scene.tif"


def test_names_with_any_letters_come_back_from_an_address(visit: Open) -> None:
    page = visit()

    back = page.page.evaluate(
        """async () => {
          const { fresh, read, written } = await import("/page/view.js");
          const odd = ["a,b", "c:d", "100%", "e&f=g", "#h i+"];
          const view = { ...fresh(), switched: odd, opacity: { "c:d": 0.3, "a,b": 0.5 } };
          return [read(written(view)), view, read("#switched=%25,%").switched];
        }"""
    )

    assert back[0] == back[1]
    assert back[2] == ["%", "%"]


def test_the_page_fits_a_phone(visit: Open) -> None:
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)

    assert page.page.evaluate("document.documentElement.scrollWidth") == 390
    assert not page.page.locator("#panel").is_visible()
    page.page.locator("#toggle").tap()
    assert page.page.locator("#class-1").is_visible() or page.page.locator("#layers").is_visible()
    page.settle()
    small = page.page.evaluate(
        "[...document.querySelectorAll('nav button')].filter(of => of.offsetParent)"
        ".map(of => of.getBoundingClientRect()).filter(of => of.right > 390 || of.height < 32)"
        ".length"
    )
    assert small == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_light_or_dark_as_the_system_is(scheme: str, visit: Open) -> None:
    page = visit(color_scheme=scheme)

    def brightness() -> int:
        color = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return int(color.removeprefix("rgb(").split(",")[0])

    assert (brightness() > 128) == (scheme == "light")
    page.page.keyboard.press("d")
    assert (brightness() > 128) == (scheme == "dark")


def test_a_strip_of_images_is_sorted_and_chosen_from(visit: Open, tmp_path: Path) -> None:
    sets = [draw_files(tmp_path / name, Size(150, 200), seed) for seed, name in enumerate("ab")]
    files = [
        *find_files([sets[0].image], Named(labels=sets[0].label_file, truth=sets[0].truth_file)),
        *find_files([sets[1].image], Named(labels=sets[1].truth_file, truth=sets[1].truth_file)),
    ]
    photo = tmp_path / "another.jpg"
    write_picture(photo, picture(60, 80))
    with served(Gallery([*files, ImageFiles(image=photo)], Showing())) as client:
        page = visit(of=client)
        page.until("document.querySelectorAll('#images img').length === 3")
        page.until("document.getElementById('images').textContent.includes('100.0 %')")
        by_name = page.page.locator("#images button").all_inner_texts()
        page.page.locator("#order").select_option("score")
        by_score = page.page.locator("#images button").all_inner_texts()
        page.page.locator("#images button").nth(2).click()
        page.until("document.getElementById('title').textContent === 'another.jpg'")
        page.settle()
        page.page.context.close()

    assert by_name[0].startswith("another.jpg")
    assert "another.jpg" in by_score[2]
    assert "100.0 %" in by_score[1]


def test_a_file_that_changes_is_told_and_loaded_again(visit: Open, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    write_picture(photo, picture(60, 80))
    with served(Gallery([ImageFiles(image=photo)], Showing())) as client:
        page = visit(of=client)
        write_picture(photo, np.zeros((60, 90, 3), np.uint8), overwrite=True)
        page.until("document.querySelector('#told button')")
        page.page.locator("#told button").click()
        page.until("document.getElementById('place').textContent.startsWith('90')")
        page.settle()

        assert not page.page.locator("#told").is_visible()
        page.page.context.close()


def test_full_resolution_of_400_megapixels_shows_the_files_pixels(
    visit: Open, tmp_path: Path
) -> None:
    row, column, label = 15_360, 17_408, 2
    drawn = np.random.default_rng(0).integers(1, 255, (3, 256, 256), np.uint8)
    _mostly_empty(tmp_path / "huge.tif", drawn, row, column)
    labels = tmp_path / "labels.tif"
    _mostly_empty(labels, np.full((1, 256, 256), label, np.uint8), row, column)
    files = ImageFiles(image=tmp_path / "huge.tif", labels=labels)

    with served(Gallery([files], Showing())) as client:
        x, y, zoom = column + 128, row + 128, 4
        page = visit(f"#image=0&x={x}&y={y}&zoom={zoom}&switched=labels", of=client)
        shown = page.shot
        places = [(100, 90), (128, 128), (150, 200)]
        seen = [shown[page.pixel(row + of[0], column + of[1], x, y, zoom)] for of in places]
        page.click(row + 100, column + 90, x, y, zoom)
        page.until("document.getElementById('answer').textContent.includes('labels')")
        told = page.text("#answer")
        page.page.keyboard.press("0")
        page.settle()
        page.page.context.close()  # Which asks for as long as it is open.

    for color, (down, right) in zip(seen, places, strict=True):
        assert color.tolist() == drawn[:, down, right].tolist()
    assert f"{row + 100}, {column + 90}" in told
    assert f"class {label}" in told


def _mostly_empty(path: Path, drawn: NDArray[np.uint8], row: int, column: int) -> None:
    """A tiled file of 20,000 px a side, of which one tile is on the disk."""
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    kind = {"driver": "GTiff", "count": len(drawn), "dtype": "uint8", "sparse_ok": True}
    with (
        gdal_settings(),
        rasterio.open(path, "w", **kind, **tiles, height=20_000, width=20_000) as f,
    ):
        f.write(drawn, window=((row, row + 256), (column, column + 256)))


def test_classes_that_are_known_only_after_a_copy_come_into_the_legend(
    visit: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, prepare = threading.Event(), ShownFile.prepare

    def prepare_later(self: ShownFile, goes_on: Callable[[], bool]) -> None:
        assert gate.wait(PATIENCE_S)
        prepare(self, goes_on)

    monkeypatch.setattr("glnet.raster.spooling.KEPT_BYTES", 0)
    monkeypatch.setattr(ShownFile, "prepare", prepare_later)
    write_picture(tmp_path / "a.jpg", picture(60, 80))
    Image.fromarray(np.full((60, 80), 2, np.uint8)).save(tmp_path / "mask.png")
    files = ImageFiles(image=tmp_path / "a.jpg", truth=tmp_path / "mask.png")

    with served(Gallery([files], Showing())) as client:
        try:
            page = visit(of=client)
            before = page.text("#classes")
        finally:
            gate.set()
        page.until("document.getElementById('classes').textContent.includes('class 2')")
        page.page.close()

    assert before == ""
