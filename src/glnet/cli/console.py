"""What people see: results on stdout, progress and errors on stderr."""

import json
import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 10
"""Of progress, where stderr is no terminal."""


def say(text: str) -> None:
    """Print a result, for people."""
    sys.stdout.write(text + "\n")


def say_json(value: object) -> None:
    """Print a result, for programs."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def complain(text: str) -> None:
    """Print what went wrong, in one line."""
    sys.stderr.write(f"glnet: {' '.join(text.split())}\n")


def in_binary_units(size: int) -> str:
    """A number of bytes in few digits, such as "1.2 GiB"."""
    value, units = float(size), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1000 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.3g} {units[0]}"


class ProgressDisplay:
    """Shows how one piece of work comes along: a bar on a terminal, else a line now and then.

    Shown until `stop`.

    Args:
        title: What is worked on.
        lines: Whether there are lines where there is no terminal for a bar.
    """

    def __init__(self, title: str, *, lines: bool = True) -> None:
        self._title = title
        self._has_lines = lines
        console = Console(stderr=True)
        self._bar = (
            Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
                transient=True,
            )
            if console.is_terminal
            else None
        )
        self._task = TaskID(0) if self._bar is None else self._bar.add_task(title, total=None)
        self._seen = (0, 0)
        self._announcement: str | None = None
        self._began = self._phase_began = self._last_line = time.monotonic()
        if self._bar is not None:
            self._bar.start()

    def advance(self, phase: str, done: int, total: int) -> None:
        """So many steps of a phase are done."""
        # A phase may be named after the image at hand: a new one begins where counting does.
        done_before, total_before = self._seen
        if done < done_before or total != total_before:
            self._phase_began = time.monotonic()
            if self._bar is not None:
                self._bar.reset(self._task)
        self._seen = (done, total)
        if self._announcement is not None and self._has_lasted():
            self.note(f"{self._title}: {self._announcement}")
            self._announcement = None
        if self._bar is not None:
            text = f"{self._title}: {phase}"
            self._bar.update(self._task, description=text, completed=done, total=total)
        elif self._has_lines and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            complain(f"{self._title}: {phase} {done}/{total}{self._time_left(done, total)}")

    def _time_left(self, done: int, total: int) -> str:
        if done == 0:
            return ""
        left = (time.monotonic() - self._phase_began) * (total - done) / done
        return f", about {left:.0f} s left"

    def announce(self, text: str) -> None:
        """Say what is going on, once it has gone on for so long that somebody may ask."""
        self._announcement = text

    def _has_lasted(self) -> bool:
        return time.monotonic() - self._began >= SECONDS_BETWEEN_LINES

    def note(self, text: str) -> None:
        """Print a line of its own, above the bar."""
        if self._bar is not None:
            self._bar.console.print(f"glnet: {text}", markup=False, highlight=False, soft_wrap=True)
        else:
            complain(text)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
