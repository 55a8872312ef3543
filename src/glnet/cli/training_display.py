"""What is seen of a training: a line per epoch, and on a terminal a bar below them."""

from typing import TYPE_CHECKING

from glnet.cli.console import ProgressDisplay, complain
from glnet.wording import roughly

if TYPE_CHECKING:
    from glnet.training.progress import Moment

STAGES = ("coarse", "context", "local", "refined")

SECONDS_BETWEEN_STEPS = 60
"""Of long epochs, where stderr is no terminal."""


class TrainingDisplay:
    """Shows epochs as lines on stderr, and the steps of the running stage as a bar on a terminal.

    Shown until `close`.

    Args:
        is_silent: Whether this process has nothing to say, since another one says it.
    """

    def __init__(self, *, is_silent: bool = False) -> None:
        self._is_silent = is_silent
        self._bar: ProgressDisplay | None = None

    def epoch(self, moment: "Moment") -> None:
        """Where the stage is after an epoch, and how long it will take."""
        self.note(epoch_line(moment))

    def step(self, stage: str, done: int, total: int) -> None:
        """So many steps of a stage are done."""
        if self._is_silent:
            return
        if self._bar is None:
            # Stages have a line per epoch, too; what comes before them has none.
            every = SECONDS_BETWEEN_STEPS if stage in STAGES else None
            self._bar = ProgressDisplay("training", every=every)
        self._bar.advance(stage, done, total)
        if done == total:
            self.close()

    def note(self, text: str) -> None:
        """A line above the bar."""
        if self._is_silent:
            return
        if self._bar is None:
            complain(text)
        else:
            self._bar.note(text)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def epoch_line(moment: "Moment") -> str:
    """Loss, what the validation split says if it was looked at, and the time left of the stage."""
    seen = "" if moment.mean_iou is None else f", validation mIoU {100 * moment.mean_iou:.1f}"
    is_last = moment.epoch >= moment.epochs
    when = f"took {roughly(moment.seconds)}" if is_last else f"{roughly(moment.seconds_left)} left"
    return (
        f"{moment.stage}: epoch {moment.epoch} of {moment.epochs}, loss {moment.loss:.4f}{seen}, "
        f"{when}"
    )
