"""Progress on stderr: a bar where somebody watches, else a line now and then."""

import json
import re
from io import BytesIO, TextIOWrapper

import pytest
from rich.text import Text

from glnet.cli.console import (
    WIDTH,
    ProgressDisplay,
    complain,
    drawn,
    plain_console,
    say,
    say_json,
)
from glnet.cli.training_display import TrainingDisplay, epoch_line
from glnet.evaluation.tables import Table
from glnet.training.progress import Moment

Captured = pytest.CaptureFixture[str]

CONTROL = set(map(chr, range(32))) - {"\n"}


def make_terminal(monkeypatch: pytest.MonkeyPatch, kind: str = "xterm", width: int = 80) -> None:
    """Have stderr be a terminal for the rest of a test."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for name, value in (("TERM", kind), ("COLUMNS", str(width)), ("LINES", "24")):
        monkeypatch.setenv(name, value)


def test_a_terminal_sees_a_bar(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    make_terminal(monkeypatch)

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

    assert "image 3 3/10, about 2 min 20 s left" in capsys.readouterr().err


def test_a_bar_stays_on_one_line_of_80_letters(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_terminal(monkeypatch)
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    display = ProgressDisplay("a_scene_with_a_name_that_is_" + "very_" * 20 + "long.tif")
    display.advance("patches, region 1 of 1000", 0, 120)
    clock[0] = 1e5
    display.advance("patches, region 123 of 1000", 119, 120)
    display.stop()

    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = [line for line in re.split(r"[\r\n]", shown) if line.strip()]
    assert max(map(len, lines)) <= 80
    assert "region 123 of 1000" in lines[-1]
    assert "119/120" in lines[-1]
    assert lines[-1].rstrip().endswith("left")


@pytest.mark.parametrize("forced", ["FORCE_COLOR", "TTY_INTERACTIVE", "CLICOLOR_FORCE"])
def test_a_log_file_has_no_control_characters_whatever_is_forced(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, forced: str
) -> None:
    monkeypatch.setenv(forced, "1")
    monkeypatch.setattr("glnet.cli.console.SECONDS_BETWEEN_LINES", 0)

    display = ProgressDisplay("scene.tif")
    display.announce("will take long")
    display.advance("patches", 3, 8)
    display.stop()
    plain_console().print(Text("words", style="bold red"))
    say(drawn(Table("title", ("a", "b"), (("x", "1"),))))

    out, err = capsys.readouterr()
    assert "patches 3/8" in err
    assert "will take long" in err
    assert not CONTROL & set(out + err)


def test_a_dumb_terminal_is_told_in_lines(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_terminal(monkeypatch, "dumb")
    monkeypatch.setattr("glnet.cli.console.SECONDS_BETWEEN_LINES", 0)

    display = ProgressDisplay("scene.tif")
    display.advance("patches", 3, 8)
    display.stop()

    err = capsys.readouterr().err
    assert err.startswith("glnet: scene.tif: patches 3/8")
    assert not CONTROL & set(err)


def test_lines_of_progress_fit_whatever_an_image_is_called(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glnet.cli.console.SECONDS_BETWEEN_LINES", 0)

    display = ProgressDisplay("long_" * 40 + "name.tif")
    display.advance("patches, region 1 of 30", 0, 30)
    display.advance("patches, region 12 of 30", 12, 30)
    display.stop()

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= WIDTH
    assert "patches, region 12 of 30 12/30, about " in lines[-1]


def test_the_time_left_is_that_of_all_regions(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    display = ProgressDisplay("scene")
    for region in range(1, 4):
        for phase, done in (("patches", 0), ("patches", 10), ("global part", 5)):
            display.advance(f"{phase}, region {region} of 10", done, 10)
            clock[0] += 20.0
    display.stop()

    # Three regions in 160 seconds.
    assert "region 3 of 10 5/10, about 6 min 13 s left" in capsys.readouterr().err


def test_letters_that_a_stream_lacks_end_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)

    say(drawn(Table("Wälder", ("class", "share"), (("Größe", "1.0"),))))

    stream.seek(0)
    assert stream.read().splitlines() == [
        "W?lder",
        "class  share",
        "------------",
        "Gr??e    1.0",
    ]


def test_a_long_epoch_has_a_line_every_minute_and_a_short_one_its_own(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    display = TrainingDisplay()

    for step in range(8):
        clock[0] = 20.0 * step
        display.step("local", step, 100)
        if step == 4:
            display.epoch(Moment("local", 1, 25, 0.5, None, 80.0, 1920.0))
    display.close()

    assert capsys.readouterr().err.splitlines() == [
        "glnet: training: local 3/100, about 32 min 20 s left",
        "glnet: local: epoch 1 of 25, loss 0.5000, 32 min left",
        "glnet: training: local 7/100, about 31 min 0 s left",
    ]


def test_the_last_epoch_says_what_the_stage_took() -> None:
    moment = Moment("refined", 120, 120, 0.1546, 0.696, 5999.0, 0.0)

    line = epoch_line(moment)

    assert line == "refined: epoch 120 of 120, loss 0.1546, validation mIoU 69.6, took 100 min"
    assert len(f"glnet: {line}") <= WIDTH + 1
