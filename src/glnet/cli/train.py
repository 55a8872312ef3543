"""``glnet train``: train stage by stage on a folder of labelled images."""

from collections.abc import Sequence
from contextlib import closing

from jsonargparse import ArgumentParser

from glnet.cli.console import say, say_json
from glnet.cli.help import make_readable
from glnet.cli.parsing import UsageError
from glnet.cli.scores import score_table
from glnet.cli.training_display import TrainingDisplay

FLAGS = {"--json", "--resume"}
"""Options that are no part of the configuration."""

SHORT = {
    "--devices": "--run.devices",
    "--num-nodes": "--run.num_nodes",
    "--strategy": "--run.strategy",
}
"""Keys of the configuration that have a shorter name here."""


def run_words(words: Sequence[str]) -> int:
    """Train as ``CONFIG.yaml --key value ...`` says, then evaluate on the validation split."""
    # Importing Lightning takes seconds.
    from glnet.training.config_file import configuration_parser, read_config  # noqa: PLC0415

    if not words or {"--help", "-h"} & set(words):
        _print_help(configuration_parser())
        return 0
    flags = FLAGS & set(words)
    words = [_in_full(word) for word in words if word not in FLAGS]
    config = read_config(*_file_and_overrides(words))

    from glnet.training.devices import SaidElsewhereError, is_first  # noqa: PLC0415
    from glnet.training.run import Watchers, train_and_evaluate  # noqa: PLC0415

    with closing(TrainingDisplay(is_silent=not is_first())) as display:
        watchers = Watchers(display.epoch, display.step, display.note)
        try:
            result = train_and_evaluate(config, watchers, resume="--resume" in flags)
        except (SaidElsewhereError, KeyboardInterrupt):
            if is_first():
                raise
            return 1
    if result is None:
        return 0
    if "--json" in flags:
        say_json(result.to_dict())
    else:
        say(score_table(result.evaluation.to_dict()))
        say(f"the model is in {result.model}")
        say(f"the run explains itself in {config.output}; one page: glnet report {config.output}")
    return 0


def _file_and_overrides(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The configuration's file, which may be named by ``--config`` as well, and all else."""
    named, others = [], []
    rest = iter(words)
    for place, word in enumerate(rest):
        if word == "--config":
            named.append(next(rest, ""))
        elif word.startswith("--config="):
            named.append(word.partition("=")[2])
        elif place == 0 and not word.startswith("-"):
            named.append(word)
        else:
            others.append(word)
    if len(named) > 1:
        raise UsageError(
            f"expected one configuration, got {', '.join(named)}; have one of them extend the other"
        )
    return (named[0] if named else None), others


def _in_full(word: str) -> str:
    """An option under the name of its key."""
    name, equals, value = word.partition("=")
    return SHORT.get(name, name) + equals + value


def _print_help(parser: ArgumentParser) -> None:
    parser.usage = "glnet train CONFIG.yaml [--key value ...] [--resume] [--json]"
    parser.description = (
        "Train the stages that CONFIG.yaml describes, then evaluate on the validation split. "
        "Every key below stands in the file, and as an option wins over it; files to start from "
        "are in configs/. Sizes are in pixels; defaults are the paper's where it says them."
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where the run in the output folder was stopped, at any moment",
    )
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    for name, key in SHORT.items():
        metavar = "NAME" if name == "--strategy" else "N"
        parser.add_argument(name, metavar=metavar, help=f"short for {key}")
    make_readable(parser, "train").print_help()
