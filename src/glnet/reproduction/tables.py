"""Results beside the paper's: as a page, as comma-separated values, as a picture."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from glnet.evaluation.folder import whole_folder
from glnet.evaluation.tables import Table, as_markdown
from glnet.raster.writing.output import write_error
from glnet.reproduction.results import QUICK, ResultRow, ResultTable, known
from glnet.reproduction.table_picture import table_picture

__all__ = ["ResultRow", "ResultTable", "write_page", "write_table", "table_page", "table_values"]

TABLE = "table"


def write_table(folder: Path, table: ResultTable) -> list[Path]:
    """Write a folder with ``table.md``, ``table.csv`` and ``table.png``.

    It appears when all of it is there, in the place of an earlier one.

    Raises:
        OutputError: If it cannot be written, or the folder has something else in it.
    """
    with whole_folder(folder.absolute(), (f"{TABLE}.md",), overwrite=True) as partial:
        (partial / f"{TABLE}.png").write_bytes(table_picture(table))
        names = [f"{TABLE}.png", *write_page(partial, TABLE, table, [f"{TABLE}.png"])]
    return [folder / name for name in names]


def write_page(
    folder: Path, name: str, table: ResultTable, pictures: Sequence[str] = ()
) -> list[str]:
    """Write ``NAME.md`` and ``NAME.csv`` into a folder; returns their names.

    Raises:
        OutputError: If they cannot be written.
    """
    contents = {f"{name}.md": table_page(table, pictures), f"{name}.csv": table_values(table)}
    for file, content in contents.items():
        try:
            (folder / file).write_text(content, "utf-8")
        except OSError as error:
            raise write_error(folder / file, error.strerror or str(error)) from error
    return list(contents)


def table_page(table: ResultTable, pictures: Sequence[str] = ()) -> str:
    """The table as Markdown: heading, what was run, the table, pictures beside it, notes."""
    has_skipped = any(row.skipped for row in table.rows)
    head = ("", *table.columns, *(["remark"] if has_skipped else []))
    rows = []
    for row in table.rows:
        remark = [f"skipped: {row.skipped}" if row.skipped else ""] if has_skipped else []
        rows.append((row.label, *(table.words(row, name) for name in table.columns), *remark))
    warning = [f"**{_capital(QUICK)}.**", ""] if table.is_quick else []
    words = as_markdown(Table("Results", head, tuple(rows), remarks=int(has_skipped)))
    lines = [f"# {table.title}", "", *warning, " ".join(table.about.split()), "", words]
    lines += [line for picture in pictures for line in (f"![{table.title}]({picture})", "")]
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
