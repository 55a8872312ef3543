"""What the server says of an image, against the arrays that it was made of."""

import time
from typing import Any

import numpy as np
import pytest

from glnet.viewing.layers import ERROR_COLORS, MISSED, TOO_MUCH, WRONG
from glnet.viewing.survey import Survey
from tests.viewing.conftest import SIZE
from tests.viewing.drawn_files import COLORS, NAMES, Drawn
from tests.viewing.served import NEEDS_PAGE, PATIENCE_S, Client

pytestmark = NEEDS_PAGE

IMAGE, TRUTH, LABELS, CONFIDENCE, ERRORS = range(5)

TILE = 512


def test_layers_are_those_of_the_files(client: Client) -> None:
    answer = client.ask("/api/images/0").json

    assert [of["name"] for of in answer["layers"]] == [
        *("image", "truth", "labels", "confidence", "errors")
    ]
    assert (answer["height"], answer["width"]) == (SIZE.height, SIZE.width)
    assert [of["name"] for of in answer["classes"]] == NAMES
    assert answer["crs"] == "EPSG:32633"
    assert answer["metres_per_pixel"] == pytest.approx(0.5)
    assert len(answer["boxes"]) == 1


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 1), (2, 2)])
def test_the_image_at_full_resolution_is_the_file(
    row: int, column: int, client: Client, drawn: Drawn
) -> None:
    shown = client.tile(IMAGE, 0, row, column).pixels

    part = drawn.pixels[:, row * TILE :, column * TILE :][:, :TILE, :TILE]
    assert np.array_equal(shown[..., :3], np.moveaxis(part, 0, 2))
    assert (shown[..., 3] == 255).all()


@pytest.mark.parametrize("zoom", [1, 2])
def test_the_image_in_small_is_near_its_means(zoom: int, client: Client, drawn: Drawn) -> None:
    shown = client.tile(IMAGE, zoom, 0, 0).pixels[..., :3].astype(float)

    side = 1 << zoom
    height, width = (length // side * side for length in drawn.labels.shape)
    blocks = drawn.pixels[:, :height, :width].reshape(3, height // side, side, width // side, side)
    means = np.moveaxis(blocks.mean(axis=(2, 4)), 0, 2)[:TILE, :TILE]
    rows, columns = means.shape[:2]
    assert np.abs(shown[:rows, :columns] - means).mean() < 4  # A JPEG of noise.


@pytest.mark.parametrize(("layer", "what"), [(LABELS, "labels"), (TRUTH, "truth")])
def test_labels_have_the_colours_of_their_classes(
    layer: int, what: str, client: Client, drawn: Drawn
) -> None:
    shown = client.tile(layer, 0, 1, 0).pixels

    values = getattr(drawn, what)[TILE : 2 * TILE, :TILE]
    assert_labels(shown, values, ())


def test_labels_without_a_class_are_not_shown(client: Client, drawn: Drawn) -> None:
    assert (drawn.labels[:50, :60] == 255).all()

    assert (client.tile(LABELS, 0, 0, 0).pixels[:50, :60, 3] == 0).all()


def test_classes_that_are_switched_off_are_not_shown(client: Client, drawn: Drawn) -> None:
    shown = client.tile(LABELS, 0, 1, 0, "?hide=0,2").pixels

    assert_labels(shown, drawn.labels[TILE : 2 * TILE, :TILE], (0, 2))


def assert_labels(shown: np.ndarray, values: np.ndarray, hidden: tuple[int, ...]) -> None:
    is_seen = (values != 255) & ~np.isin(values, hidden)
    assert np.array_equal(shown[..., 3] == 255, is_seen)
    assert np.array_equal(shown[is_seen][:, :3], np.array(COLORS)[values[is_seen]])


def test_confidence_is_brighter_where_it_is_sure(client: Client, drawn: Drawn) -> None:
    shown = client.tile(CONFIDENCE, 0, 1, 1).pixels[..., :3].astype(float)

    light = shown @ [0.2126, 0.7152, 0.0722]
    sure = drawn.confidence[TILE : 2 * TILE, TILE : 2 * TILE]
    assert np.corrcoef(light.ravel(), sure.ravel())[0, 1] > 0.97


def test_errors_are_where_labels_and_truth_differ(client: Client, drawn: Drawn) -> None:
    shown = client.tile(ERRORS, 0, 0, 0).pixels

    is_wrong = (drawn.labels != drawn.truth)[:TILE, :TILE]
    assert is_wrong.any()
    assert np.array_equal(shown[..., 3] == 255, is_wrong)
    assert (shown[is_wrong][:, :3] == ERROR_COLORS[WRONG]).all()


@pytest.mark.parametrize("label", range(len(NAMES)))
def test_errors_of_a_class_are_those_too_much_and_those_missed(
    label: int, client: Client, drawn: Drawn
) -> None:
    shown = client.tile(ERRORS, 0, 0, 0, f"?of={label}").pixels

    labels, truth = drawn.labels[:TILE, :TILE], drawn.truth[:TILE, :TILE]
    for kind, expected in (
        (TOO_MUCH, (labels == label) & (truth != label)),
        (MISSED, (labels != label) & (truth == label)),
    ):
        found = (shown[..., 3] == 255) & (shown[..., :3] == ERROR_COLORS[kind]).all(axis=2)
        assert np.array_equal(found, expected)


def test_a_tile_is_kept_by_the_browser_and_by_the_server(client: Client) -> None:
    first, again = client.tile(IMAGE, 0, 0, 1), client.tile(IMAGE, 0, 0, 1)

    assert first.body == again.body
    assert "immutable" in first.headers["cache-control"]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1099, 1399), (600, 700)])
