"""A table of results beside the paper's: as a page, as comma-separated values, as a picture."""

import csv
import io
from pathlib import Path

from glnet.evaluation.tables import Table, as_markdown
from glnet.reproduction.results import QUICK, ResultRow, ResultTable, known
from glnet.reproduction.table_picture import table_picture
from glnet.training.following.files import write_whole

__all__ = ["ResultRow", "ResultTable", "write_table", "table_page", "table_values"]

PAGE, VALUES, PICTURE = "table.md", "table.csv", "table.png"


def write_table(folder: Path, table: ResultTable) -> list[Path]:
    """Write ``table.md``, ``table.csv`` and ``table.png``, each whole; what is there is replaced.

    Everything is made before anything is written. The folder is made.

    Raises:
        OutputError: If a file cannot be written.
    """
    contents: dict[str, bytes | str] = {
        PICTURE: table_picture(table),
        VALUES: table_values(table),
        PAGE: table_page(table),
    }
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]


def table_page(table: ResultTable) -> str:
    """The table as Markdown: heading, what was run, the table, its picture, notes."""
    has_skipped = any(row.skipped for row in table.rows)
    head = ("", *table.columns, *(["remark"] if has_skipped else []))
    rows = []
    for row in table.rows:
        remark = [f"skipped: {row.skipped}" if row.skipped else ""] if has_skipped else []
        rows.append((row.label, *(table.words(row, name) for name in table.columns), *remark))
    warning = [f"**{_capital(QUICK)}.**", ""] if table.is_quick else []
    words = as_markdown(Table("Results", head, tuple(rows)))
    lines = [f"# {table.title}", "", *warning, " ".join(table.about.split()), "", words]
    lines += [f"![{table.title}]({PICTURE})", ""]
    notes = [" ".join(note.split()) for note in table.notes]
    notes += [f"{row.label}: {' '.join(row.note.split())}" for row in table.rows if row.note]
    if notes:
        lines += ["## Notes", "", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def table_values(table: ResultTable) -> str:
    """The table as comma-separated values, with all digits; empty where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["key", "label", *table.columns, "skipped", "note", "quick run"])
    for row in table.rows:
        values = [known(row, name) for name in table.columns]
        shown = ["" if value is None else repr(float(value)) for value in values]
        is_quick = "yes" if table.is_quick else "no"
        writer.writerow([row.key, row.label, *shown, row.skipped, row.note, is_quick])
    return text.getvalue()


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
