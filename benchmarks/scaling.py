"""What a Ray cluster costs and brings: overhead, efficiency, bytes moved, memory, and a model.

    python -m benchmarks.scaling [--side 2400] [--rounds 2]

All in one process, in turn, with one thread: without workers, and with 1, 2 and 4 workers on a
local Ray. What is compared is the time, and the CPU's seconds, from opening the first image to the
last results; workers have the model by then. One process, and one worker with its driver, are held
to one core, more workers to two. Bytes are those of arrays that workers find and are sent, counted
where they enter the pool. Writes a dated file into benchmarks/results.
"""

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from benchmarks.any_size import CLASSES, Watch, draw_scene, own_bytes
from benchmarks.common import heading, natural, paragraph, ratios, spread, table, write_result
from glnet.cluster.connecting import on_ray
from glnet.cluster.executor import ClusterExecutor
from glnet.cluster.pieces import bytes_of
from glnet.cluster.pool import Pool
from glnet.cluster.ray_cluster import imported
from glnet.data import ClassInfo
from glnet.geometry import Size
from glnet.inference.groups import groups_of
from glnet.inference.segment import segment_files
from glnet.inference.settings import Settings
from glnet.inference.starting import Rules
from glnet.model.answers import Answer
from glnet.model.checkpoint import Model, new_model, save_model
from glnet.model.config import Architecture, Framing, ModelConfig
from glnet.model.exchange import Exchange, PatchIndex
from glnet.model.features import BranchFeatures
from glnet.model.forms import PlainForm
from glnet.model.merging import GroupSums

Case = Mapping[str, Any]
"""What was measured of one run."""

WAYS = ("one scene", "four scenes")
"""One in groups of patches; as many pixels in scenes that are each seen by one worker."""

WORKERS = (1, 2, 4)

CORES = sorted(os.sched_getaffinity(0))

PAPER_SIDES = (2448, 5000, 10_000, 20_000)

META = torch.device("meta")

