"""A whole training run: the stages one after another, a model at the end.

The run folder explains itself::

    README.md             what was run, how it went, how to go on
    config.yaml           the resolved configuration
    run.json              versions, seed, split
    history.csv           losses, rates, gradient norms, scores, memory, round by round
    curves/               the same as pictures
    pictures/<stem>/      the answers to some validation images, again and again
    logs/<stage>/         TensorBoard events
    checkpoints/<stage>/  last.ckpt and best.ckpt, to go on from
    stages/<stage>/       the model as far as the stage has trained it
    model/                the model after the last one
    report.json           its scores on the validation split, at full resolution
    evaluation/           the same as tables, with the worst and best images
"""

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from glnet.data import LabelledDataset, open_dataset
from glnet.evaluation.evaluate import ReportFolder, evaluate_folder
from glnet.evaluation.report import Evaluation
from glnet.inference.streaming import Settings
from glnet.model.checkpoint import Model, load_model, save_model
from glnet.training.agreeing import check_alike, check_begun, fewer_at_once
from glnet.training.config import TrainingConfig
from glnet.training.devices import agreed, from_first, is_first, share_weights
from glnet.training.diary import Diary, explain_scores
from glnet.training.following.follower import Follower
from glnet.training.keeping import (
    BEST,
    LAST,
    Keeper,
    WholeCheckpoints,
    read_checkpoint,
    steps_done,
)
from glnet.training.precision import settled, with_precision
from glnet.training.preparation import Setup, Stage
from glnet.training.processes import Processes, connected, quiet
from glnet.training.progress import Moment, Report, StageProgress, Steps, unseen
from glnet.training.resuming import begin, new_folder, old_folder
from glnet.training.stages import StageModule
from glnet.training.starting import as_trained, take_weights
from glnet.training.stopping import Terminable
from glnet.training.trouble import explained

CHECKPOINTS = "checkpoints"
"""The folder of what a training keeps, so that it can go on after a stop."""

Note = Callable[[str], None]
"""Told what a user should know beside the progress, a line at a time."""


def unreported(moment: Moment) -> None:
    """Moments that nobody watches."""


def unheard(text: str) -> None:
    """Notes that nobody hears."""


@dataclass(frozen=True)
class RunResult:
    """A finished run: the model's folder, and its scores on the validation split."""

    model: Path
    evaluation: Evaluation

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {"model": str(self.model), **self.evaluation.to_dict()}


@dataclass(frozen=True)
class Watchers:
    """Who hears of a run.

    Attributes:
        report: Told after every epoch.
        steps: Told after every step, and after every image that is checked before the first.
        note: Told what else there is to know.
    """

    report: Report = unreported
    steps: Steps = unseen
    note: Note = unheard


SILENCE = Watchers()


def train(
    config: TrainingConfig,
    watchers: Watchers = SILENCE,
    *,
    resume: bool = False,
    dataset: LabelledDataset | None = None,
) -> Model:
    """Train all stages and leave the model in ``output/model``.

    With several devices every process runs this; the first one writes, the others are silent.

    Args:
        config: All of it.
        watchers: Who hears of it.
        resume: Whether the run in the output folder goes on where it was stopped.
        dataset: Labelled images instead of those that ``config.data`` names, such as
            `glnet.data.from_items` makes.

    Raises:
        CheckpointError: If a model or checkpoint to go on from does not load.
        ConfigurationError: If the configuration asks for what cannot be, or is not the one that
            the resumed run began with.
        DatasetError: If the images are not as described.
        OutputError: If the output folder exists with something else in it, or is not writable, or
            the disk is full.
        RasterError: If an image cannot be read.
        TrainingError: If the numbers ran away, memory ran out or a process was lost.
    """
    with connected(config.run) as processes:
        watchers = watchers if is_first() else SILENCE
        setup, stages, diary = _begun(config, watchers, dataset, resume=resume)
        for stage in stages:
            _run(stage, setup, watchers, diary, processes)
        model = as_trained(setup.model, stages[-1].name)
        with agreed():
            if is_first():
                save_model(model, Path(config.output) / "model", overwrite=True)
    return model


