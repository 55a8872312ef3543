"""Laws of prediction elsewhere: the bytes are those of one process, whatever becomes of workers."""

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glnet.cluster import open_scene, pool
from glnet.cluster.executor import ClusterExecutor
from glnet.cluster.pieces import Blank, Failure, Ready, Scene
from glnet.cluster.pool import Hand
from glnet.cluster.worker import Worker
from glnet.errors import (
    CheckpointError,
    ClusterError,
    ConfigurationError,
    InputMismatchError,
    RasterError,
)
from glnet.inference import groups, journal, score_files
from glnet.inference.jobs import Extras
from glnet.inference.regions import RegionRule
from glnet.inference.report import SegmentFailure, SegmentReport, Unwatched
from glnet.inference.segment import segment, segment_file, segment_files
from glnet.inference.settings import Settings
from glnet.inference.source import Source, opened
from glnet.inference.starting import Rules
from glnet.model.checkpoint import Model
from glnet.model.config import CoarseToFine
from glnet.raster import open_raster
from tests.cluster.fake_engine import FakeEngine, fake_executor
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff

EXTRAS = Extras(confidence=True)


@pytest.fixture(autouse=True)
def _many_small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "GROUP", 4)
    # So that an image of 20 patches is seen in groups, and a region of 6 by one worker.
    monkeypatch.setattr("glnet.inference.predicting.WHOLE_PATCHES", 8)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.moveaxis(picture(240, 200), 2, 0).clip(1)
    pixels[:, :, 110:] = 0
    pixels[:, 50:70, 20:60] = 0
    pixels[:, 150:, 150:] = 77
    return write_tiff(tmp_path / "a.tif", pixels, nodata=0)


def _bytes(folder: Path, name: str) -> list[bytes]:
    return [(folder / f"{name}{ending}.tif").read_bytes() for ending in ("", "_confidence")]


def _coarse_to_fine() -> Model:
    return tiny_model(coarse_to_fine=CoarseToFine(), seed=3)