MARK = "GLNET_BENCHMARK"
"""In the environment of processes that a case has started."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=natural, default=2400)
    parser.add_argument("--rounds", type=natural, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ[MARK] = str(os.getpid())
    # Else other work on the machine goes before workers.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - so Ray spells it
    ray, half = imported(), options.side // 2
    ray.init(num_cpus=2 * sum(WORKERS), include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        save_model(small_model(), folder / "model")
        (folder / "out").mkdir()
        draw_scene(folder / f"{options.side}.tif", options.side)
        for scene in "abcd":
            draw_scene(folder / f"{scene}.tif", half)
        runs = Runs(folder, {of: stack.enter_context(on_ray(workers=of)) for of in WORKERS})
        found: list[Case] = []
        for _ in range(options.rounds):
            for way in WAYS:
                found += [runs.run(way, options.side, of) for of in (0, *WORKERS)]
                write_result("scaling", _report(options, found))  # A stop loses little.
        found += [runs.run(WAYS[0], half, of) for of in (0, 2)]
    write_result("scaling", _report(options, found))


class Runs:
    """Runs over the same scenes by different workers."""

    def __init__(self, folder: Path, executors: Mapping[int, ClusterExecutor]) -> None:
        self._folder = folder
        self._executors = executors
        self._moved = Moved()
        for of in (None, *executors.values()):  # All have the model, and have seen something.
            self._segment([folder / "a.tif"], of)

    def _segment(self, images: Sequence[Path], executor: ClusterExecutor | None) -> None:
        batch = segment_files(
            images,
            self._folder / "out",
            self._folder / "model",
            Settings(),
            rules=Rules(overwrite=True),
            executor=executor,
        )
        assert len(batch.reports) == len(images)

    def run(self, way: str, side: int, workers: int) -> Case:
        """What one run takes."""
        images = [self._folder / f"{name}.tif" for name in "abcd"]
        if way == WAYS[0]:
            large = self._folder / f"{side}.tif"
            images = [large] if large.exists() else images[:1]
        executor = self._executors.get(workers)
        processes = [] if executor is None else [of.process for of in executor.workers]
        cores = CORES[: 2 if workers > 1 else 1]
        for process in (0, *processes):
            _hold(process, cores)
        self._moved.found = self._moved.sent = 0
        before, watch, watched = own_bytes(), Watch(), Workers(processes)
        watch.start()
        watched.start()
        own, others = time.process_time(), _cpu_of_started(processes)
        began = time.perf_counter()
        self._segment(images, executor)
        seconds, own = time.perf_counter() - began, time.process_time() - own
        spent = [
            after - then for after, then in zip(_cpu_of_started(processes), others, strict=True)
        ]
        for of in (watch, watched):
            of.ends.set()
            of.join()
        found = {
            "side": side,
            "way": way,
            "workers": workers,
            "seconds": seconds,
            "driver_cpu": own,
            "worker_cpu": spent[0],
            "ray_cpu": spent[1] if workers else 0,
            "found": self._moved.found,
            "sent": self._moved.sent,
            "driver_mib": (watch.most - before) / 2**20,
            "worker_mib": watched.most / 2**20,
        }
        print(found, flush=True)
        return found


def small_model() -> Model:
    """Untrained."""
    torch.manual_seed(0)
    return new_model(
        ModelConfig(
            classes=CLASSES,
            architecture=Architecture(backbone="resnet18", fpn_width=32, refined_width=16),
            framing=Framing(patch_size=256, thumbnail_size=256, overlap=32),
        )
    )


class Moved:
    """Counts what travels between the driver and its workers, as arrays."""

    def __init__(self) -> None:
        self.found = self.sent = 0
        submit, result = Pool.submit, Pool.result

        def submitting(pool: Pool, method: Any, scene: Any, words: Any, label: str) -> Any:  # noqa: ANN401
            self.sent += bytes_of(tuple(words))
            return submit(pool, method, scene, words, label)

        def resulting(pool: Pool, scene: Any, future: Any) -> object:  # noqa: ANN401
            found = result(pool, scene, future)
            self.found += bytes_of(found)
            return found

        setattr(Pool, "submit", submitting)  # noqa: B010 - mypy minds that it is a method
        setattr(Pool, "result", resulting)  # noqa: B010


class Workers(threading.Thread):
    """Looks at what processes hold of their own, all the time."""

    def __init__(self, processes: Sequence[int]) -> None:
        super().__init__(daemon=True)
        self.ends = threading.Event()
        self.most = 0
        self._processes = [Path("/proc") / str(of) for of in processes]

    def run(self) -> None:
        """Until it is told to end."""
        while not self.ends.wait(0.1):
            self.most = max([self.most, *map(_own_bytes, self._processes)])


def _hold(process: int, cores: Sequence[int]) -> None:
    """Have all threads of a process, 0 for this one, run on these cores."""
    for thread in (Path("/proc") / str(process or "self") / "task").iterdir():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)


def _started() -> list[Path]:
    """Processes that this one has started: workers, and Ray's own."""
    mark, own = f"{MARK}={os.getpid()}\0".encode(), str(os.getpid())
    processes = (of for of in Path("/proc").glob("[0-9]*") if of.name != own)
    return [of for of in processes if mark in _read(of / "environ")]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _cpu_of_started(workers: Sequence[int]) -> tuple[float, float]:
    """Seconds of the CPU that some workers have taken, and that Ray's own processes have."""
    seconds, names = [0.0, 0.0], set(map(str, workers))
    for process in _started():
        words = _read(process / "stat").rpartition(b")")[2].split()
        is_other = _read(process / "cmdline").startswith(b"ray::Worker")
        if process.name in names or not is_other:
            ticks = sum(map(int, words[11:13]))
            seconds[process.name not in names] += ticks / os.sysconf("SC_CLK_TCK")
    return seconds[0], seconds[1]


def _own_bytes(process: Path) -> int:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(of.split()[1]) * 1024 for of in lines if of.startswith("RssAnon:")), 0)


@cache
def _paper() -> list[list[str]]:
    """What the paper's network, ResNet-50 with 7 classes, sends of images, by the shapes alone."""
    classes = tuple(ClassInfo(f"class {k}", (k, k, k)) for k in range(7))
    config = ModelConfig(classes=classes, architecture=Architecture(), framing=Framing())
    form, framing, rows = PlainForm(new_model(config).network, META), config.framing, []
    seen = torch.empty(1, 3, framing.thumbnail_size, framing.thumbnail_size, device=META)
    patch = torch.empty(1, 3, framing.patch_size, framing.patch_size, device=META)
    with torch.inference_mode():
        whole = form.see_whole(seen, [])
        for side in PAPER_SIDES:
            grid, mebipixels = framing.grid(Size(side, side)), side**2 / 1e6 * 2**20
            exchange = Exchange(grid, framing.sampling)
            output = form.see_patches(patch, whole, exchange, [(0, 0)], [Answer.AGGREGATED])
            scores = 4 * output.scores[Answer.AGGREGATED].numel() * len(grid)
            groups = [
                _bytes_of_group(exchange, whole.features, output.features, of)
                for of in (grid.places[group.start : group.stop] for group in groups_of(len(grid)))
            ]
            rows.append(
                [
                    f"{side}x{side}",
                    str(len(grid)),
                    f"{scores / mebipixels:.2f}",
                    f"{sum(groups) / mebipixels:.2f}",
                    f"{max(groups) / 2**20:.1f}",
                ]
            )
    return rows


