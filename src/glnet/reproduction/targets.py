"""The tables and figures of the paper, by the names under which they are made."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from glnet.errors import ConfigurationError
from glnet.reproduction.boxes import boxes
from glnet.reproduction.comparisons import COMPARISONS
from glnet.reproduction.drawing import Drawn, best_chart, drawn, panels, side_sweep
from glnet.reproduction.running import Runs
from glnet.reproduction.tables import write_table
from glnet.reproduction.tabulating import scored_all, tabulated

Make = Callable[[Runs, Path], Drawn]
"""Makes a table or figure in a folder."""


@dataclass(frozen=True)
class Target:
    """A table or figure.

    Attributes:
        title: What it shows.
        make: How.
    """

    title: str
    make: Make


def _table(name: str, runs: Runs, folder: Path) -> Drawn:
    comparison = COMPARISONS[name]
    found = scored_all(runs, [(row.method, None) for row in comparison.rows])
    table = tabulated(runs, comparison, found)
    runs.begin()
    return drawn(write_table(folder, table), found, table)


FIGURE_3 = ("global_only", "local_only", "bidirectional")
FIGURE_7 = ("global_only", "local_only", "regularization", "shallow", "bidirectional")

TARGETS: dict[str, Target] = {
    **{name: Target(of.paper.title, partial(_table, name)) for name, of in COMPARISONS.items()},
    "fig1a": Target("mIoU against memory, all networks", best_chart),
    "fig1b": Target("sizes of whole images", partial(side_sweep, sees="whole")),
    "fig1c": Target("sizes of patches", partial(side_sweep, sees="patches")),
    "fig3": Target("pictures: global, local, GLNet", partial(panels, keys=FIGURE_3, number=3)),
    "fig7": Target("pictures: kinds of sharing", partial(panels, keys=FIGURE_7, number=7)),
    "fig8": Target("foreground before and after the box", boxes),
}
"""All but Table 1, which needs no network."""


def target(name: str) -> Target:
    """A table or figure.

    Raises:
        ConfigurationError: If there is none of this name.
    """
    if name not in TARGETS:
        known = ", ".join(["table1", *TARGETS])
        raise ConfigurationError(f"the paper has no {name} that can be made here; known: {known}")
    return TARGETS[name]
