"""Numbers and names as people read them, on a terminal or a page."""

import re

SECONDS_PER_MINUTE, SECONDS_PER_HOUR = 60, 3600
MOST_OF_A_UNIT = 100
"""Seconds or minutes, where a time is told in one of them alone."""

UNIT = re.compile(r", (?:box|region|way) (\d+) of (\d+)")
"""How phases say which of several is at hand (`glnet.inference.predicting.numbered`)."""

WITHIN_A_UNIT = "global part"
"""A short phase behind the patches of each unit: nearly all of the unit is done by then."""


def duration(seconds: float) -> str:
    """A time as people say it: ``42 s``, ``3 min 5 s``, ``2 h 7 min``."""
    whole = round(seconds)
    if whole < SECONDS_PER_MINUTE:
        return f"{whole} s"
    if whole < SECONDS_PER_HOUR:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def roughly(seconds: float) -> str:
    """A time in one unit, for what is an estimate anyway: ``42 s``, ``12 min``, ``7 h``."""
    if seconds < MOST_OF_A_UNIT:
        return f"{round(seconds)} s"
    if seconds < MOST_OF_A_UNIT * SECONDS_PER_MINUTE:
        return f"{round(seconds / SECONDS_PER_MINUTE)} min"
    return f"{round(seconds / SECONDS_PER_HOUR)} h"


def in_binary_units(size: int) -> str:
    """A number of bytes in few digits, such as "1.2 GiB"."""
    value, units = float(size), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1000 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.3g} {units[0]}"


def shortened(text: str, width: int) -> str:
    """A text of at most so many letters: of a longer one, its beginning and its end."""
    if len(text) <= width:
        return text
    if width < 5:
        return text[: max(0, width)]
    first = (width - 3) // 2
    return f"{text[:first]}...{text[len(text) - (width - 3 - first) :]}"


def listed(parts: list[str], width: int, indent: int = 2) -> str:
    """Parts with commas between, broken into lines where one would be wider; no part is broken."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 2 + len(part) + 1 > width:
            lines[-1] += ","
            lines.append(" " * indent + part)
        else:
            lines[-1] += f", {part}"
    return "\n".join(lines)


def share_of(phase: str, done: int, total: int) -> float:
    """How much of a phase is done, 0..1: of all of its boxes, regions and ways together."""
    units = UNIT.findall(phase)
    share = done / total if total else 0.0
    if units and phase.startswith(WITHIN_A_UNIT):
        share = 1.0
    for number, count in reversed(units):
        share = (int(number) - 1 + share) / max(1, int(count))
    return min(1.0, share)