def _bytes_of_group(
    exchange: Exchange,
    like: BranchFeatures,
    features: BranchFeatures,
    places: Sequence[PatchIndex],
) -> int:
    sums = GroupSums(exchange, like, places)
    sums.add(features, places[:1])
    return sum(of.canvas.nbytes + of.reach.nbytes for of in sums.summed.maps)


def _of(found: Sequence[Case], way: str, workers: int, side: int) -> list[Case]:
    key = (way, workers, side)
    return [of for of in found if (of["way"], of["workers"], of["side"]) == key]


def _times(found: Sequence[Case], side: int) -> list[list[str]]:
    rows, plain = [], list[float]()
    for way in WAYS:
        seconds = {
            workers: [of["seconds"] for of in _of(found, way, workers, side)]
            for workers in (0, *WORKERS)
        }
        for workers, own in seconds.items():
            if not own:
                continue
            name = f"{workers} workers" if workers else "one process"
            overhead = _spread_ratios(own, seconds[0]) if workers == 1 else ""
            speedup = _spread_ratios(seconds[1], own) if workers > 1 else ""
            cpu = [
                of["driver_cpu"] + of["worker_cpu"] + of["ray_cpu"]
                for of in _of(found, way, workers, side)
            ]
            plain = plain if workers else cpu
            rows.append([way, name, spread(own, 1), overhead, speedup, _spread_ratios(cpu, plain)])
    return rows


def _spread_ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Of as many rounds as both have."""
    rounds = min(len(ours), len(theirs))
    return spread(ratios(ours[:rounds], theirs[:rounds])) if rounds else ""


def _costs(found: Sequence[Case], side: int) -> list[list[str]]:
    rows = []
    for way, own in ((WAYS[0], side // 2), (WAYS[0], side), (WAYS[1], side)):
        if not (_of(found, way, 0, own) and _of(found, way, 2, own)):
            continue
        plain, two = _of(found, way, 0, own)[0], _of(found, way, 2, own)[0]
        pixels = own**2 / 1e6
        rows.append(
            [
                way,
                f"{pixels:.1f}",
                f"{two['found'] / 2**20 / pixels:.2f}",
                f"{two['sent'] / 2**20 / pixels:.2f}",
                f"{two['driver_mib']:.0f}",
                f"{plain['driver_mib']:.0f}",
                f"{two['worker_mib']:.0f}",
                f"{two['worker_cpu'] / pixels:.3f}",
                f"{two['driver_cpu'] / pixels:.3f}",
                f"{plain['driver_cpu'] / pixels:.3f}",
            ]
        )
    return rows


def _report(options: argparse.Namespace, found: Sequence[Case]) -> str:
    text = paragraph(
        f"""resnet18, pyramid 32/16, patches of 256 px, 3 classes, 4 patches at once, not trained;
        a drawn scene of {options.side} px a side in groups of 16 patches, or four of half the side,
        each of which one worker sees. Seconds are from opening the first image to the last labels
        on disk, workers being there; medians (range) of {options.rounds} rounds, in turn.
        One process, and one worker with its driver, are held to one core, more workers with their
        driver to two. Workers had no lower priority than other work, which Ray gives them by
        default (RAY_worker_niceness).
        Ratios are taken round by round: overhead is one worker's seconds over those of one
        process, speedup one worker's seconds over those of more. Both hang on what else the cores
        did at that moment; the CPU's seconds of the driver, the workers and Ray's own processes,
        over those of one process, hardly."""
    )
    more = paragraph(
        """Two workers. Found and sent are the arrays that leave and enter the pool; what workers
        read of the image is not in it. Memory is the most that was held of a process's own: of the
        driver, and of the one process, above what it held once all was ready; of a worker in all
        (Python and torch included). Seconds per megapixel are the CPU's: of the workers, of the
        driver, and of one process."""
    )
    first = table(
        ("way", "who", "seconds", "overhead", "speedup", "CPU over one process"),
        _times(found, options.side),
    )
    columns = (
        "way",
        "megapixels",
        "found MiB/MP",
        "sent MiB/MP",
        "driver MiB",
        "one process MiB",
        "worker MiB",
        "workers' CPU s/MP",
        "driver CPU s/MP",
        "one process CPU s/MP",
    )
    second = table(columns, _costs(found, options.side))
    last = paragraph(
        """The paper's network (ResNet-50, 7 classes, patches of 500 px), by the shapes of its maps:
        what workers find of one image, in MiB per megapixel. Scores travel always; sums where the
        image is given out in groups, that is over 64 patches."""
    )
    third = table(
        ("image", "patches", "scores MiB/MP", "sums MiB/MP", "largest group, MiB"), _paper()
    )
    heads = heading("On a Ray cluster", ("torch", "ray"))
    parts = (heads.rstrip(), text, first, more, second, last, third)
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
