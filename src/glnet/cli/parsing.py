"""Which command is meant, with which options; or one line that says what is wrong.

A command is a module of this folder with ``build_parser() -> ArgumentParser`` and
``run(options: Namespace) -> int``, and a line in `COMMANDS`; one whose options are a whole
configuration takes its words as they are, with ``run_words(words) -> int``. Only the command that
is asked for is imported, and what takes seconds to import only inside its ``run``.
"""

import re
from argparse import ArgumentError
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version

from jsonargparse import ArgumentParser

from glnet.cli.help import make_readable

COMMANDS = {
    "segment": "label every pixel of images of any size",
    "view": "show images and what lies on them in the browser",
    "estimate": "say what a prediction or a training will take, before it runs",
    "info": "say what a model is",
    "convert": "turn published checkpoints into a model",
    "train": "train stage by stage on a folder of labelled images",
    "evaluate": "measure a model's answers on labelled images",
    "report": "make one page of a training or an evaluation",
    "boxes": "draw how much is foreground before and after boxes (coarse to fine)",
    "reproduce": "make a table or figure of the paper from your images",
    "data": "check labelled images before they train",
    "demo": "train on drawn scenes and see what each branch sees",
}

REWORDINGS = (
    (r"Parser key \"([^\"]+)\":\s*", r"--\1: "),
    (r"Expected an? <class 'int'>\.", "expected a whole number."),
    (r"Expected an? <class 'float'>\.", "expected a number."),
    (r"Expected an? typing\.Literal\[(.*?)\]\.", r"expected one of \1."),
    (r"\. Got value: ", ", got "),
    (r"^argument ", ""),
)
"""From jsonargparse's words to those of somebody who types a command."""


class UsageError(Exception):
    """A command or option that does not exist, or a value that cannot be."""


def run_command(argv: Sequence[str]) -> int:
    """Parse the words after ``glnet`` and run what they ask for; returns the exit code.

    Raises:
        UsageError: If they make no sense.
    """
    name = next((word for word in argv if not word.startswith("-")), "")
    module = import_module(f"glnet.cli.{name}") if name in COMMANDS else None
    if module is not None and hasattr(module, "run_words"):
        done: int = module.run_words(argv[argv.index(name) + 1 :])
        return done
    parser: ArgumentParser = ArgumentParser() if module is None else module.build_parser()
    try:
        options = _whole_parser(name, parser).parse_args(list(argv))
    except ArgumentError as error:
        raise UsageError(_in_one_line(str(error), name, parser)) from error
    except SystemExit:  # --help and --version, which have said what they had to say.
        return 0
    if module is None:  # Only where parsing has let an unknown command pass.
        raise UsageError(f"expected one of {', '.join(COMMANDS)}")
    status: int = module.run(options[name])
    return status


def _whole_parser(name: str, parser: ArgumentParser) -> ArgumentParser:
    whole = ArgumentParser(
        prog="glnet",
        description="Segment images too large for a GPU.",
        exit_on_error=False,
        version=version("glnet"),
    )
    commands = whole.add_subcommands(dest="command", metavar="COMMAND")
    for command, summary in COMMANDS.items():
        chosen = parser if command == name else ArgumentParser()
        commands.add_subcommand(command, chosen, help=summary)
        make_readable(chosen, command)
    return whole


def _in_one_line(message: str, name: str, parser: ArgumentParser) -> str:
    for pattern, replacement in REWORDINGS:
        message = re.sub(pattern, replacement, message)
    message = " ".join(message.split())
    first, _, rest = message.partition(": ")
    if first.endswith("arguments are required"):
        keys = (key.removeprefix(f"{name}.") for key in rest.split(", "))
        return f"{first}: {', '.join(_as_typed(key, parser) for key in keys)}"
    if first.startswith("--"):
        return f"{_as_typed(first.removeprefix('--'), parser)}: {rest}"
    if first == "unrecognized arguments":
        return message + _suggestion(rest.split("=")[0].split()[0], parser._option_string_actions)
    if not name and "not provided" in message:
        return f"expected a command: {', '.join(COMMANDS)}; glnet --help says what they do"
    if name not in COMMANDS and "invalid choice" in message:
        return message + _suggestion(name, COMMANDS)
    return message


def _as_typed(key: str, parser: ArgumentParser) -> str:
    """How an option is typed, ``--patch-batch`` for ``patch_batch``."""
    for action in parser._actions:
        if action.dest == key:
            return action.option_strings[-1] if action.option_strings else str(action.metavar)
    return f"--{key}"


def _suggestion(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(near)}?" if near else ""
