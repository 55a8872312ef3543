import csv
import math
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glnet.errors import OutputError
from glnet.training.following.history import History, read_history, rounds_until
from glnet.training.following.rounds import COLUMNS, LOSSES, Round, best_round, round_of, row_of
from tests.training.following.some_rounds import a_round, looked_at

numbers = st.floats(allow_nan=False)
maybe = st.none() | numbers
ROUNDS = st.builds(
    Round,
    stage=st.sampled_from(["context", "local", "refined"]),
    epoch=st.integers(0, 4000).map(lambda of: of / 8),
    step=st.integers(0, 2**40),
    seconds=numbers,
    losses=st.dictionaries(st.sampled_from(LOSSES), numbers),
    learning_rate=numbers,
    gradient_norm=numbers,
    gradient_norm_max=numbers,
    validation_loss=maybe,
    validation_miou=maybe,
    waiting_share=maybe,
    images_per_second=maybe,
    peak_memory_mib=maybe,
)

BEFORE = [a_round("context", 1), a_round("context", 2), a_round("local", 0.5), a_round("local", 1)]


@given(ROUNDS)
def test_a_row_says_the_round_to_the_last_bit(of: Round) -> None:
    assert round_of(row_of(of)) == of


def test_every_attribute_has_a_column() -> None:
    assert {each.name for each in fields(Round)} - {"losses"} <= set(COLUMNS)
    assert {f"loss_{name}" for name in LOSSES} <= set(COLUMNS)


def test_numbers_that_are_none_are_kept() -> None:
    of = round_of(row_of(a_round(gradient_norm=math.nan, gradient_norm_max=math.inf)))

    assert math.isnan(of.gradient_norm)
    assert of.gradient_norm_max == math.inf


def test_a_loss_of_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match=r"losses are named aggregated, local.*; got dice"):
        a_round(losses={"local": 1.0, "dice": 2.0})


def test_the_loss_is_the_sum_of_the_losses() -> None:
    assert a_round(losses={"local": 1.5, "regularization": 2.0}).loss == 3.5


def test_the_best_round_is_the_first_of_the_highest() -> None:
    rounds = [a_round(), looked_at(epoch=2, miou=math.nan), looked_at(epoch=3, miou=0.6)]
    rounds += [looked_at(epoch=4, miou=0.7), looked_at(epoch=5, miou=0.7)]

    assert best_round(rounds) is rounds[3]
    assert best_round(rounds[:2]) is None


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "run" / "history.csv"
    history = History(path)
    for each in BEFORE:
        history.append(each)
        assert read_history(path)[-1] == each

    assert read_history(path) == BEFORE == history.rounds == History(path).rounds


def test_the_file_is_a_table_of_named_columns(tmp_path: Path) -> None:
    History(tmp_path / "history.csv").append(looked_at(miou=0.75))

    with (tmp_path / "history.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)

    assert row["stage"] == "local"
    assert (row["loss"], row["loss_local"], row["loss_global"]) == ("0.5", "0.2", "")
    assert row["validation_miou"] == "0.75"


def test_a_torn_last_line_is_dropped_and_the_next_round_follows_the_whole_ones(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.csv"
    history = History(path)
    for each in BEFORE:
        history.append(each)
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])

    for torn in range(1, last):
        path.write_bytes(whole[:-torn])
        assert read_history(path) == BEFORE[:-1]
        History(path).append(BEFORE[-1])
        assert path.read_bytes() == whole


def test_a_torn_first_line_is_no_history_yet(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("stage,epo")

    assert read_history(path) == []
    History(path).append(BEFORE[0])

    assert read_history(path) == BEFORE[:1]


@pytest.mark.parametrize(
    ("stage", "epoch", "kept"),
    [
        ("local", 1, 4),
        ("local", 0.5, 3),
        ("local", 0.5 - 1e-9, 3),
        ("local", 0.4, 2),
        ("local", 0, 2),
        ("context", 2, 2),
        ("context", 1, 1),
        ("context", 0, 0),
        ("refined", 0, 4),
    ],
)
def test_resuming_forgets_what_lies_beyond(
    tmp_path: Path, stage: str, epoch: float, kept: int
) -> None:
    history = History(tmp_path / "history.csv")
    for each in BEFORE:
        history.append(each)

    history.resume(stage, epoch)
    again = a_round("refined", 9)
    history.append(again)

    assert history.rounds == read_history(history.path) == [*BEFORE[:kept], again]
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_a_run_resumed_where_it_was_killed_has_the_history_of_one_that_was_not(
    tmp_path: Path,
) -> None:
    whole, cut = History(tmp_path / "whole.csv"), History(tmp_path / "cut.csv")
    for each in BEFORE:
        whole.append(each)
    for each in BEFORE[:3]:
        cut.append(each)

    resumed = History(tmp_path / "cut.csv")
    resumed.resume("context", 2)
    for each in BEFORE[2:]:
        resumed.append(each)

    assert (tmp_path / "cut.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_rounds_until_keeps_all_of_the_stages_before() -> None:
    assert rounds_until([], "local", 3) == []
    assert rounds_until(BEFORE, "local", 0) == BEFORE[:2]


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,loss\n1,2\n")

    with pytest.raises(OutputError, match=r"expected the columns stage, .*got epoch, loss; move"):
        History(path)


@pytest.mark.parametrize("row", ["local,1,1", "local,x" + "," * 15, "local,1,1,1,1" + "," * 12])
def test_a_row_that_is_no_round_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(",".join(COLUMNS) + f"\n{row}\n")

    with pytest.raises(OutputError, match=r"history.csv, line 2: not the numbers of a round"):
        read_history(path)


def test_a_cell_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("x" * 200_000 + "\n")

    with pytest.raises(OutputError, match="is no history: field larger than"):
        read_history(path)


def test_a_history_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot read the history"):
        read_history(tmp_path)


def test_a_history_in_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match="cannot make the folder"):
        History(tmp_path / "file" / "history.csv").append(a_round())


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    history = History(tmp_path / "history.csv")
    (tmp_path / "history.csv").symlink_to("/dev/full")

    with pytest.raises(OutputError, match=r"history.csv could not be written whole: No space left"):
        history.append(a_round())
    assert history.rounds == []


def test_a_rewriting_that_fails_leaves_the_old_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(tmp_path / "history.csv")
    for each in BEFORE:
        history.append(each)

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(OutputError, match="No space left on device"):
        history.resume("context", 1)
    assert read_history(history.path) == BEFORE == history.rounds
