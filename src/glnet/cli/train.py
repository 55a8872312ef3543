"""``glnet train``: train the three stages on a folder of labelled images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from glnet.cli.console import complain, say, say_json
from glnet.cli.scores import score_table

if TYPE_CHECKING:
    from glnet.training.progress import Moment


def run_words(words: Sequence[str]) -> int:
    """Train as ``CONFIG.yaml --key value ...`` says, then evaluate on the validation split."""
    # Importing Lightning takes seconds.
    from glnet.training.config_file import configuration_parser, read_config  # noqa: PLC0415

    if not words or {"--help", "-h"} & set(words):
        configuration_parser().print_help()
        return 0
    is_json = "--json" in words
    words = [word for word in words if word != "--json"]
    file = None if words[0].startswith("-") else words[0]
    config = read_config(file, words if file is None else words[1:])

    from glnet.training.run import train_and_evaluate  # noqa: PLC0415

    result = train_and_evaluate(config, show_moment)
    if is_json:
        say_json(result.to_dict())
    else:
        say(score_table(result.evaluation.to_dict()))
        say(f"the model is in {result.model}, the run explains itself in {config.output}")
    return 0


def show_moment(moment: "Moment") -> None:
    """One line per epoch: where the stage is and how long it will take."""
    seen = "" if moment.mean_iou is None else f", validation mIoU {100 * moment.mean_iou:.1f}"
    complain(
        f"{moment.stage}: epoch {moment.epoch} of {moment.epochs}, loss {moment.loss:.4f}{seen}, "
        f"{moment.seconds:.0f} s, about {moment.seconds_left:.0f} s left in this stage"
    )
