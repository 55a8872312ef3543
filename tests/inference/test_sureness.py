"""Refining only where the context branch is unsure: what stays, what changes, what is not read."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from glnet.errors import ConfigurationError, OutputError
from glnet.geometry import GridRule, Size, Window, patch_grid
from glnet.inference import groups, journal, score_files, units
from glnet.inference.answering import Answerer, Wanted
from glnet.inference.blending import Blending
from glnet.inference.forming import form_of
from glnet.inference.jobs import Extras
from glnet.inference.pixels import normalized, read_patch, read_thumbnail
from glnet.inference.regions import RegionRule
from glnet.inference.segment import segment_file
from glnet.inference.settings import Progress, Settings
from glnet.inference.starting import Rules
from glnet.inference.streaming import answers_of, predict
from glnet.inference.sureness import sure_patches
from glnet.inference.turns import Turns
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model
from glnet.model.config import Framing
from glnet.model.exchange import Exchange
from glnet.model.merging import Merger
from glnet.raster import ArrayRaster, Raster, open_raster
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff

CPU = torch.device("cpu")
HEIGHT, WIDTH = 170, 203
WHOLE = Window(0, 0, Size(HEIGHT, WIDTH))
PUBLISHED = Framing(patch_size=72, thumbnail_size=64, sampling="published")
REDUCED = Framing(patch_size=41, thumbnail_size=64, overlap=9, reduction=2)
CLASS = 1


def _half_flat() -> NDArray[np.uint8]:
    """Shapes and noise on the left, one colour on the right."""
    pixels = picture(HEIGHT, WIDTH)
    pixels[:, 100:] = 90
    return pixels


def _model(row: str = "bidirectional", framing: Framing | None = None) -> Model:
    """With a context branch that mostly answers one class, the surer the flatter the image."""
    model = tiny_model(row, framing=framing)
    assert model.network.context is not None
    with torch.no_grad():
        model.network.context.classify.bias[CLASS] += 1
    return model


def _constant(row: str = "bidirectional", framing: Framing | None = None) -> Model:
    """With a context branch that is sure of one class everywhere."""
    model = tiny_model(row, framing=framing)
    assert model.network.context is not None
    with torch.no_grad():
        model.network.context.classify.weight.zero_()
        model.network.context.classify.bias.copy_(torch.tensor([0.0, 8.0, 1.0]))
    return model


def _logits(model: Model, raster: Raster) -> Tensor:
    """The context branch's own answer."""
    seen = read_thumbnail(raster, model.config.framing)
    pixels = normalized(seen.pixels, model.config.normalization, seen.valid)[None]
    with torch.no_grad():
        logits = form_of(model, Settings()).form.see_whole(pixels, [Answer.GLOBAL]).logits
    assert logits is not None
    return logits


def _least(model: Model, raster: Raster) -> list[float]:
    """How sure the context branch is of every patch; 0 where it has several classes there."""
    grid = model.config.framing.grid(raster.size)
    exchange, logits = Exchange(grid, "exact"), _logits(model, raster)
    thresholds = logits[0].double().softmax(dim=0).amax(dim=0).flatten().tolist()
    least = [0.0] * len(grid)
    for threshold in sorted(set(thresholds)):
        for number in sure_patches(logits, exchange, grid.places, threshold):
            least[number] = threshold
    return least


def _threshold(model: Model, raster: Raster) -> float:
    """One that some patches reach and others do not, with room on both sides."""
    least = sorted(set(_least(model, raster)))
    gaps = [(after - before, before, after) for before, after in pairwise(least)]
    _, before, after = max(gaps)
    return (before + after) / 2


def _scores(model: Model, raster: Raster, how: Settings, answers: Sequence[Answer] = ()) -> Tensor:
    with predict(model, raster, how, tuple(answers)) as prediction:
        answer = (*answers, answers_of(model)[-1])[0]
        return prediction.scores(answer, Window(0, 0, raster.size), CPU)


def _reaching_only(model: Model, raster: Raster, patches: frozenset[int]) -> NDArray[np.bool_]:
    """The pixels which these patches reach, and no others."""
    reached = np.zeros((2, raster.size.height, raster.size.width), bool)
    for number, window in enumerate(model.config.framing.grid(raster.size)):
        reached[int(number in patches), *window.slices] = True
    only: NDArray[np.bool_] = reached[1] & ~reached[0]
    return only


