"""The entry of the command ``glnet``, and how it fails: one line on stderr, exit code 1."""

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress

from glnet.cli.console import complain
from glnet.cli.parsing import UsageError, run_command
from glnet.errors import GLNetError

FAILURE = 1

TRAINING_LIBRARIES = {"lightning", "tensorboard", "matplotlib", "jinja2"}
"""What prediction does without; the extra ``train`` has them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        argv: The words after ``glnet``; those of this process by default, which then also stops
            showing the warnings of libraries (``python -W`` brings them back).
    """
    if argv is None:
        _keep_terminal_clean()
        argv = sys.argv[1:]
    try:
        status = run_command(argv)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # Nobody reads on, such as after ``| head``: no news to anybody.
        pass
    except (Exception, KeyboardInterrupt) as error:
        text = _in_words(error)
        if text is None:
            error.add_note(
                "This is a mistake in glnet, not in how it was called; please report it."
            )
            raise
        complain(text)
    _forget_unwritable_stdout()
    return FAILURE


def _in_words(error: BaseException) -> str | None:
    """What the user is told of an error; None for one that nobody foresaw."""
    match error:
        case GLNetError() | UsageError() | OSError():
            return f"error: {error}"
        case KeyboardInterrupt():
            return (
                "interrupted; results that were finished are kept, no half-written one is left; "
                "where a command has --resume, it goes on from what a long run has noted "
                "(reproduce: the same call)"
            )
        case MemoryError():
            return "error: not enough memory; close other programs or work on fewer patches at once"
        case ModuleNotFoundError(name=name) if name in TRAINING_LIBRARIES:
            return f"error: this needs {name}; install it with: pip install 'glnet[train]'"
        case _:
            return None


def _keep_terminal_clean() -> None:
    """Keep what libraries tell programmers from those who only use a command."""
    if sys.warnoptions:
        return
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # Where timm fetches weights from.
    # Libraries written in C print to the stream itself, such as libtiff on a full disk, beside the
    # error that we report. Python's own stderr moves to a copy of it, tracebacks included.
    sys.stderr = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1, errors="replace")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _forget_unwritable_stdout() -> None:
    """Keep Python from trying again, and failing again, when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
