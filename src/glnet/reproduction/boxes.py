"""Figure 8 of the paper: how much of images is foreground, before and after the box."""

from pathlib import Path

from glnet.errors import ConfigurationError, GLNetError
from glnet.evaluation.foreground import PAGE, TABLE, Wording, draw_boxes
from glnet.inference.settings import Settings
from glnet.reproduction.drawing import FIGURE, Drawn, charted
from glnet.reproduction.methods import METHODS
from glnet.reproduction.paper import FIGURE_8_NOTES
from glnet.reproduction.request import LeftOutError
from glnet.reproduction.results import QUICK
from glnet.reproduction.running import Runs
from glnet.reproduction.tabulating import Scored, about, figure_table

METHOD = METHODS["global_only_boxes"]
CLASSES = 2


def boxes(runs: Runs, folder: Path) -> Drawn:
    """Figure 8; of a network that cannot be had, a page that says why.

    Raises:
        ConfigurationError: If the dataset has more than foreground and background.
        OutputError: If the folder cannot be written.
    """
    classes = len(runs.dataset.description.classes)
    if classes != CLASSES:
        raise ConfigurationError(
            f"Figure 8 tells foreground from background, {runs.dataset.name} has {classes} "
            "classes; choose a dataset of two"
        )
    title = f"Figure 8: foreground before and after the box, {Path(runs.dataset.name).name}"
    _rename_earlier(folder)
    try:
        _draw(runs, folder, title)
    except GLNetError as error:
        is_failure = not isinstance(error, LeftOutError)
        missing = Scored(METHOD, skipped=str(error), is_failure=is_failure)
        table = figure_table(runs, title, [missing], notes=FIGURE_8_NOTES)
        # A row without numbers has nothing for a terminal that the reason does not say.
        return charted(runs, folder, table, [missing], None)._replace(table=None)
    return Drawn(sorted(folder.iterdir()), [], 0)


def _draw(runs: Runs, folder: Path, title: str) -> None:
    model = runs.trained(METHOD)
    runs.begin()
    wording = Wording(
        f"{FIGURE}.md",
        f"{FIGURE}.csv",
        title,
        about(runs, [], seeds=1),
        QUICK if runs.effort.is_quick else "",
        FIGURE_8_NOTES,
    )
    settings = Settings(device=runs.configuration(METHOD).run.device)
    samples, description = runs.samples, runs.dataset.description
    draw_boxes(model, samples, description, folder, settings, overwrite=True, wording=wording)


def _rename_earlier(folder: Path) -> None:
    """Let what an earlier version made pass for a figure, which may be replaced."""
    for earlier, name in ((PAGE, f"{FIGURE}.md"), (TABLE, f"{FIGURE}.csv")):
        if (folder / earlier).is_file() and not (folder / name).exists():
            (folder / earlier).rename(folder / name)