CASES: dict[str, tuple[Callable[[], Model], Settings]] = {
    "bidirectional": (tiny_model, Settings(patch_batch=3)),
    "deep": (lambda: tiny_model("deep"), Settings()),
    "local only": (lambda: tiny_model("local only"), Settings()),
    "global only": (lambda: tiny_model("global only"), Settings()),
    "regions, flipped": (tiny_model, Settings(regions=RegionRule(side=110), turns="flips")),
    "sure": (tiny_model, Settings(refine_below=0.4)),
    "coarse to fine": (_coarse_to_fine, Settings()),
    "in bfloat16, as trained": (tiny_model, Settings(precision="bfloat16", collapse=False)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("workers", "losses"), [(1, 0.0), (3, 0.3)])
def test_the_bytes_are_those_of_one_process(
    image: Path, tmp_path: Path, case: str, workers: int, losses: float
) -> None:
    make, how = CASES[case]
    model = make()
    segment_file(image, tmp_path / "plain.tif", model, how, extras=EXTRAS)

    with fake_executor(workers, losses=losses, seed=workers) as executor:
        report = segment_file(
            image, tmp_path / "far.tif", model, how, extras=EXTRAS, executor=executor
        )

    assert _bytes(tmp_path, "far") == _bytes(tmp_path, "plain")
    assert report.device == "cpu"
    assert sum(of.pieces for of in executor.efforts.values()) > 0


@pytest.mark.parametrize("seed", range(6))
def test_losses_change_no_byte_and_cost_their_piece_only(
    image: Path, tmp_path: Path, seed: int
) -> None:
    model = tiny_model()
    segment_file(image, tmp_path / "plain.tif", model, Settings(), extras=EXTRAS)
    told: list[str] = []

    with ClusterExecutor(FakeEngine(4, losses=0.25, seed=seed), told.append) as executor:
        segment_file(
            image, tmp_path / "far.tif", model, Settings(), extras=EXTRAS, executor=executor
        )

    assert _bytes(tmp_path, "far") == _bytes(tmp_path, "plain")
    efforts = executor.efforts.values()
    assert len(told) == sum(of.lost for of in efforts)
    (of_scene,) = executor.efforts_of_scenes.values()
    with open_raster(image) as raster:
        patches = len(model.config.framing.grid(raster.size))
    # The thumbnail, the first look, the groups, the second look.
    assert of_scene.pieces == 3 + len(groups.groups_of(patches))
    assert sum(of.pieces for of in efforts) == of_scene.pieces


def test_a_piece_that_keeps_failing_ends_its_image_and_no_other(
    image: Path, tmp_path: Path
) -> None:
    others = [
        write_tiff(tmp_path / f"{name}.tif", np.moveaxis(picture(70, 90, seed=3), 2, 0))
        for name in "bc"
    ]

    def poison(method: str, scene: Scene) -> bool:
        return method == "group" and scene.image == str(image)

    with fake_executor(3, poison=poison) as executor:
        batch = segment_files(
            [others[0], image, others[1]],
            tmp_path / "out",
            tiny_model(),
            Settings(),
            executor=executor,
        )

    assert [Path(of.image).name for of in batch.reports] == ["b.tif", "c.tif"]
    (failure,) = batch.failures
    words = rf"{image}, the whole image, patches \d+ to \d+ was given up, as 4 workers were lost"
    assert re.match(words, failure.error)
    assert not (tmp_path / "out" / "a.tif").exists()


def test_a_region_that_keeps_failing_is_named_by_its_window(image: Path, tmp_path: Path) -> None:
    how = Settings(regions=RegionRule(side=110))

    with (
        fake_executor(2, poison=lambda method, _: method == "whole") as executor,
        pytest.raises(ClusterError, match=r"a\.tif, rows 0\.\.\d+, columns 0\.\.\d+ was given up"),
    ):
        segment_file(image, tmp_path / "far.tif", tiny_model(), how, executor=executor)

    assert [of.name for of in tmp_path.iterdir()] == ["a.tif"]


class Stop(BaseException):
    """The process ends here."""


def _stopping(calls: int) -> Callable[[str, int, int], None]:
    told = []

    def progress(*step: object) -> None:
        told.append(step)
        if len(told) > calls:
            raise Stop

    return progress


@pytest.mark.parametrize(
    "how",
    [Settings(patch_batch=2), Settings(regions=RegionRule(side=110), turns="flips")],
    ids=["groups", "whole units"],
)
def test_a_run_goes_on_wherever_and_by_whomever_it_was_stopped(
    image: Path, tmp_path: Path, how: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SECONDS_BETWEEN_NOTES", 0)
    monkeypatch.setattr(journal, "PAUSE_SHARE", 0)
    monkeypatch.setattr(score_files, "SPARE_BYTES", 1)
    model, output, stops = tiny_model(), tmp_path / "far.tif", 0
    segment_file(image, tmp_path / "plain.tif", model, how, extras=EXTRAS)

    for calls in range(100):
        with ExitStack() as stack:
            executor = None
            if calls % 3:
                executor = stack.enter_context(fake_executor(2, losses=0.1, seed=calls))
            try:
                segment_file(
                    image,
                    output,
                    model,
                    how,
                    extras=EXTRAS,
                    rules=Rules(resume=True),
                    progress=_stopping(calls % 5),
                    executor=executor,
                )
                break
            except Stop:
                stops += 1

    assert stops > 4
    assert _bytes(tmp_path, "far") == _bytes(tmp_path, "plain")


def test_several_images_at_once_give_what_each_gives_alone(tmp_path: Path) -> None:
    images = [
        write_tiff(tmp_path / f"{k}.tif", np.moveaxis(picture(90 + 40 * k, 120, seed=k), 2, 0))
        for k in range(5)
    ]
    model, told = tiny_model(), _Diary()
    segment_files(images, tmp_path / "plain", model, Settings())

    with fake_executor(3, losses=0.1) as executor:
        batch = segment_files(
            images, tmp_path / "far", model, Settings(), watcher=told, executor=executor
        )

    assert [of.image for of in batch.reports] == [str(of) for of in images]
    for image in images:
        one, other = (tmp_path / folder / image.name for folder in ("plain", "far"))
        assert one.read_bytes() == other.read_bytes()
    assert told.finished == {str(of) for of in images}
    assert told.steps == sorted(told.steps)
    assert told.steps[-1] <= told.total == 500


class _Diary(Unwatched):
    def __init__(self) -> None:
        self.finished: set[str] = set()
        self.steps: list[int] = []
        self.total = 0

    def advances(self, _: str, done: int, total: int) -> None:
        self.steps.append(done)
        self.total = total

    def finishes(self, report: SegmentReport) -> None:
        self.finished.add(report.image)


def test_a_model_that_workers_have_is_not_loaded_again(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts, start = list[object](), FakeEngine.start

    def starting(self: FakeEngine, *of: object) -> object:
        starts.append(of)
        return start(self, *of)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeEngine, "start", starting)
    with fake_executor(2) as executor:
        for name, model, how in (
            ("a", tiny_model(), Settings()),
            ("b", tiny_model(), Settings()),
            ("c", tiny_model(seed=1), Settings()),
            ("d", tiny_model(seed=1), Settings(patch_batch=2)),
        ):
            segment_file(image, tmp_path / f"{name}_1.tif", model, how, executor=executor)

    assert len(starts) == 3


def test_an_interruption_ends_all_images_and_leaves_no_result(tmp_path: Path) -> None:
    images = [
        write_tiff(tmp_path / f"{k}.tif", np.moveaxis(picture(200, 190, seed=k), 2, 0))
        for k in range(4)
    ]

    watcher = _Impatient()
    with fake_executor(2) as executor, pytest.raises(KeyboardInterrupt):
        segment_files(
            images,
            tmp_path / "out",
            tiny_model(),
            Settings(),
            watcher=watcher,
            executor=executor,
        )

    assert list((tmp_path / "out").iterdir()) == []
    assert watcher.failed == []


class _Impatient(Unwatched):
    def __init__(self) -> None:
        self.failed: list[SegmentFailure] = []

    def fails(self, failure: SegmentFailure) -> None:
        self.failed.append(failure)

    def advances(self, _: str, done: int, __: int) -> None:
        if done > 10:
            raise KeyboardInterrupt


def test_an_array_is_sent_to_the_workers() -> None:
    pixels = picture(150, 130)

    with fake_executor(2) as executor:
        found = segment(pixels, tiny_model(), precision="float32", executor=executor)

    assert np.array_equal(found, segment(pixels, tiny_model(), precision="float32"))


def test_a_taker_that_is_slow_slows_the_workers_down(image: Path, tmp_path: Path) -> None:
    engine, ahead = FakeEngine(2), []

    def progress(phase: str, done: int, _: int) -> None:
        if phase == "patches":
            time.sleep(0.02)
            asked = sum(method == "group" for method, _ in engine.asked)
            ahead.append(asked - done // groups.GROUP)

    with ClusterExecutor(engine) as executor:
        segment_file(
            image,
            tmp_path / "far.tif",
            tiny_model(),
            Settings(),
            progress=progress,
            executor=executor,
        )

    assert max(ahead) <= 2 + 2


# What is refused


def _refused(kind: type[Exception], words: str, executor: ClusterExecutor, *of: object) -> None:
    image, output, model = of
    with executor, pytest.raises(kind, match=words) as caught:
        segment_file(image, output, model, Settings(), executor=executor)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not Path(str(output)).exists()


@pytest.mark.parametrize("name", ["Python", "glnet", "torch", "numpy"])
def test_other_versions_are_refused_by_name(image: Path, tmp_path: Path, name: str) -> None:
    def change(number: int, ready: Ready) -> Ready:
        return replace(ready, versions={**ready.versions, name: "0.1"}) if number else ready

    words = rf"the worker on host1 has {name} 0\.1, this process \d"
    _refused(
        ClusterError, words, fake_executor(change=change), image, tmp_path / "b.tif", tiny_model()
    )


def test_another_model_or_precision_is_refused(image: Path, tmp_path: Path) -> None:
    def other(number: int, ready: Ready) -> Ready:
        return replace(ready, digest="another") if number else ready

    def rough(number: int, ready: Ready) -> Ready:
        return replace(ready, precision="float16") if number else ready

    of = (image, tmp_path / "b.tif", tiny_model())
    _refused(ClusterError, "host1 finds another model", fake_executor(change=other), *of)
    _refused(
        ClusterError,
        "host1 computes in float16, the one on host0 in float32",
        fake_executor(change=rough),
        *of,
    )


def test_a_worker_that_cannot_see_the_file_says_which_and_where(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_scene, "_may_open", lambda _: False)

    words = rf"the worker on .+ cannot see {image}; put it where all machines"
    _refused(ClusterError, words, fake_executor(), image, tmp_path / "b.tif", tiny_model())


def test_a_worker_that_sees_another_file_is_refused(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_tiff(tmp_path / "other.tif", np.moveaxis(picture(90, 80), 2, 0))
    monkeypatch.setattr(open_scene, "opened", lambda _, *how: opened(other, *how))

    words = rf"sees another {image} \(90x80 pixels, 3 bands, \d+ bytes, here 240x200 pixels, 3 "
    _refused(ClusterError, words, fake_executor(), image, tmp_path / "b.tif", tiny_model())


def test_an_object_store_that_is_too_small_is_told_the_least(image: Path, tmp_path: Path) -> None:
    of = (image, tmp_path / "b.tif", tiny_model())
    words = r"a\.tif does not fit Ray's object store of 1000 bytes; .*--object-store-memory (\d+)"

    _refused(ClusterError, words, fake_executor(store_bytes=1000), *of)
    with fake_executor(store_bytes=10**6) as executor:
        segment_file(*of, Settings(), executor=executor)


def test_what_a_worker_refuses_is_refused_here(image: Path, tmp_path: Path) -> None:
    four = write_tiff(tmp_path / "four.tif", np.zeros((5, 80, 80), np.uint8))
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(image.read_bytes()[:-9000])

    of = (tmp_path / "b.tif", tiny_model())
    _refused(InputMismatchError, "5 bands, the model takes 3", fake_executor(), four, *of)
    _refused(RasterError, r"^the worker on .+: .*damaged", fake_executor(), damaged, *of)
    _refused(CheckpointError, "nowhere", fake_executor(), image, of[0], tmp_path / "nowhere")


def test_a_model_that_a_worker_cannot_see_is_refused_with_its_host(tmp_path: Path) -> None:
    found = Worker(1).load(str(tmp_path / "nowhere"), Settings())

    assert isinstance(found, Failure)
    assert isinstance(found.error, CheckpointError)
    assert re.match(r"the worker on .+: .*nowhere", found.text)


def test_a_worker_that_was_started_anew_says_that_it_has_no_model(image: Path) -> None:
    scene = Scene("key", str(image), Source(), Settings(), ())

    assert Worker(1).call("planes", scene, None) == Blank()


def test_a_device_that_workers_do_not_have_is_refused(image: Path, tmp_path: Path) -> None:
    with (
        fake_executor() as executor,
        pytest.raises(ConfigurationError, match=r"workers compute on cpu, .*--gpus-per-worker 1"),
    ):
        segment_file(
            image, tmp_path / "b.tif", tiny_model(), Settings(device="cuda"), executor=executor
        )


def test_without_any_worker_nobody_waits_for_ever(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "LONGEST_WITHOUT_S", 0.1)
    monkeypatch.setattr("tests.cluster.fake_engine._FakeHand.revive", _never)

    with (
        fake_executor(2, poison=lambda *_: True) as executor,
        pytest.raises(ClusterError, match="all workers were lost, and none came back"),
    ):
        segment_file(image, tmp_path / "b.tif", tiny_model(), Settings(), executor=executor)


def _never(hand: Hand, is_over: Callable[[], bool]) -> bool:
    hand.trouble = "it finds another model"  # type: ignore[misc]
    while not is_over():
        time.sleep(0.01)
    return False


def test_without_any_worker_images_that_are_left_fail_too(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "LONGEST_WITHOUT_S", 0.1)
    monkeypatch.setattr("tests.cluster.fake_engine._FakeHand.revive", _never)
    copies = [tmp_path / f"{k}.tif" for k in range(4)]
    for copy in copies:
        copy.write_bytes(image.read_bytes())

    with fake_executor(1, poison=lambda *_: True) as executor:
        batch = segment_files(copies, tmp_path / "out", tiny_model(), Settings(), executor=executor)

    assert len(batch.failures) == 4
    words = r"all workers were lost, and none .* seconds \(it finds another model\); see"
    assert all(re.match(words, of.error) for of in batch.failures)


def test_who_waits_when_all_is_closed_is_told(image: Path, tmp_path: Path) -> None:
    executor = fake_executor(2)

    def progress(*_: object) -> None:
        executor.close()

    with pytest.raises(ClusterError, match="sent home"):
        segment_file(
            image,
            tmp_path / "b.tif",
            tiny_model(),
            Settings(),
            progress=progress,
            executor=executor,
        )