# Which patches are sure


@settings(deadline=None, max_examples=30)
@given(
    sides=st.tuples(st.integers(40, 150), st.integers(40, 150)),
    cells=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    least=st.floats(0.05, 1),
    seed=st.integers(0, 1000),
)
def test_sure_patches_are_those_of_the_rule_cell_by_cell(
    sides: tuple[int, int], cells: tuple[int, int], least: float, seed: int
) -> None:
    raster = Size(*sides)
    grid = patch_grid(raster, Size(37, 37), 7, GridRule.EXACT)
    # Bumps as wide as patches, so that some are sure.
    rough = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
    logits = 4 * functional.interpolate(rough, cells)

    found = sure_patches(logits, Exchange(grid, "exact"), grid.places, least)

    expected = set()
    for number, window in enumerate(grid):
        rows = _cells(window.row, window.row_stop, cells[0], raster.height)
        columns = _cells(window.column, window.column_stop, cells[1], raster.width)
        own = [logits[0, :, row, column].double() for row in rows for column in columns]
        if len({int(of.argmax()) for of in own}) == 1 and all(
            float(of.softmax(0).max()) >= least for of in own
        ):
            expected.add(number)
    assert found == expected


def _cells(first: int, stop: int, cells: int, length: int) -> list[int]:
    """Those of which a part lies in a patch, and their neighbours."""
    extents = [
        (Fraction(of * length, cells), Fraction((of + 1) * length, cells)) for of in range(cells)
    ]
    inside = [of for of, (begin, end) in enumerate(extents) if begin < stop and end > first]
    return [of for of in range(cells) if min(abs(of - other) for other in inside) <= 1]


def test_nothing_that_is_no_number_is_sure() -> None:
    grid = patch_grid(Size(64, 64), Size(64, 64), 0, GridRule.EXACT)
    logits = torch.full((1, 3, 16, 16), torch.nan)

    assert sure_patches(logits, Exchange(grid, "exact"), grid.places, 0.01) == frozenset()


# What becomes of the answer


@pytest.mark.parametrize("row", ["bidirectional", "deep", "deep, not aggregated"])
@pytest.mark.parametrize("collapse", [True, False])
def test_above_every_probability_the_answer_is_the_ordinary_one(row: str, collapse: bool) -> None:
    model, raster = _model(row), ArrayRaster(_half_flat())
    above = float(np.nextafter(max(_least(model, raster)), 1))
    how = Settings(collapse=collapse)

    found = _scores(model, raster, Settings(collapse=collapse, refine_below=above + 1e-6))

    assert torch.equal(found, _scores(model, raster, how))


@pytest.mark.parametrize("row", ["aggregation only", "deep", "deep, not aggregated"])
@pytest.mark.parametrize("batch", [1, 3])
def test_where_only_refined_patches_reach_scores_are_the_ordinary_ones(
    row: str, batch: int
) -> None:
    model, raster = _model(row), ArrayRaster(_half_flat())
    below = _threshold(model, raster)
    least = _least(model, raster)
    refined = frozenset(number for number, of in enumerate(least) if of < below)

    found = _scores(model, raster, Settings(patch_batch=batch, refine_below=below))

    expected = _scores(model, raster, Settings(patch_batch=batch))
    only = _reaching_only(model, raster, refined)
    assert 0.2 < only.mean() < 0.8
    if batch == 1:
        assert torch.equal(found[:, only], expected[:, only])
    torch.testing.assert_close(found[:, only], expected[:, only], rtol=1e-4, atol=1e-4)
    sure = _reaching_only(model, raster, frozenset(range(len(least))) - refined)
    assert sure.any()
    assert not torch.equal(found[:, sure], expected[:, sure])


