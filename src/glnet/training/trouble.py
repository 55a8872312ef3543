"""What a training says when the machine gives in: memory, disk, lost processes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from glnet.errors import GLNetError, OutputError, TrainingError
from glnet.inference.machine import MEMORY_WORDS
from glnet.inference.pixels import LEAST_SIDE
from glnet.training.config import StageConfig, TrainingConfig
from glnet.training.devices import LOST, LostProcessError, is_lost
from glnet.training.starting import THUMBNAIL_STAGES

WORKER = "in DataLoader worker process"
"""Stands in an error that has come from a reading process, before all of its traceback."""

LOST_WORKER = re.compile(r"DataLoader worker \(pid.*?\) (?:is killed by signal: (\w+)|exited)")


@contextmanager
def explained(stage: str, config: TrainingConfig, of: StageConfig) -> Iterator[None]:
    """Turn what libraries raise while a stage runs into one line that says what to do.

    Raises:
        LostProcessError: If another process of the training does not answer.
        TrainingError: If memory ran out, or a process that reads was lost.
        OutputError: If something cannot be written.
    """
    try:
        yield
    except GLNetError as error:
        told = _told(error, stage, config, of)
        if told is None:
            raise
        raise told from error
    except (RuntimeError, MemoryError) as error:
        if is_lost(error):
            raise LostProcessError(LOST) from error
        text = _lost(str(error), config) or _memory(error, stage, config, of)
        if text is None:
            raise
        raise TrainingError(text) from error
    except OSError as error:
        if text := _memory(error, stage, config, of):
            raise TrainingError(text) from error
        raise OutputError(
            f"stage {stage} cannot go on in {Path(config.output)}: {error}; "
            "is there room on the disk?"
        ) from error


def _told(
    error: GLNetError, stage: str, config: TrainingConfig, of: StageConfig
) -> GLNetError | None:
    """What another process has met, in the words of this one."""
    if WORKER in str(error):
        _, _, reason = str(error).rstrip().splitlines()[-1].partition(": ")
        return type(error)(reason)
    if isinstance(error, TrainingError) and (text := _memory(error, stage, config, of)):
        return type(error)(text)
    return None


def _memory(error: Exception, stage: str, config: TrainingConfig, of: StageConfig) -> str | None:
    words = str(error)
    known = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
    if not known and not any(word in words for word in MEMORY_WORDS):
        return None
    return f"out of memory in stage {stage}: {_way_out(stage, config, of)}"


def _way_out(stage: str, config: TrainingConfig, of: StageConfig) -> str:
    """Which setting to lower, and to what; whether the run can go on with it."""
    halves = {}
    if of.micro_batch > 1:
        halves[f"stages.{stage}.micro_batch"] = of.micro_batch
    if stage == "refined" and config.run.patch_batch > 1:
        halves["run.patch_batch"] = config.run.patch_batch
    if halves:
        listed = " and ".join(f"{key} from {now} to {now // 2}" for key, now in halves.items())
        return f"lower {listed}, {GO_ON}"
    is_small = stage in THUMBNAIL_STAGES
    what, key = ("thumbnail", "thumbnail_size") if is_small else ("patch", "patch_size")
    alone = f"one {what} at a time is too much"
    if config.run.precision == "32-true":
        return f"{alone}; set run.precision: bf16-mixed, {GO_ON}"
    half = getattr(config.framing, key) // 2
    if half > LEAST_SIDE:
        return f"{alone}; start anew with framing.{key}: {half}"
    return f"{alone}; start anew with a smaller architecture.backbone"


GO_ON = "and go on with --resume"


def _lost(words: str, config: TrainingConfig) -> str | None:
    found = LOST_WORKER.search(words)
    if found is None:
        return None
    how = f"killed ({found[1]})" if found[1] else "lost"
    hint = "lower data.workers"
    return (
        f"a process that reads images was {how}, as happens when memory runs out; {hint} from "
        f"{config.data.workers} or data.cache_mib from {config.data.cache_mib}, {GO_ON}"
    )
