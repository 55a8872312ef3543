"""Small pieces of HTML for notebooks; what others have named is escaped."""

import base64
from collections.abc import Sequence
from html import escape
from typing import NewType

Html = NewType("Html", str)
"""Text that is HTML already, and is not escaped."""

CELL = "padding:0.15em 0.7em"


def text(words: object) -> Html:
    """Any words, as they are."""
    return Html(escape(str(words)))


def swatch(color: tuple[int, int, int] | None) -> Html:
    """A small square of a colour; nothing where there is none."""
    if color is None:
        return Html("")
    red, green, blue = color
    return Html(
        "<span style='display:inline-block;width:0.8em;height:0.8em;margin-right:0.4em;"
        f"border:1px solid #888;background:rgb({red:d},{green:d},{blue:d})'></span>"
    )


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, labels: int = 1, title: str = ""
) -> Html:
    """Words in rows; columns behind the first ``labels`` are numbers, and stand to the right.

    Args:
        head: Above the columns; none for no head.
        rows: Below it.
        labels: How many columns are words.
        title: Above all of it.
    """
    lines = ["<table style='border-collapse:collapse'>"]
    if title:
        lines.append(f"<caption style='text-align:left'><b>{escape(title)}</b></caption>")
    if head:
        lines.append(_row([text(word) for word in head], labels, "th"))
    lines += [_row([text(word) for word in row], labels, "td") for row in rows]
    return Html("".join([*lines, "</table>"]))


def facts(title: str, pairs: Sequence[tuple[str, str]]) -> Html:
    """What is what, a line each, under a title."""
    return table((), pairs, labels=2, title=title)


def picture(png: bytes, words: str, width: int) -> Html:
    """A picture that is part of the page, as wide as its pixels at most."""
    data = base64.b64encode(png).decode()
    return Html(
        f"<img src='data:image/png;base64,{data}' alt='{escape(words)}' width='{width:d}' "
        "style='max-width:100%;height:auto'>"
    )


def _row(row: Sequence[Html], labels: int, tag: str) -> str:
    sides = ["left" if number < labels else "right" for number in range(len(row))]
    return (
        "<tr>"
        + "".join(
            f"<{tag} style='text-align:{side};{CELL}'>{cell}</{tag}>"
            for side, cell in zip(sides, row, strict=True)
        )
        + "</tr>"
    )
