import warnings
from contextlib import ExitStack

import lightning
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader, Dataset

from glnet.training.following.timing import Lap, Stopwatch, estimate_left


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def batch(watch: Stopwatch, clock: Clock, waiting: float, working: float) -> None:
    watch.asked()
    clock.now += waiting
    watch.came()
    clock.now += working
    watch.done()


def test_the_share_is_that_of_waiting(clock: Clock) -> None:
    watch = Stopwatch(clock)

    batch(watch, clock, 1, 3)
    batch(watch, clock, 2, 2)

    lap = watch.lap()
    assert lap == Lap(waiting=3, working=5)
    assert lap.waiting_share == 3 / 8


def test_what_lies_between_batches_does_not_count(clock: Clock) -> None:
    watch = Stopwatch(clock)
    clock.now += 50

    batch(watch, clock, 1, 1)
    clock.now += 50
    batch(watch, clock, 1, 1)
    clock.now += 50

    assert watch.lap() == Lap(2, 2)


def test_validation_and_checkpoints_do_not_count_wherever_they_fall(clock: Clock) -> None:
    watch = Stopwatch(clock)
    watch.asked()
    clock.now += 1
    with watch.aside():
        clock.now += 100
    clock.now += 2
    watch.came()
    clock.now += 4
    with watch.aside():
        clock.now += 100
    clock.now += 5
    watch.done()

    assert watch.lap() == Lap(3, 9)


def fail_aside(watch: Stopwatch, clock: Clock) -> None:
    with watch.aside():
        clock.now += 100
        raise KeyError


def test_what_is_set_aside_ends_with_an_error_too(clock: Clock) -> None:
    watch = Stopwatch(clock)
    watch.came()
    with pytest.raises(KeyError):
        fail_aside(watch, clock)
    clock.now += 1

    assert watch.lap() == Lap(0, 1)


def test_what_lies_between_two_laps_does_not_count(clock: Clock) -> None:
    watch = Stopwatch(clock)
    watch.asked()
    clock.now += 1

    assert watch.lap() == Lap(1, 0)
    clock.now += 100
    batch(watch, clock, 2, 3)

    assert watch.lap() == Lap(2, 3)
    assert watch.lap() == Lap(0, 0)


def test_nothing_done_is_nothing_waited_for(clock: Clock) -> None:
    assert Stopwatch(clock).lap().waiting_share == 0


def test_the_real_clock_goes_on() -> None:
    watch = Stopwatch()
    watch.came()
    watch.done()

    assert watch.lap().working >= 0


class SlowData(Dataset[torch.Tensor]):
    """Takes two seconds to read what it has four of."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> torch.Tensor:
        self._clock.now += 2
        return torch.ones(1)


class SlowSlope(lightning.LightningModule):
    """Takes a second to train a step, and a hundred to validate one."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.slope = torch.nn.Linear(1, 1)
        self._clock = clock

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        self._clock.now += 1
        loss: torch.Tensor = self.slope(batch).square().mean()
        return loss

    def validation_step(self, _: torch.Tensor) -> None:
        self._clock.now += 100

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Watching(Callback):
    """Feeds a stopwatch from Lightning's hooks."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._validation = ExitStack()
        self.laps: list[Lap] = []

    def on_train_epoch_start(self, *_: object) -> None:
        self._watch.asked()

    def on_train_batch_start(self, *_: object) -> None:
        self._watch.came()

    def on_train_batch_end(self, *_: object) -> None:
        self._watch.done()
        self._watch.asked()

    def on_validation_start(self, *_: object) -> None:
        self._validation.enter_context(self._watch.aside())

    def on_validation_end(self, *_: object) -> None:
        self._validation.close()

    def on_train_epoch_end(self, *_: object) -> None:
        self.laps.append(self._watch.lap())


def test_lightnings_hooks_tell_reading_from_training_and_validation(clock: Clock) -> None:
    watching = Watching(Stopwatch(clock))
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=2,
        callbacks=[watching],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        val_check_interval=2,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's own, on workers and deprecations in torch.
        trainer.fit(SlowSlope(clock), DataLoader(SlowData(clock)), DataLoader(SlowData(clock)))

    assert watching.laps == [Lap(waiting=8, working=4)] * 2


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50), st.floats(0.1, 10))
def test_at_an_even_pace_the_estimate_is_right(
    before: int, here: int, to_come: int, pace: float
) -> None:
    left = estimate_left(before, before + here, before + here + to_come, here * pace)

    assert left == pytest.approx(to_come * pace)


def test_epochs_of_an_earlier_process_say_nothing_of_the_pace() -> None:
    assert estimate_left(90, 92, 100, 10) == 8 * 5
    assert estimate_left(0, 92, 100, 10) == pytest.approx(8 * 10 / 92)


def test_nothing_is_known_before_something_is_done() -> None:
    assert estimate_left(3, 3, 10, 0.1) is None
    assert estimate_left(10, 10, 10, 0.1) == 0


@pytest.mark.parametrize(("before", "done", "total"), [(2, 1, 3), (0, 4, 3), (-1, 1, 3)])
def test_epochs_that_do_not_follow_each_other_are_refused(
    before: int, done: int, total: int
) -> None:
    with pytest.raises(ValueError, match="before, now, in all"):
        estimate_left(before, done, total, 1)
