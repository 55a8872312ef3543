"""The command as a whole: help, wrong words, and how it ends when it cannot go on."""

from importlib.metadata import version
from pathlib import Path

import pytest

from glnet.cli.main import main
from glnet.cli.parsing import COMMANDS
from tests.cli.commands import only_line, run, start

Captured = pytest.CaptureFixture[str]


def test_help_lists_the_commands(capsys: Captured) -> None:
    status = run("--help")

    assert status == 0
    listed = capsys.readouterr().out
    assert all(command in listed for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: Captured) -> None:
    status = run(command, "--help")

    assert status == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: glnet {command} ")
    assert not any(words in said for words in ("Literal", "type: ", "default: null", "()"))


def test_version_is_that_of_the_package(capsys: Captured) -> None:
    status = run("--version")

    assert status == 0
    assert capsys.readouterr().out == f"glnet {version('glnet')}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", f"expected a command: {', '.join(COMMANDS)}; glnet --help"),
        ("sgement a.tif", "did you mean segment?"),
        ("--modle", "unrecognized arguments: --modle"),
        ("segment", "required: --model, --output"),
        ("segment --model m --output o", "expected an IMAGE, or --list with a file"),
        ("segment a.tif --output b.tif", "required: --model"),
        ("segment a.tif --model m --output b.tif --ovrlay", "did you mean --overlay or"),
        ("segment a.tif --model m --output b.tif --patch_batch 2", "did you mean --patch-batch?"),
        ("segment a.tif --model m --output b.tif --patch-batch=x", "--patch-batch: expected a who"),
        ("segment a.tif --model m --output b.tif --patch-batch", "--patch-batch: expected one arg"),
        ("segment a.tif --model m --output b.tif --device tpu", "auto, cpu or cuda, got tpu"),
        ("segment a.tif --model m --output b --device model", ", got model"),
        ("segment a.tif --model m --output b.tif c.segment.d", "arguments: c.segment.d"),
        ("info", "required: MODEL"),
        ("info m --jason", "did you mean --json?"),
        ("convert --output m", "required: FILE"),
        ("convert a.pth --output m --patch-size small", "--patch-size: expected a whole number"),
    ],
)
def test_wrong_words_are_told_in_one_line(words: str, said: str, capfd: Captured) -> None:
    status = run(*words.split())

    assert status == 1
    line = only_line(capfd)
    assert line.startswith("error: ")
    assert said in line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (MemoryError(), "error: not enough memory"),
    ],
)
def test_what_stops_a_command_is_told_in_one_line(
    error: BaseException, said: str, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    monkeypatch.setattr("glnet.cli.main.run_command", _raiser(error))

    status = main([])

    assert status == 1
    assert said in only_line(capfd)


def test_a_mistake_in_glnet_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glnet.cli.main.run_command", _raiser(ZeroDivisionError("ours")))

    with pytest.raises(ZeroDivisionError) as caught:
        main([])

    assert "please report it" in caught.value.__notes__[0]


def test_a_reader_that_has_left_is_no_error_to_talk_about() -> None:
    before = "import glnet.cli.main as entry; entry.run_command = lambda words: print(words)"
    process = start("info", before=before)
    assert process.stdout is not None
    assert process.stderr is not None

    process.stdout.close()

    assert process.stderr.read() == ""
    assert process.wait() == 1
    process.stderr.close()


def test_segmenting_needs_neither_lightning_nor_warnings(
    photo: Path, model: Path, output: Path
) -> None:
    before = "sys.modules['lightning'] = None"

    process = start("segment", photo, "--model", model, "--output", output, before=before)
    out, err = process.communicate(timeout=120)

    assert (process.returncode, err) == (0, "")
    assert out.startswith(f"{output / 'photo.tif'}: 130x170")


def test_help_and_wrong_words_do_not_wait_for_torch() -> None:
    before = "import atexit; atexit.register(lambda: print('torch' in sys.modules))"

    for words in (("segment", "--help"), ("segment",), ("--help",)):
        process = start(*words, before=before)
        out, _ = process.communicate(timeout=60)
        assert out.endswith("False\n")


def _raiser(error: BaseException) -> object:
    def fail(*_: object) -> int:
        raise error

    return fail
