"""Progress on stderr: a bar where somebody watches, else a line now and then."""

import json

import pytest

from glnet.cli.console import ProgressDisplay, complain, in_binary_units, say_json

Captured = pytest.CaptureFixture[str]


def test_a_terminal_sees_a_bar(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    display = ProgressDisplay("[red]scene.tif")
    display.advance("patches", 3, 8)
    display.advance("writing", 7, 9)
    display.stop()

    out, err = capsys.readouterr()
    assert out == ""
    assert "[red]scene.tif: writing" in err
    assert "7/9" in err


def test_a_log_file_gets_a_line_now_and_then(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 0.0, 4.0, 11.0, 12.0, 23.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now, 23.0))

    display = ProgressDisplay("scene.tif")
    for done in (0, 10, 20, 30):
        display.advance("patches", done, 40)
    display.stop()

    out, err = capsys.readouterr()
    assert out == ""
    assert 1 <= err.count("\n") <= 3
    assert err.startswith("glnet: scene.tif: patches ")
    assert "s left" in err


def test_work_that_is_soon_done_says_nothing(capsys: Captured) -> None:
    display = ProgressDisplay("scene.tif")
    display.advance("patches", 0, 1)
    display.advance("patches", 1, 1)
    display.stop()

    assert capsys.readouterr() == ("", "")


def test_an_error_is_always_one_line(capsys: Captured) -> None:
    complain("error: two\n  lines")

    assert capsys.readouterr().err == "glnet: error: two lines\n"


def test_json_keeps_letters_as_they_are(capsys: Captured) -> None:
    say_json({"class": "Wälder"})

    told = capsys.readouterr().out
    assert "Wälder" in told
    assert json.loads(told) == {"class": "Wälder"}


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "0.977 KiB"), (2**30, "1 GiB"), (3**30, "187 TiB")],
)
def test_sizes_have_three_digits(size: int, text: str) -> None:
    assert in_binary_units(size) == text


def test_a_phase_named_after_every_image_has_the_time_left_of_all(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    display = ProgressDisplay("evaluating")
    for done in range(4):
        clock[0] = 20.0 * done
        display.advance(f"image {done}", done, 10)
    display.stop()

    assert "image 3 3/10, about 140 s left" in capsys.readouterr().err
