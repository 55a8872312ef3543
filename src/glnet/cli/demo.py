"""``glnet demo``: watch GLNet train, beat its own branches and segment a large scene."""

import time
from contextlib import closing
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.console import say, say_json
from glnet.cli.scores import score_table
from glnet.cli.training_display import TrainingDisplay


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="Draw scenes, train all stages, segment a scene of 4096x4096 pixels, show it "
        "all: some minutes on two cores.",
    )
    parser.add_argument("--output", default="demo", metavar="FOLDER", help="a new or empty folder")
    parser.add_argument("--seed", type=int, default=0, help="of scenes and training")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier demo")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def run(options: Namespace) -> int:
    """Run the demonstration."""
    from glnet.demo import run_demo  # noqa: PLC0415 - imports Lightning

    began = time.monotonic()
    with closing(TrainingDisplay()) as display:
        result = run_demo(
            Path(options.output),
            lambda text: display.note(f"{text} ({time.monotonic() - began:.0f} s so far)"),
            display.epoch,
            steps=display.step,
            seed=options.seed,
            overwrite=options.overwrite,
        )
    if options.json:
        say_json(result.to_dict())
        return 0
    say(score_table(result.to_dict()))
    say(f"GLNet is ahead of its better branch alone by {100 * result.lead:.1f} points of mIoU")
    say(f"{result.comparison}: image, truth and answers side by side")
    say(
        f"{result.labels}: the label map, with the scene's georeferencing "
        f"({100 * result.large_mean_iou:.1f} mIoU)"
    )
    say(f"{result.overlay}: the scene with its labels on top")
    say(f"{result.model}: the model; try glnet info {result.model}")
    say(
        "segment such a scene with --context whole: its lakes and countries are as much larger as "
        "it is, so that regions, glnet segment's own choice for its size, would part them"
    )
    say(f"done in {time.monotonic() - began:.0f} s")
    return 0
