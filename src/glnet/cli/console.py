"""What people see: results on stdout, progress and errors on stderr.

Where a stream is no terminal, such as a log file, no control character is written to it: no colour,
no cursor, and in place of a bar a line now and then. A terminal that is ``dumb`` counts as none.
"""

import json
import sys
import time
from io import StringIO
from typing import TextIO

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from glnet.evaluation import tables
from glnet.wording import UNIT, duration, in_binary_units, share_of, shortened

__all__ = [
    "WIDTH",
    "ProgressDisplay",
    "complain",
    "drawn",
    "in_binary_units",
    "in_lines",
    "plain_console",
    "ruled",
    "say",
    "say_json",
]

WIDTH = 80
"""Of tables and lines, in letters, as far as that can be."""

SECONDS_BETWEEN_LINES = 10
"""Of progress, where stderr is no terminal."""

BAR_WIDTH = 12
TIME_WIDTH = 17
"""Of the longest usual time left, ``59 min 59 s left``."""


def say(text: str) -> None:
    """Print a result, for people; letters that the stream does not have become question marks."""
    encoding = _encoding()
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()  # A pipe or a file would keep it until the end, which may be far.


def say_json(value: object) -> None:
    """Print a result, for programs."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def complain(text: str) -> None:
    """Print what went wrong, in one line."""
    sys.stderr.write(f"glnet: {' '.join(text.split())}\n")


def plain_console(file: TextIO | None = None) -> Console:
    """For results: with colours on a terminal, without any control character elsewhere."""
    file = sys.stdout if file is None else file
    return Console(
        file=file,
        highlight=False,
        soft_wrap=True,
        force_terminal=file.isatty(),
        width=None if file.isatty() else WIDTH,
    )


def ruled(title: str) -> Table:
    """An empty table as all of ours look: a line under its head and nothing between columns."""
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )


def drawn(words: tables.Table) -> str:
    """A table of words in 80 columns; names are broken where there is no room, numbers never."""
    table = ruled(words.title)
    for number, title in enumerate(words.head):
        is_label = number < words.labels
        table.add_column(
            title,
            justify="left" if is_label else "right",
            overflow="fold",
            min_width=None if is_label else 5,
        )
    for row in words.rows:
        table.add_row(*(Text(word) for word in row))
    return in_lines(table)


def in_lines(table: Table) -> str:
    """A table as text for stdout, with a rule that its encoding has."""
    sheet = StringIO()
    Console(file=sheet, width=WIDTH, force_terminal=False).print(table)
    text = "\n".join(line.rstrip() for line in sheet.getvalue().rstrip().splitlines())
    return text if _has(RULE) else text.replace(RULE, "-")


RULE = "─"
"""What a table's line is made of."""


def _has(letter: str) -> bool:
    """Whether stdout has a letter."""
    try:
        letter.encode(_encoding())
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


class ProgressDisplay:
    """Shows how one piece of work comes along: a bar on a terminal, else a line now and then.

    Shown until `stop`.

    Args:
        title: What is worked on.
        every: Seconds between lines where there is no terminal for a bar; a note is one too.
    """

    def __init__(self, title: str, *, every: float | None = None) -> None:
        self._title = title
        self._every = SECONDS_BETWEEN_LINES if every is None else every
        self._bar = _bar()
        self._task = TaskID(0)
        if self._bar is not None:
            text = shortened(title, WIDTH // 2)
            self._task = self._bar.add_task(text, total=None, count="", left="")
        self._seen = (0.0, 0)
        self._announcement: str | None = None
        self._began = self._phase_began = self._last_line = time.monotonic()
        self._share_began = 0.0
        if self._bar is not None:
            self._bar.start()

    def advance(self, phase: str, done: int, total: int) -> None:
        """So many steps of a phase are done."""
        share = share_of(phase, done, total)
        # A phase may be named after the image at hand: a new one begins where counting does.
        share_before, total_before = self._seen
        if share < share_before or (total != total_before and UNIT.search(phase) is None):
            self._phase_began, self._share_began = time.monotonic(), share
        self._seen = (share, total)
        if self._announcement is not None and self._has_lasted():
            self.note(f"{self._title}: {self._announcement}")
            self._announcement = None
        if self._bar is not None:
            self._draw(self._bar, phase, f"{done}/{total}", share)
        elif time.monotonic() - self._last_line >= self._every:
            self._last_line = time.monotonic()
            left = self._time_left(share)
            tail = f"{phase} {done}/{total}{left and f', about {left}'}"
            title = shortened(self._title, max(12, WIDTH - len(f"glnet: : {tail}")))
            complain(f"{title}: {tail}")

    def _draw(self, bar: Progress, phase: str, count: str, share: float) -> None:
        width = max(WIDTH // 4, min(bar.console.width, 2 * WIDTH))
        room = width - BAR_WIDTH - len(count) - TIME_WIDTH - 3
        text = f"{shortened(self._title, max(12, room - len(phase) - 2))}: {phase}"
        bar.update(
            self._task,
            description=shortened(text, max(12, room)),
            completed=share,
            total=1,
            count=count,
            left=self._time_left(share),
        )

    def _time_left(self, share: float) -> str:
        """Of this phase, all of its units together; empty where nobody knows."""
        if share <= self._share_began:
            return ""
        pace = (time.monotonic() - self._phase_began) / (share - self._share_began)
        return f"{duration(pace * (1 - share))} left"

    def announce(self, text: str) -> None:
        """Say what is going on, once it has gone on for so long that somebody may ask."""
        self._announcement = text

    def _has_lasted(self) -> bool:
        return time.monotonic() - self._began >= SECONDS_BETWEEN_LINES

    def note(self, text: str) -> None:
        """Print a line of its own, above the bar."""
        if self._bar is not None:
            # Broken between words, at the width that there is.
            self._bar.console.print(f"glnet: {text}", markup=False, highlight=False)
        else:
            self._last_line = time.monotonic()
            complain(text)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


def _bar() -> Progress | None:
    """A bar on stderr, if that is a terminal on which lines can be drawn again."""
    console = Console(stderr=True)
    if not sys.stderr.isatty() or console.is_dumb_terminal:
        return None
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=BAR_WIDTH),
        TextColumn("{task.fields[count]}", markup=False),
        TextColumn("{task.fields[left]}", markup=False),
        console=console,
        transient=True,
    )