def test_a_pixel_is_what_the_files_say(row: int, column: int, client: Client, drawn: Drawn) -> None:
    answer = client.ask(f"/api/images/0/pixel/{row}/{column}").json

    label = int(drawn.labels[row, column])
    assert answer["values"] == drawn.pixels[:, row, column].tolist()
    assert answer["layers"]["truth"]["name"] == NAMES[drawn.truth[row, column]]
    assert answer["map"] == [412_000 + (column + 0.5) / 2, 5_820_000 - (row + 0.5) / 2]
    if label == 255:
        assert answer["layers"]["labels"]["label"] is None
        assert answer["confidence"] is None
        return
    assert answer["layers"]["labels"]["label"] == label
    assert answer["confidence"] == pytest.approx(drawn.confidence[row, column], abs=1 / 254)
    assert answer["probabilities"] == pytest.approx(
        drawn.probabilities[:, row, column], abs=1 / 254
    )


def test_what_is_counted_is_in_the_arrays(client: Client, drawn: Drawn) -> None:
    counted = survey_of(client)

    is_known = drawn.labels != 255
    assert counted["accuracy"] == pytest.approx((drawn.labels == drawn.truth).mean())
    assert counted["confidence"] == pytest.approx(drawn.confidence[is_known].mean(), abs=1e-3)
    assert counted["nodata_pixels"] == int((~is_known).sum())
    overlaps = []
    for label in range(len(NAMES)):
        found, true = drawn.labels == label, drawn.truth == label
        overlaps.append((found & true).sum() / (found | true).sum())
        of = counted["classes"][str(label)]
        assert of["pixels"] == int(found.sum())
        assert of["share"] == pytest.approx(found.sum() / is_known.sum())
        assert of["square_metres"] == pytest.approx(found.sum() / 4)
        assert of["iou"] == pytest.approx(overlaps[-1])
    assert counted["score"] == pytest.approx(np.mean(overlaps))


def survey_of(client: Client) -> Any:  # noqa: ANN401 - whatever the server says
    """Once it has been counted, which begins when somebody looks at the images."""
    client.ask("/api/images")
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        state = client.ask("/api/images/0/state").json
        if state["is_done"]:
            return state["survey"]
        time.sleep(0.05)
    raise AssertionError("nothing was counted")


def test_a_class_that_is_nowhere_has_no_overlap() -> None:
    pixels = np.zeros(256, np.int64)
    matrix = np.zeros((256, 256), np.int64)
    matrix[0, 0], matrix[0, 1], matrix[255, 3] = 3, 1, 5

    counted = Survey(pixels, None, None, matrix, None)

    assert counted.overlaps == {0: 0.75, 1: 0.0}
    assert counted.accuracy == 0.75


def test_an_image_is_shown_in_small(client: Client) -> None:
    survey_of(client)

    shown = client.ask("/api/images/0/thumbnail").pixels
    assert shown.shape[:2] == (round(160 * 1100 / 1400), 160)


def test_the_page_names_only_files_that_there_are(client: Client) -> None:
    page = client.ask("/").body.decode()

    named = [part.split('"')[0] for part in page.split('="/page/')[1:]]
    assert len(named) >= 4
    for name in named:
        assert client.ask(f"/page/{name}").status == 200
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
