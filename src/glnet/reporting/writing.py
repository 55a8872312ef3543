"""From a folder to one file that opens from disk."""

from pathlib import Path

from glnet.raster.writing.output import check_destination, partial_file, publish, write_error
from glnet.reporting.page import page
from glnet.reporting.reading import read_folder

NAME = "report.html"


def write_report(
    run: str | Path, output: str | Path | None = None, *, overwrite: bool = False
) -> Path:
    """Write one page of a training or an evaluation, as far as it has come.

    The file holds all that it shows, pictures too: it opens in a browser without a server, and
    asks nobody for anything.

    Args:
        run: The output folder of a training, or the folder of an evaluation's report.
        output: Where to, ``.html``; by default ``report.html`` in that folder.
        overwrite: Whether a file that is there already is replaced.

    Returns:
        The file.

    Raises:
        OutputError: If the folder is neither, a file in it is damaged (naming it and the line), or
            the page cannot be written there.
    """
    folder = Path(run)
    findings = read_folder(folder)
    path = (folder / NAME if output is None else Path(output)).absolute()
    check_destination(path, (".html", ".htm"), overwrite)
    content = page(findings).encode(errors="replace")
    with partial_file(path) as partial:
        try:
            partial.write_bytes(content)
        except OSError as error:
            raise write_error(path, error.strerror or str(error)) from error
        publish(partial, path, overwrite)
    return path
