"""The demonstration: drawn scenes, three stages, a large map, and what each branch saw.

Some classes of the scenes can be told apart only by what lies far away, others only by structures
too fine for the thumbnail, so that neither branch alone can be right (`data/synthetic.py`).
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from glnet.data import (
    DatasetDescription,
    IndexEncoding,
    SceneSettings,
    open_labels,
    write_dataset,
    write_scene_geotiff,
)
from glnet.errors import OutputError
from glnet.evaluation.comparison import Column, compare
from glnet.evaluation.confusion import Confusion, Counts
from glnet.evaluation.evaluate import evaluate_folder
from glnet.evaluation.report import Score
from glnet.geometry import Size, blocks
from glnet.inference.jobs import Extras
from glnet.inference.regions import RegionRule
from glnet.inference.segment import segment_file
from glnet.inference.streaming import Answer, Settings
from glnet.model.checkpoint import load_model
from glnet.model.config import Architecture, Framing
from glnet.raster import open_raster, write_picture
from glnet.training.config import (
    DataConfig,
    LossConfig,
    RunConfig,
    StageConfig,
    StagesConfig,
    TrainingConfig,
)
from glnet.training.progress import Report, Steps, unseen
from glnet.training.run import Watchers, train

COUNTS = {"train": 16, "validation": 6}
SCENE_SIDE = 1024
LARGE_SIDE = 4096
RUNNING = Settings(patch_batch=16)
LARGE_RUNNING = replace(RUNNING, regions=RegionRule("whole"))
"""Whatever its size, a scene has two lakes: in regions of it their countries would not be seen."""

LARGE_SCENE_SEED = 1000
"""Beyond the seeds of the scenes that train and validate."""

MARK = "made_by_glnet_demo.txt"
"""The file that says that a folder is a demonstration's, finished or not, and may be replaced."""


ALONE = {"global only": "global", "local only": "local"}
"""The branches that are trained alone, for comparison, by their title."""


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration leaves.

    Attributes:
        scores: Of the branches trained alone and of GLNet, on unseen scenes, by title.
        model: The trained model's folder.
        labels: Label map of the large scene, a georeferenced GeoTIFF.
        overlay: The large scene with its labels on top.
        comparison: Image, truth and the three answers side by side.
        large_mean_iou: Of the label map of the large scene, 0..1.
    """

    scores: dict[str, Score]
    model: Path
    labels: Path
    overlay: Path
    comparison: Path
    large_mean_iou: float

    @property
    def lead(self) -> float:
        """How far GLNet's mIoU is ahead of the better branch alone, 0..1."""
        return self.scores["GLNet"].mean_iou - max(self.scores[of].mean_iou for of in ALONE)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        scores = {title: asdict(score) for title, score in self.scores.items()}
        paths = {name: str(getattr(self, name)) for name in PATHS}
        large = {"large_mean_iou": self.large_mean_iou}
        return {"answers": scores, "lead": self.lead, **large, **paths}


PATHS = ("model", "labels", "overlay", "comparison")


def run_demo(
    folder: Path,
    say: Callable[[str], None],
    report: Report,
    *,
    steps: Steps = unseen,
    seed: int = 0,
    overwrite: bool = False,
) -> DemoResult:
    """Run the demonstration in a new folder.

    Args:
        folder: Must not exist, or be empty.
        say: Told what comes next.
        report: Told after every epoch.
        steps: Told after every step.
        seed: Of the scenes and the training.
        overwrite: Whether the result of an earlier demonstration is replaced.

    Raises:
        OutputError: If the folder has something in it or cannot be written.
    """
    _make_room(folder, overwrite=overwrite)
    say(f"drawing {sum(COUNTS.values())} scenes of {SCENE_SIDE}x{SCENE_SIDE}")
    settings = SceneSettings(size=Size(SCENE_SIDE, SCENE_SIDE))
    write_dataset(folder / "data", settings, COUNTS, seed)
    say("training GLNet: the context branch, the local branch that hears it, the refined branch")
    watchers = Watchers(report, steps)
    model = train(demo_config(folder, seed), watchers)
    say("training the local branch alone, for comparison")
    local = train(local_alone(demo_config(folder, seed)), watchers)
    columns = [
        Column("global only", load_model(folder / "run" / "stages" / "context"), Answer.GLOBAL),
        Column("local only", local, Answer.LOCAL),
        Column("GLNet", model, Answer.AGGREGATED),
    ]
    say("evaluating the unseen scenes at full resolution")
    scores = {column.title: _score(column, folder) for column in columns}
    say(f"drawing and segmenting a georeferenced scene of {LARGE_SIDE}x{LARGE_SIDE}")
    large = _large_scene(folder, columns, seed)
    result = DemoResult(
        scores,
        folder / "run" / "model",
        folder / "scene_labels.tif",
        folder / "scene_labels_overlay.png",
        folder / "comparison.png",
        large.mean_iou,
    )
    (folder / "report.json").write_text(json.dumps(result.to_dict(), indent=2) + "\n")
    return result


