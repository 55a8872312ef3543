"""A run that was stopped goes on, and its result is that of a run that was not."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from glnet.errors import OutputError, RasterError
from glnet.inference import groups, journal, scene, score_files
from glnet.inference.jobs import Extras
from glnet.inference.regions import RegionRule
from glnet.inference.scratch import ScoreFile
from glnet.inference.segment import segment_file, segment_files
from glnet.inference.settings import Settings
from glnet.inference.starting import Rules
from glnet.inference.streaming import predict
from glnet.model.checkpoint import Model
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff

ARCHITECTURES = ["bidirectional", "deep", "global only", "local only"]
RESUMED = Rules(resume=True)


class Stop(BaseException):
    """The process ends here."""


@pytest.fixture(autouse=True)
def _everything_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SECONDS_BETWEEN_NOTES", 0)
    monkeypatch.setattr(journal, "PAUSE_SHARE", 0)
    # So small that an image has several, each of two batches.
    monkeypatch.setattr(groups, "GROUP", 4)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_tiff(tmp_path / "a.tif", np.moveaxis(picture(170, 140), 2, 0))


def _stopping(calls: int) -> Callable[[str, int, int], None]:
    """Progress that ends the process when it is told for so manieth time."""
    told = []

    def progress(phase: str, done: int, total: int) -> None:
        told.append((phase, done, total))
        if len(told) > calls:
            raise Stop

    return progress


def _run(image: Path, output: Path, model: Model, how: Settings, **more: object) -> None:
    segment_file(image, output, model, how, extras=EXTRAS, **more)  # type: ignore[arg-type]


EXTRAS = Extras(confidence=True)
ROOMY = Settings(patch_batch=2)
REGIONS = Settings(patch_batch=2, regions=RegionRule(side=90), turns="flips")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("how", [ROOMY, REGIONS], ids=["whole", "regions"])
def test_a_run_goes_on_wherever_it_was_stopped(
    image: Path, tmp_path: Path, architecture: str, how: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(architecture)
    # So few that moved scores overwrite others soon.
    monkeypatch.setattr(score_files, "SPARE_BYTES", 1)
    _run(image, tmp_path / "whole.tif", model, how)
    expected = (tmp_path / "whole.tif").read_bytes()
    output, stops = tmp_path / "b.tif", 0

    for calls in range(500):
        try:
            # Every run gets a little further than the one before.
            _run(image, output, model, how, rules=RESUMED, progress=_stopping(calls % 7))
            break
        except Stop:
            stops += 1
            assert not output.exists()

    assert stops > (2 if architecture != "global only" else 0)
    assert output.read_bytes() == expected
    confidence = [tmp_path / f"{name}_confidence.tif" for name in ("whole", "b")]
    assert confidence[0].read_bytes() == confidence[1].read_bytes()
    assert not journal.unfinished_beside(output).exists()


def test_what_was_done_is_not_done_again(image: Path, tmp_path: Path) -> None:
    model, told = tiny_model(), []
    with pytest.raises(Stop):
        _run(image, tmp_path / "b.tif", model, ROOMY, progress=_stopping(4))

    _run(
        image,
        tmp_path / "b.tif",
        model,
        ROOMY,
        rules=RESUMED,
        progress=lambda *step: told.append(step),
    )

    assert told[0][0] == "patches"
    assert told[0][1] >= 6


def _stopped(image: Path, output: Path, how: Settings = ROOMY) -> Path:
    with pytest.raises(Stop):
        _run(image, output, tiny_model(), how, progress=_stopping(4))
    return journal.unfinished_beside(output)


def test_an_unfinished_run_is_neither_forgotten_nor_resumed_unasked(
    image: Path, tmp_path: Path
) -> None:
    output = tmp_path / "b.tif"
    left = _stopped(image, output)
    before = (left / journal.JOURNAL).read_bytes()

    with pytest.raises(OutputError, match="go on with --resume, or start again with --overwrite"):
        _run(image, output, tiny_model(), ROOMY)

    assert (left / journal.JOURNAL).read_bytes() == before
    _run(image, output, tiny_model(), ROOMY, rules=Rules(overwrite=True))
    assert output.is_file()
    assert not left.exists()


def test_a_run_that_was_another_one_is_refused_with_what_differs(
    image: Path, tmp_path: Path
) -> None:
    output = tmp_path / "b.tif"
    left = _stopped(image, output)

    with pytest.raises(OutputError, match="patch batch was 2, is 3"):
        _run(image, output, tiny_model(), Settings(patch_batch=3), rules=RESUMED)
    with pytest.raises(OutputError, match="blending was feathered, is uniform"):
        _run(
            image, output, tiny_model(), Settings(patch_batch=2, blending="uniform"), rules=RESUMED
        )
    other = tiny_model()
    with torch.no_grad():
        next(iter(other.network.parameters())).add_(1)
    with pytest.raises(OutputError, match="model was"):
        _run(image, output, other, ROOMY, rules=RESUMED)
    os.utime(image, (1, 1))
    with pytest.raises(OutputError, match="time of change was"):
        _run(image, output, tiny_model(), ROOMY, rules=RESUMED)

    assert (left / journal.JOURNAL).is_file()
    assert not output.exists()


def test_another_number_of_threads_would_round_otherwise(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "b.tif"
    _stopped(image, output)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)

    with pytest.raises(OutputError, match=r"number of threads was .*, is 99"):
        _run(image, output, tiny_model(), ROOMY, rules=RESUMED)


def test_damaged_notes_are_refused_in_one_line(image: Path, tmp_path: Path) -> None:
    output = tmp_path / "b.tif"
    left = _stopped(image, output)
    noted = (left / journal.JOURNAL).read_text()
    for damaged in ("", "{", "[]", json.dumps(json.loads(noted) | {"format": 99})):
        (left / journal.JOURNAL).write_text(damaged)
        with pytest.raises(OutputError, match=r"journal .* cannot be read"):
            _run(image, output, tiny_model(), ROOMY, rules=RESUMED)

    (left / journal.JOURNAL).write_text(noted)
    (left / "scores-aggregated.bin").unlink()
    with pytest.raises(OutputError, match=r"scratch file .* is gone"):
        _run(image, output, tiny_model(), ROOMY, rules=RESUMED)


UNIT: dict[str, object] = {
    "phase": "patches",
    "done": 1,
    "added": 0,
    "skipped": [],
    "holed": [],
    "frames": {},
}


OTHER_VALUES: dict[str, list[object]] = {
    "facts": [None, [], 1, "a"],
    "units": [None, {}, 1, "a", [1], [None], [[]], ["a"], [{}]],
    "sums": [1, [], {}, "", "../a.tif", "/a", "sums-/../a.bin"],
    "format": [None, [], {}, "2"],
}
OTHER_VALUES_OF_A_UNIT: dict[str, list[object]] = {
    "phase": [None, [], {}, "x"],
    "done": [None, "1", -1, 0.5, True, []],
    "skipped": [None, {}, 3, [[1]], ["a"]],
    "sure": [None, "a"],
    "frames": [None, [], {"x": [1]}, {"local": 3}],
}


@pytest.mark.parametrize(
    "change",
    [
        *({key: value} for key, values in OTHER_VALUES.items() for value in values),
        *(
            {"units": [UNIT | {key: value}]}
            for key, values in OTHER_VALUES_OF_A_UNIT.items()
            for value in values
        ),
    ],
    ids=str,
)
def test_notes_of_another_shape_are_refused_in_one_line(
    tmp_path: Path, change: dict[str, object]
) -> None:
    left = journal.unfinished_beside(tmp_path / "b.tif")
    left.mkdir()
    notes = {"format": journal.FORMAT, "facts": {}, "units": [UNIT], "sums": None} | change
    (left / journal.JOURNAL).write_text(json.dumps(notes))

    with pytest.raises(OutputError, match=r"journal .* cannot be read \([^\n]+\); start again"):
        journal.Journal(tmp_path / "b.tif", {}).resume()


@pytest.mark.parametrize("text", ["", "{", "1", "null", '"a"', "[" * 100_000, "\udcff", "1e999"])
def test_notes_that_are_no_mapping_are_refused_in_one_line(tmp_path: Path, text: str) -> None:
    left = journal.unfinished_beside(tmp_path / "b.tif")
    left.mkdir()
    (left / journal.JOURNAL).write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(OutputError, match=r"journal .* cannot be read \([^\n]+\); start again"):
        journal.Journal(tmp_path / "b.tif", {}).resume()


@pytest.mark.parametrize("damaged", [b"", b"no array", b"\x93NUMPY\x01\x00v\x00{'descr': '|O'"])
def test_a_damaged_array_is_made_again(tmp_path: Path, damaged: bytes) -> None:
    notes = journal.Journal(tmp_path / "b.tif", {})
    notes.open()
    (notes.folder / "thumbnail-0.npy").write_bytes(damaged)

    found = notes.remembered("thumbnail-0", lambda: np.ones((1, 2), dtype=np.float32))

    assert found.tolist() == [[1, 1]]
    assert np.load(notes.folder / "thumbnail-0.npy").tolist() == [[1, 1]]
    notes.close(is_kept=False)


def test_lost_sums_are_refused_in_one_line(image: Path, tmp_path: Path) -> None:
    output = tmp_path / "b.tif"
    left = _stopped(image, output)
    (sums,) = left.glob("sums-*")
    sums.write_bytes(sums.read_bytes()[:-9])

    with pytest.raises(OutputError, match="cannot be read"):
        _run(image, output, tiny_model(), ROOMY, rules=RESUMED)


@pytest.mark.parametrize("rules", [Rules(), RESUMED, Rules(overwrite=True)])
def test_a_folder_that_is_no_runs_is_left_as_it_is(
    image: Path, tmp_path: Path, rules: Rules
) -> None:
    output = tmp_path / "b.tif"
    foreign = journal.unfinished_beside(output)
    (foreign / "lock").mkdir(parents=True)
    (foreign / "scores-global.bin").touch()
    (foreign / "thesis.txt").write_text("precious")

    for name in ("lock", "thesis.txt"):
        with pytest.raises(OutputError, match=f"holds '{name}', which is none of them; move"):
            _run(image, output, tiny_model(), ROOMY, rules=rules)
        if name == "lock":
            (foreign / "lock").rmdir()

    assert {of.name for of in foreign.iterdir()} == {"scores-global.bin", "thesis.txt"}
    assert (foreign / "thesis.txt").read_text() == "precious"
    assert not output.exists()


def test_what_was_put_beside_notes_is_kept(image: Path, tmp_path: Path) -> None:
    output = tmp_path / "b.tif"
    left = _stopped(image, output)
    (left / "thesis.txt").write_text("precious")

    with pytest.raises(OutputError, match=r"holds 'thesis.txt'"):
        _run(image, output, tiny_model(), ROOMY, rules=Rules(overwrite=True))
    _run(image, output, tiny_model(), ROOMY, rules=RESUMED)

    assert output.is_file()
    assert [of.name for of in left.iterdir()] == ["thesis.txt"]


def test_a_folder_with_a_runs_leftovers_alone_is_taken(image: Path, tmp_path: Path) -> None:
    output = tmp_path / "b.tif"
    left = journal.unfinished_beside(output)
    left.mkdir()
    partial = f".{journal.JOURNAL}.0123456789ab.01234567.partial"
    names = ("lock", "sums-0-global-part-8.bin", "box-1-scores-local.bin", "thumbnail-coarse.npy")
    for name in (*names, partial):
        (left / name).write_bytes(b"old")

    _run(image, output, tiny_model(), ROOMY)

    assert output.is_file()
    assert not left.exists()


def test_two_runs_onto_one_output_exclude_each_other(image: Path, tmp_path: Path) -> None:
    output, refused = tmp_path / "b.tif", []

    def another(phase: str, done: int, total: int) -> None:
        if phase == "patches" and done == 2:
            with pytest.raises(OutputError, match="another run is writing"):
                _run(image, output, tiny_model(), ROOMY, rules=RESUMED)
            refused.append(total)

    _run(image, output, tiny_model(), ROOMY, progress=another)

    assert refused
    assert output.is_file()


@pytest.mark.parametrize("is_locked", [False, True])
def test_a_run_that_is_interrupted_while_it_begins_leaves_nothing(
    is_locked: bool, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire, calls = FileLock.acquire, list[bool]()

    def interrupted(lock: FileLock) -> None:
        calls.append(is_locked)
        if is_locked or len(calls) > 1:
            acquire(lock)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(FileLock, "acquire", interrupted)
    output = tmp_path / "labels.tif"

    with pytest.raises(KeyboardInterrupt):
        _run(image, output, tiny_model(), ROOMY)

    assert len(calls) >= 1
    assert [of.name for of in tmp_path.iterdir()] == [image.name]


def test_a_short_run_that_ends_early_leaves_nothing(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SECONDS_BETWEEN_NOTES", 1000)

    with pytest.raises(Stop):
        _run(image, tmp_path / "b.tif", tiny_model(), ROOMY, progress=_stopping(2))

    assert list(tmp_path.iterdir()) == [image]


def test_an_image_that_changes_meanwhile_has_no_result(image: Path, tmp_path: Path) -> None:
    def changing(phase: str, *_: int) -> None:
        if phase == "writing":
            os.utime(image, (1, 1))

    with pytest.raises(RasterError, match="has changed while it was read"):
        _run(image, tmp_path / "b.tif", tiny_model(), ROOMY, progress=changing)

    assert not (tmp_path / "b.tif").exists()


def test_a_disk_that_fills_up_keeps_what_was_noted(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, flush = tmp_path / "b.tif", ScoreFile.flush
    calls: list[int] = []

    def full(self: ScoreFile) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        flush(self)

    monkeypatch.setattr(ScoreFile, "flush", full)
    with pytest.raises(OutputError, match="No space left"):
        _run(image, output, tiny_model(), ROOMY)

    assert not output.exists()
    _run(image, output, tiny_model(), ROOMY, rules=RESUMED)
    _run(image, tmp_path / "c.tif", tiny_model(), ROOMY)
    assert output.read_bytes() == (tmp_path / "c.tif").read_bytes()


def test_scores_may_wait_elsewhere(image: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "scratch"
    elsewhere.mkdir()
    how = Settings(patch_batch=2, scratch=elsewhere)
    output = tmp_path / "b.tif"
    left = _stopped(image, output, how)

    assert [of.name for of in left.glob("scores*")] == []
    (folder,) = elsewhere.iterdir()
    assert [of.name for of in folder.iterdir()] == ["scores-aggregated.bin"]
    _run(image, output, tiny_model(), how, rules=RESUMED)
    assert list(elsewhere.iterdir()) == []


def test_folders_that_cannot_be_made_are_told(image: Path, tmp_path: Path) -> None:
    output, how = tmp_path / "b.tif", Settings(patch_batch=2, scratch=tmp_path / "gone")

    with pytest.raises(OutputError, match=r"gone does not exist; create it, or name another"):
        _run(image, output, tiny_model(), how)
    with pytest.raises(OutputError, match=r"a.tif is no folder, so there can be none in it"):
        _run(image, output, tiny_model(), replace(how, scratch=image))
    assert list(tmp_path.iterdir()) == [image]

    journal.unfinished_beside(output).touch()
    with pytest.raises(OutputError, match=r"b.tif.unfinished is no folder, but one is needed"):
        _run(image, output, tiny_model(), ROOMY)


@pytest.mark.parametrize("first", ["scratch", None])
@pytest.mark.parametrize("second", ["other", None])
def test_a_run_goes_on_where_its_scores_are(
    image: Path, tmp_path: Path, first: str | None, second: str | None
) -> None:
    for name in ("scratch", "other"):
        (tmp_path / name).mkdir()
    hows = [
        Settings(patch_batch=2, scratch=None if name is None else tmp_path / name)
        for name in (first, second)
    ]
    output = tmp_path / "b.tif"
    left = _stopped(image, output, hows[0])

    _run(image, output, tiny_model(), hows[1], rules=RESUMED)
    _run(image, tmp_path / "c.tif", tiny_model(), ROOMY)

    assert output.read_bytes() == (tmp_path / "c.tif").read_bytes()
    assert not left.exists()
    assert [list((tmp_path / name).iterdir()) for name in ("scratch", "other")] == [[], []]


def test_a_run_that_begins_anew_leaves_no_scores_of_the_one_before(
    image: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "scratch"
    elsewhere.mkdir()
    output = tmp_path / "b.tif"
    _stopped(image, output, Settings(patch_batch=2, scratch=elsewhere))
    (folder,) = elsewhere.iterdir()
    (folder / "thesis.txt").touch()
    (elsewhere / "scores-local.bin").touch()

    _run(image, output, tiny_model(), ROOMY, rules=Rules(overwrite=True))

    assert [of.name for of in folder.iterdir()] == ["thesis.txt"]
    assert (elsewhere / "scores-local.bin").exists()


def test_a_run_that_has_no_place_for_scores_forgets_nothing(image: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "scratch"
    elsewhere.mkdir()
    output = tmp_path / "b.tif"
    _stopped(image, output, Settings(patch_batch=2, scratch=elsewhere))
    nowhere = Settings(patch_batch=2, scratch=tmp_path / "gone")

    with pytest.raises(OutputError, match="does not exist"):
        _run(image, output, tiny_model(), nowhere, rules=Rules(overwrite=True))

    _run(image, output, tiny_model(), ROOMY, rules=RESUMED)
    assert output.is_file()


def test_a_run_may_begin_anew_with_its_scores_in_the_same_folder(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path)
    how = Settings(patch_batch=2, scratch=Path("scratch"))
    _stopped(image, tmp_path / "b.tif", how)

    _run(image, tmp_path / "b.tif", tiny_model(), how, rules=Rules(overwrite=True))

    assert (tmp_path / "b.tif").is_file()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_scores_of_a_run_that_noted_nothing_else_are_removed(image: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "scratch"
    elsewhere.mkdir()
    how = Settings(patch_batch=2, scratch=elsewhere)
    output = tmp_path / "b.tif"
    left = _stopped(image, output, how)
    (left / journal.JOURNAL).unlink()

    _run(image, output, tiny_model(), ROOMY)

    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("damaged", [None, b"/a\0b"])
def test_a_run_that_noted_no_folder_for_scores_goes_on_in_the_given_one(
    image: Path, tmp_path: Path, damaged: bytes | None
) -> None:
    elsewhere = tmp_path / "scratch"
    elsewhere.mkdir()
    how = Settings(patch_batch=2, scratch=elsewhere)
    output = tmp_path / "b.tif"
    left = _stopped(image, output, how)
    (left / "scratch").unlink()
    if damaged is not None:
        (left / "scratch").write_bytes(damaged)

    _run(image, output, tiny_model(), how, rules=RESUMED)

    assert output.is_file()


def test_finished_images_of_a_batch_are_passed_over(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = write_tiff(tmp_path / "c.tif", np.moveaxis(picture(90, 90, seed=2), 2, 0))
    out, done = tmp_path / "out", predict

    def failing(*args: object, **more: object) -> object:
        if len(list(out.glob("*.tif"))) == 1:
            raise Stop
        return done(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(scene, "predict", failing)
    with pytest.raises(Stop):
        segment_files([image, second], out, tiny_model(), Settings())
    monkeypatch.setattr(scene, "predict", done)

    batch = segment_files([image, second], out, tiny_model(), Settings(), rules=RESUMED)

    assert batch.finished_before == (str(image),)
    assert [report.image for report in batch.reports] == [str(second)]