def _begun(
    config: TrainingConfig, watchers: Watchers, dataset: LabelledDataset | None, *, resume: bool
) -> tuple[Setup, list[Stage], Diary]:
    """All that there is before the first stage; says in the folder what is run."""
    data = config.data
    with agreed():
        config = with_precision(config, watchers.note)
        folder = dataset or open_dataset(data.folder, data.dataset, data.description)
    config = replace(config, run=replace(config.run, precision=from_first(config.run.precision)))
    with agreed():
        output = _folder(config, resume=resume)
    try:
        with agreed():
            setup = Setup(config, folder, watchers.steps)
            stages = setup.stages()
        check_alike(setup)
    except BaseException:
        if is_first():
            with suppress(OSError):
                output.rmdir()  # Only where nothing is in it yet.
        raise
    with agreed():
        diary = Diary(output, setup, [stage.name for stage in stages])
        if is_first():
            begin(output, config)
            diary.begin()
    with agreed():
        check_begun(output)
    if setup.absent:
        watchers.note(
            f"no pixel of the training split is {' or '.join(setup.absent)}: "
            "what never occurs cannot be learnt"
        )
    return setup, stages, diary


def _run(
    stage: Stage, setup: Setup, watchers: Watchers, diary: Diary, processes: Processes
) -> None:
    """Train a stage, or take what it has learnt before."""
    done = Path(setup.config.output) / "stages" / stage.name
    if from_first(done.is_dir()):
        with agreed():
            if is_first():
                take_weights(setup.network, load_model(done), stage.name)
        share_weights(setup.network)
        watchers.note(f"stage {stage.name} is done already")
        return
    if (fewer := fewer_at_once(stage, setup.config, processes.number)) is not None:
        watchers.note(fewer)
    setup.start(stage)
    _fit(stage, setup, watchers, diary, processes)
    gc.collect()  # The trainer is a cycle, and holds what the optimiser kept of every weight.
    setup.network.eval()
    with agreed():
        if is_first():
            save_model(as_trained(setup.model, stage.name), done)
            diary.explain()


def train_and_evaluate(
    config: TrainingConfig, watchers: Watchers = SILENCE, *, resume: bool = False
) -> RunResult | None:
    """Train, then evaluate all answers on the validation split at full resolution.

    Returns:
        The result; None in all processes but the first.

    Raises:
        CheckpointError, ConfigurationError, DatasetError, OutputError, RasterError, TrainingError:
            As `train`.
    """
    train(config, watchers, resume=resume)
    if not is_first():
        return None
    output = Path(config.output)
    evaluation = evaluate_folder(
        output / "model",
        config.data.folder,
        config.data.validation,
        Settings(device=config.run.device, patch_batch=config.run.patch_batch),
        kind=config.data.dataset,
        description=config.data.description,
        report=output / "report.json",
        report_folder=ReportFolder(output / "evaluation", config.follow.pictures),
        overwrite=resume,
    )
    explain_scores(output, evaluation.to_dict())
    return RunResult(output / "model", evaluation)


def _folder(config: TrainingConfig, *, resume: bool) -> Path:
    if not is_first():
        return Path(config.output)
    return old_folder(config) if resume else new_folder(config)


def _fit(
    stage: Stage, setup: Setup, watchers: Watchers, diary: Diary, processes: Processes
) -> None:
    config, checkpoints = setup.config, Path(setup.config.output) / CHECKPOINTS / stage.name
    module = StageModule(stage.step, stage.config, config.run, stage.feeds)
    last = checkpoints / LAST
    callbacks: list[Callback] = [
        StageProgress(stage.name, watchers.report, watchers.steps),
        Keeper(checkpoints, config.run.checkpoint_minutes * 60),
        Terminable(),
    ]
    if is_first():
        callbacks.append(Follower(diary.followed(stage.name, steps_done(last))))
    with (
        quiet(),
        _interruptible(),
        explained(stage.name, config, stage.config),
        closing(stage.feeds.training),
        closing(stage.feeds.validation),
    ):
        trainer = lightning.Trainer(
            accelerator={"cuda": "gpu"}.get(config.run.device, config.run.device),
            devices=processes.devices,
            num_nodes=processes.nodes,
            strategy=processes.strategy(config.run.timeout_s),
            precision=settled(config),
            max_epochs=stage.config.epochs,
            logger=False,
            callbacks=callbacks,
            plugins=[WholeCheckpoints(), processes.environment],
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            use_distributed_sampler=False,
        )
        trainer.fit(
            module,
            range(stage.feeds.training.plan.steps),
            range(1),
            ckpt_path=last if from_first(last.is_file()) else None,
            weights_only=True,
        )
        with agreed():
            # Where no label was looked at, no epoch is better than the last.
            if config.run.weights == "best" and is_first() and (checkpoints / BEST).is_file():
                module.load_state_dict(read_checkpoint(checkpoints / BEST)["state_dict"])
        share_weights(module.network)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Keep Ctrl-C what it is: Lightning makes it an exit, and deaf to the next one."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None