def _score(column: Column, folder: Path) -> Score:
    evaluation = evaluate_folder(column.model, folder / "data", "validation", RUNNING)
    return evaluation.answers[column.answer.value]


def _large_scene(folder: Path, columns: list[Column], seed: int) -> Counts:
    """Segment a large scene, lay the answers side by side, and count how right the map is."""
    scene, truth = folder / "scene.tif", folder / "scene_truth.tif"
    large = SceneSettings(size=Size(LARGE_SIDE, LARGE_SIDE))
    write_scene_geotiff(scene, truth, large, seed=seed + LARGE_SCENE_SEED)
    model, labels = columns[-1].model, folder / "scene_labels.tif"
    segment_file(scene, labels, model, LARGE_RUNNING, extras=Extras(overlay=True))
    description = DatasetDescription(model.config.classes, IndexEncoding())
    with open_raster(scene) as raster, open_labels(truth, description) as known:
        write_picture(folder / "comparison.png", compare(columns, raster, known, LARGE_RUNNING))
    confusion = Confusion(len(model.config.classes))
    with open_labels(labels, description) as found, open_labels(truth, description) as known:
        for block in blocks(known.size, SCENE_SIDE):
            confusion.add(found.read(block), known.read(block))
    return confusion.result()


def _make_room(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder with something in it, or remove what an earlier demonstration left."""
    try:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            _remove_earlier(folder, overwrite=overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).write_text("glnet demo --overwrite replaces everything in this folder.\n")
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error}") from error


def _remove_earlier(folder: Path, *, overwrite: bool) -> None:
    if not overwrite:
        raise OutputError(f"{folder} exists and is not empty; choose another, or --overwrite")
    if not (folder / MARK).is_file():
        raise OutputError(f"{folder} is not an earlier demonstration; it is left as it is")
    shutil.rmtree(folder)


def demo_config(folder: Path, seed: int) -> TrainingConfig:
    """How the demonstration trains: small enough for two cores and a few minutes."""
    return TrainingConfig(
        data=DataConfig(folder=str(folder / "data")),
        output=str(folder / "run"),
        architecture=Architecture(backbone="resnet10t", fpn_width=32, refined_width=16),
        framing=Framing(patch_size=128, thumbnail_size=128, overlap=16),
        loss=LossConfig(gamma=2.0),
        stages=StagesConfig(
            context=StageConfig(epochs=40, learning_rate=1e-3, images=4, start="fresh"),
            local=StageConfig(epochs=12, learning_rate=1e-3, images=1, patches=16, micro_batch=16),
            refined=StageConfig(epochs=3, learning_rate=3e-4, images=1, patches=16, micro_batch=16),
        ),
        run=RunConfig(seed=seed, placement="random", patch_batch=16, device="cpu"),
    )


def local_alone(config: TrainingConfig) -> TrainingConfig:
    """The same training for a local branch that hears nobody (Table 2, "local only")."""
    return replace(
        config,
        output=f"{config.output}_local_only",
        architecture=replace(
            config.architecture, branches="local", sharing="none", aggregation=False
        ),
        stages=replace(config.stages, local=replace(config.stages.local, start="fresh")),
    )