@pytest.mark.parametrize("row", ["bidirectional", "deep", "deep, not aggregated"])
@pytest.mark.parametrize("blending", ["feathered", "uniform"])
def test_where_only_sure_patches_reach_the_answer_is_the_context_branchs(
    row: str, blending: Blending
) -> None:
    model, raster = _model(row), ArrayRaster(_half_flat())
    below = _threshold(model, raster)
    sure = frozenset(number for number, of in enumerate(_least(model, raster)) if of >= below)
    only = _reaching_only(model, raster, sure)

    with predict(model, raster, Settings(refine_below=below, blending=blending)) as prediction:
        scores = prediction.scores(answers_of(model)[-1], WHOLE, CPU)
        mean = scores / prediction.weight(answers_of(model)[-1], WHOLE, CPU)

    assert only.any()
    assert set(mean.argmax(dim=0)[only].tolist()) == {CLASS}
    logits = functional.interpolate(_logits(model, raster), (HEIGHT, WIDTH), mode="bilinear")
    # The scores have been through a patch's frame, which bends elsewhere.
    assert float((mean - logits[0])[:, only].abs().mean()) < 0.1 * float(logits[0][:, only].std())


FRAMINGS = {"exact": None, "published": PUBLISHED, "reduced": REDUCED}


@pytest.mark.parametrize("row", ["bidirectional", "deep", "aggregation only"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_context_branch_that_is_sure_everywhere_has_its_way_and_nothing_is_read(
    row: str, framing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = _constant(row, FRAMINGS[framing]), _counted_reads(monkeypatch)
    raster = ArrayRaster(picture(HEIGHT, WIDTH))
    answers = answers_of(model)[1:]

    with predict(model, raster, Settings(refine_below=0.99), answers) as prediction:
        found = [prediction.scores(of, WHOLE, CPU) for of in answers]
        weights = [prediction.weight(of, WHOLE, CPU) for of in answers]
        assert prediction.refined_patches == 0

    assert read == []
    bias = torch.tensor([0.0, 8.0, 1.0])[:, None, None]
    for scores, weight in zip(found, weights, strict=True):
        torch.testing.assert_close(scores / weight, bias.expand_as(scores), rtol=1e-5, atol=1e-5)


def _counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[Window]:
    """The windows of patches that are read from now on."""
    windows: list[Window] = []

    def reading(raster: Raster, window: Window, framing: Framing) -> object:
        windows.append(window)
        return read_patch(raster, window, framing)

    monkeypatch.setattr(units, "read_patch", reading)
    return windows


@pytest.mark.parametrize("row", ["bidirectional", "deep"])
def test_refined_patches_are_read_and_run_in_full_batches_and_sure_ones_not_at_all(
    row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, raster = _model(row), ArrayRaster(_half_flat())
    read, below, form = (
        _counted_reads(monkeypatch),
        _threshold(model, raster),
        form_of(model, Settings()).form,
    )
    windows = list(model.config.framing.grid(raster.size))
    refined = [
        of for of, least in zip(windows, _least(model, raster), strict=True) if least < below
    ]
    run: list[int] = []
    see_patches = form.see_patches

    def running(pixels: Tensor, *others: object) -> object:
        run.append(len(pixels))
        return see_patches(pixels, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(form, "see_patches", running)
    how = Settings(patch_batch=3, refine_below=below)
    with predict(model, raster, how, form=form) as prediction:
        assert prediction.refined_patches == len(refined)

    assert 3 < len(refined) < len(windows)
    assert read == refined
    expected = []
    for group in groups.groups_of(len(windows)):
        of_group = sum(windows[number] in refined for number in group)
        full, rest = divmod(of_group, 3)
        expected += [3] * full + [rest] * (rest > 0)
    assert run == expected


def test_the_refined_branch_hears_nothing_of_sure_patches() -> None:
    """The steps written out, without the sure patches, as if they held no measurement."""
    model, raster = _model(), ArrayRaster(_half_flat())
    below, network, framing = _threshold(model, raster), model.network, model.config.framing
    grid, least = framing.grid(raster.size), _least(model, raster)
    refined = [number for number, of in enumerate(least) if of < below]
    places = [grid.places[number] for number in refined]
    windows = [window for number, window in enumerate(grid) if number in refined]
    exchange = Exchange(grid, "exact")
    patches = [read_patch(raster, of, framing).pixels for of in windows]
    thumbnail = _normalized(model, read_thumbnail(raster, framing).pixels[None])
    assert network.context is not None
    assert network.aggregation is not None

    found = [
        _scores(model, raster, Settings(refine_below=below, blending="uniform"), [answer])
        for answer in (Answer.GLOBAL, Answer.AGGREGATED)
    ]

    with torch.no_grad():
        context = network.context(thumbnail)
        pixels = _normalized(model, np.stack(patches))
        local = network.see_patches(pixels, context.features, exchange, places)
        merger = Merger(exchange, context.features)
        merger.add(local.features, places)
        merger.skip([of for of in grid.places if of not in places])
        again = network.see_again(thumbnail, merger.merged(torch.float32))
        heard = exchange.hear(again.fused, local.fused.shape, places)
        aggregated = network.aggregation(local.fused, heard)
    large = functional.interpolate(again.logits, (HEIGHT, WIDTH), mode="bilinear")[0]
    torch.testing.assert_close(found[0], large, rtol=1e-4, atol=1e-4)
    total = torch.zeros_like(found[1])
    for of, window in zip(aggregated, windows, strict=True):
        side = (window.size.height, window.size.width)
        total[:, *window.slices] += functional.interpolate(of[None], side, mode="bilinear")[0]
    only = _reaching_only(model, raster, frozenset(refined))
    assert 0.2 < only.mean() < 0.8
    torch.testing.assert_close(found[1][:, only], total[:, only], rtol=1e-4, atol=1e-4)


def _normalized(model: Model, pixels: NDArray[np.uint8]) -> Tensor:
    return normalized(pixels, model.config.normalization)


@pytest.mark.parametrize("row", ["bidirectional", "deep"])
@pytest.mark.parametrize("turns", ["none", "flips"])
def test_regions_and_ways_each_decide_for_themselves(row: str, turns: Turns) -> None:
    raster = ArrayRaster(_half_flat())
    how = Settings(turns=turns, regions=RegionRule(side=110), refine_below=0.99)

    with predict(_constant(row), raster, how) as prediction:
        labels = prediction.labels(answers_of(_constant(row))[-1], WHOLE, CPU)
        assert prediction.refined_patches == 0
    with predict(_constant(row), raster, Settings(turns=turns, regions=how.regions)) as prediction:
        many = prediction.refined_patches

    assert (labels == CLASS).all()
    assert many > len(_constant(row).config.framing.grid(Size(110, 110)))


def test_both_forms_agree() -> None:
    model, raster = _model(), ArrayRaster(_half_flat())
    below = _threshold(model, raster)

    collapsed, plain = (
        _scores(model, raster, Settings(collapse=of, refine_below=below)) for of in (True, False)
    )

    assert float((collapsed - plain).abs().max()) <= 1e-4 * float(plain.abs().max())


# What is no measurement


def _holed() -> NDArray[np.bool_]:
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[20:35, 150:190] = False
    valid[100:104, 20:24] = False
    return valid


@pytest.mark.parametrize("model", [_constant(), _model()], ids=["all sure", "some sure"])
def test_holes_in_patches_that_were_not_read_have_no_label(model: Model) -> None:
    pixels, valid = _half_flat().astype(np.float32), _holed()
    pixels[~valid] = np.nan
    raster = ArrayRaster(pixels)
    below = _threshold(model, raster) if max(_least(model, raster)) < 0.9 else 0.9

    with predict(model, raster, Settings(refine_below=below)) as prediction:
        assert prediction.refined_patches < len(model.config.framing.grid(raster.size))
        assert not prediction.is_measured(Window(22, 160, Size(3, 3)))
        answerer = Answerer(prediction, raster, Answer.AGGREGATED, Wanted(), CPU)
        labels = answerer.answered(WHOLE).labels

    assert np.array_equal(labels == 255, ~valid)


def test_files_with_holes_keep_them(tmp_path: Path) -> None:
    valid = _holed()
    pixels = np.where(valid, np.moveaxis(_half_flat(), 2, 0).clip(1), 0).astype(np.uint8)
    image = write_tiff(tmp_path / "a.tif", pixels, nodata=0)

    report = segment_file(image, tmp_path / "b.tif", _constant(), Settings(refine_below=0.9))

    with open_raster(tmp_path / "b.tif") as labels:
        found = labels.read_masked(WHOLE).valid
    assert found is not None
    assert np.array_equal(found, valid)
    assert report.nodata_pixels == int((~valid).sum())
    assert report.refined_patches == 0


# Reports, refusals, resuming


def test_the_report_says_how_many_patches_were_refined(tmp_path: Path) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(_half_flat(), 2, 0))
    model = _model()
    with open_raster(image) as raster:
        below = _threshold(model, raster)
        expected = sum(of < below for of in _least(model, raster))

    found = [
        segment_file(image, tmp_path / f"{number}.tif", model, how)
        for number, how in enumerate((Settings(refine_below=below), Settings()))
    ]

    assert [of.refined_patches for of in found] == [expected, found[0].patches]
    assert 0 < expected < found[0].patches


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.01, float("nan")])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigurationError, match="over 0 and up to 1"):
        Settings(refine_below=wrong)


def test_a_model_without_a_context_branch_is_refused(tmp_path: Path) -> None:
    model, raster = tiny_model("local only"), ArrayRaster(_half_flat())

    with pytest.raises(ConfigurationError, match="this model has none"):
        predict(model, raster, Settings(refine_below=0.9))
    with pytest.raises(ConfigurationError, match="this model has none"):
        segment_file(tmp_path / "a.tif", tmp_path / "b.tif", model, Settings(refine_below=0.9))


def test_a_model_of_the_context_branch_alone_has_nothing_to_refine() -> None:
    model, raster = tiny_model("global only"), ArrayRaster(_half_flat())

    assert torch.equal(
        _scores(model, raster, Settings(refine_below=0.5)), _scores(model, raster, Settings())
    )


class Stop(BaseException):
    """The process ends here."""


def _stopping(calls: int) -> Progress:
    """Progress that ends the process when it is told for so manieth time."""
    told = []

    def progress(*step: object) -> None:
        told.append(step)
        if len(told) > calls:
            raise Stop

    return progress


@pytest.mark.parametrize("row", ["bidirectional", "deep"])
@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "regions"])
def test_a_run_goes_on_wherever_it_was_stopped(
    tmp_path: Path, row: str, is_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SECONDS_BETWEEN_NOTES", 0)
    monkeypatch.setattr(journal, "PAUSE_SHARE", 0)
    monkeypatch.setattr(score_files, "SPARE_BYTES", 1)
    monkeypatch.setattr(groups, "GROUP", 4)
    valid = _holed()
    pixels = np.where(valid, np.moveaxis(_half_flat(), 2, 0).clip(1), 0).astype(np.uint8)
    image, model = write_tiff(tmp_path / "a.tif", pixels, nodata=0), _model(row)
    with open_raster(image) as raster:
        below = _threshold(model, raster)
    how = Settings(patch_batch=2, refine_below=below)
    if is_cut:
        how = Settings(
            patch_batch=2, refine_below=below, regions=RegionRule(side=110), turns="flips"
        )
    extras, output, stops = Extras(confidence=True), tmp_path / "b.tif", 0
    whole = segment_file(image, tmp_path / "whole.tif", model, how, extras=extras)
    assert 0 < whole.refined_patches < whole.patches

    for calls in range(500):
        try:
            report = segment_file(
                image,
                output,
                model,
                how,
                extras=extras,
                rules=Rules(resume=True),
                progress=_stopping(calls % 7),
            )
            break
        except Stop:
            stops += 1

    assert stops > 2
    assert report.refined_patches == whole.refined_patches
    for name in ("{}.tif", "{}_confidence.tif"):
        one, other = (tmp_path / name.format(of) for of in ("b", "whole"))
        assert one.read_bytes() == other.read_bytes()


def test_a_run_with_another_threshold_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SECONDS_BETWEEN_NOTES", 0)
    monkeypatch.setattr(groups, "GROUP", 4)
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(_half_flat(), 2, 0))

    with pytest.raises(Stop):
        segment_file(
            image, tmp_path / "b.tif", _model(), Settings(refine_below=0.9), progress=_stopping(2)
        )

    with pytest.raises(OutputError, match=r"refining below was 0.9, is None"):
        segment_file(image, tmp_path / "b.tif", _model(), Settings(), rules=Rules(resume=True))
