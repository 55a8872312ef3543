"""What becomes of a worker that Ray has started anew, without Ray."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from glnet.cluster import ray_engine
from glnet.cluster.pieces import Blank, Failure, Ready, Scene
from glnet.cluster.pool import MOST_TRIES, LostError
from glnet.cluster.ray_engine import _Actor
from glnet.inference.settings import Settings
from glnet.inference.source import Source

FIRST = Ready("here", 1, {"torch": "2"}, "digest", "float32")
SCENE = Scene("key", "a.tif", Source(), Settings(), ())


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class ActorDiedError(RayActorError):
    pass


class RayTaskError(RayError):
    pass


class _Ray:
    """References are answers, or errors."""

    class exceptions:  # noqa: N801
        RayError = RayError
        RayActorError = RayActorError
        ActorDiedError = ActorDiedError
        RayTaskError = RayTaskError

    def wait(self, refs: Sequence[object], **_: object) -> tuple[Sequence[object], list[object]]:
        return refs, []

    def get(self, ref: object) -> object:
        if isinstance(ref, Exception):
            raise ref
        return ref


class _Handle:
    """Answers every question alike."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    @property
    def call(self) -> "_Handle":
        return self

    load = call

    def remote(self, *_: object) -> object:
        return self._answer


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "PAUSE_S", 0.01)
    monkeypatch.setattr(ray_engine, "TICK_S", 0.01)


def _actor(*answers: object, call: object = None) -> tuple[_Actor, list[object]]:
    left = list(answers)
    actor = _Actor(_Ray(), _Handle(call), 0, lambda: left.pop(0))  # type: ignore[arg-type]
    return actor, left


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (Failure("CheckpointError", "no model on there"), "no model on there"),
        (RayActorError("it died\nagain"), "it died again"),
        (replace(FIRST, digest="b"), "the worker on here came back with another model"),
        (replace(FIRST, precision="b"), "the worker on here came back with another precision"),
        (
            replace(FIRST, versions={"torch": "1"}),
            "the worker on here came back with another torch",
        ),
    ],
)
def test_a_worker_that_is_not_as_before_is_not_taken_back(answer: object, trouble: str) -> None:
    actor, left = _actor(answer, answer, replace(FIRST, host="there", process=7), FIRST)
    actor.loaded(FIRST)
    troubles: list[str] = []

    def is_over() -> bool:
        troubles.append(actor.trouble)
        return False

    assert actor.revive(is_over)

    assert left == [FIRST]
    assert actor.trouble == ""
    assert set(troubles) == {"", trouble}


def test_a_worker_that_is_only_out_of_reach_is_asked_until_it_is_there() -> None:
    away = RayActorError("unavailable")
    actor, left = _actor(*[away] * 8, FIRST)

    assert actor.loaded(away) == FIRST
    assert left == []


def test_a_worker_that_dies_of_every_loading_is_given_up() -> None:
    death = ActorDiedError("no memory")
    actor, left = _actor(*[death] * 5)

    with pytest.raises(ActorDiedError):
        actor.loaded(death)

    assert len(left) == 5 - (MOST_TRIES - 1)


def test_a_worker_that_stays_out_of_reach_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "LONGEST_WITHOUT_S", 0.0)
    away = RayActorError("unavailable")

    with pytest.raises(RayActorError):
        _actor(away, away, away)[0].loaded(away)


def test_nobody_waits_for_a_worker_when_all_is_over() -> None:
    actor, left = _actor(FIRST)

    assert not actor.revive(lambda: True)
    assert left == [FIRST]


def test_a_worker_that_has_no_model_any_more_is_lost() -> None:
    actor, _ = _actor(call=Blank())

    with pytest.raises(LostError, match="started anew"):
        actor.call("planes", SCENE, ())
