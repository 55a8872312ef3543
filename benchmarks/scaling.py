"""What a Ray cluster costs and brings: overhead, efficiency, bytes moved, memory, and a model.

    python -m benchmarks.scaling [--side 4000] [--rounds 3]

Runs one after another, interleaved, each in a process of its own with one thread: in one process,
and with 1, 2 and 4 workers on a local Ray. What is compared is the time from opening an image to
its results, without the start of processes. One process, and one worker with its driver, are held
to one core, more workers to two. Bytes are those of arrays that workers find and are sent, counted
where they enter the pool. Writes a dated file into benchmarks/results.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from benchmarks.any_size import Watch, draw_scene, own_bytes
from benchmarks.cluster_kills import model
from benchmarks.common import ask, heading, natural, paragraph, ratios, spread, table, write_result
from glnet.cluster.connecting import on_ray
from glnet.cluster.pieces import bytes_of
from glnet.cluster.pool import Pool
from glnet.inference.regions import RegionRule
from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.inference.starting import Rules
from glnet.model.checkpoint import save_model

WAYS = {"whole": RegionRule("whole"), "region": RegionRule("region", 1000)}
"""Groups of one large unit; units of up to 64 patches, each seen by one worker."""

WORKERS = (0, 1, 2, 4)

CORES = sorted(os.sched_getaffinity(0))

MARK = "GLNET_BENCHMARK"
"""In the environment of processes that a case has started."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=natural, default=4000)
    parser.add_argument("--rounds", type=natural, default=3)
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.case is not None:
        _case(*options.case)
        return
    with tempfile.TemporaryDirectory() as folder:
        save_model(model(), Path(folder) / "model")
        draw_scene(Path(folder) / "warm.tif", 1100)
        for side in (options.side // 2, options.side):
            draw_scene(Path(folder) / f"{side}.tif", side)
        found = [
            _asked(folder, options.side, way, workers)
            for _ in range(options.rounds)
            for way in WAYS
            for workers in WORKERS
        ]
        half = options.side // 2
        found += [_asked(folder, half, way, workers) for way in WAYS for workers in (0, 2)]
    write_result("scaling", _report(options, found))


def _asked(folder: str, side: int, way: str, workers: int) -> dict[str, float]:
    found: dict[str, float] = json.loads(
        ask("benchmarks.scaling", "--case", folder, side, way, workers)
    )
    print(found, flush=True)
    return found


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
    """Looks at what the workers' processes hold of their own, all the time."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ends = threading.Event()
        self.most = 0

    def run(self) -> None:
        """Until it is told to end."""
        while not self.ends.wait(0.1):
            self.most = max([self.most, *map(_own_bytes, _workers())])


def _workers() -> list[Path]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            is_one = (process / "cmdline").read_bytes().startswith(b"ray::Worker")
            words = (process / "environ").read_bytes()
        except OSError:
            continue
        # Of this process, not of another benchmark.
        if is_one and f"{MARK}={os.getpid()}".encode() in words:
            found.append(process)
    return found


def _own_bytes(process: Path) -> int:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(of.split()[1]) * 1024 for of in lines if of.startswith("RssAnon:")), 0)


def _case(folder: str, side: str, way: str, workers: str) -> None:
    os.environ[MARK] = str(os.getpid())
    os.sched_setaffinity(0, CORES[: min(2, max(1, int(workers)))])
    place, moved = Path(folder), Moved()
    how = Settings(regions=WAYS[way])
    with ExitStack() as stack:
        executor = None
        if int(workers):
            executor = stack.enter_context(on_ray("local", workers=int(workers)))

        def run(image: str) -> tuple[float, float]:
            began = time.process_time()
            report = segment_file(
                place / image,
                place / "out.tif",
                place / "model",
                how,
                rules=Rules(overwrite=True),
                executor=executor,
            )
            return report.seconds, time.process_time() - began

        run("warm.tif")
        moved.found = moved.sent = 0
        before, watch, watched = own_bytes(), Watch(), Workers()
        watch.start()
        watched.start()
        seconds, cpu = run(f"{side}.tif")
        for of in (watch, watched):
            of.ends.set()
            of.join()
        efforts = () if executor is None else executor.efforts.values()
        values = {
            "side": int(side),
            "way": way,
            "workers": int(workers),
            "seconds": seconds,
            "driver_cpu": cpu,
            "worker_seconds": sum(of.seconds for of in efforts),
            "found": moved.found,
            "sent": moved.sent,
            "driver_mib": (watch.most - before) / 2**20,
            "worker_mib": watched.most / 2**20,
        }
        print(json.dumps(values))


Case = Mapping[str, Any]


def _of(found: Sequence[Case], way: str, workers: int, side: int) -> list[Case]:
    key = (way, workers, side)
    return [of for of in found if (of["way"], of["workers"], of["side"]) == key]


def _times(found: Sequence[Case], side: int) -> list[list[str]]:
    rows = []
    for way in WAYS:
        seconds = {
            workers: [of["seconds"] for of in _of(found, way, workers, side)] for workers in WORKERS
        }
        for workers, own in seconds.items():
            name = f"{workers} workers" if workers else "one process"
            overhead = spread(ratios(own, seconds[0])) if workers == 1 else ""
            speedup = spread(ratios(seconds[1], own)) if workers > 1 else ""
            rows.append([way, name, spread(own, 1), overhead, speedup])
    return rows


def _costs(found: Sequence[Case], sides: Sequence[int]) -> list[list[str]]:
    rows = []
    for way in WAYS:
        for side in sides:
            plain, two, pixels = (
                _of(found, way, 0, side)[0],
                _of(found, way, 2, side)[0],
                side**2 / 1e6,
            )
            rows.append(
                [
                    way,
                    f"{side}x{side}",
                    f"{two['found'] / 2**20 / pixels:.2f}",
                    f"{two['sent'] / 2**20 / pixels:.2f}",
                    f"{two['driver_mib']:.0f}",
                    f"{plain['driver_mib']:.0f}",
                    f"{two['worker_mib']:.0f}",
                    f"{two['worker_seconds'] / pixels:.3f}",
                    f"{two['driver_cpu'] / pixels:.4f}",
                    f"{plain['driver_cpu'] / pixels:.3f}",
                ]
            )
    return rows


def _report(options: argparse.Namespace, found: Sequence[Case]) -> str:
    text = paragraph(
        f"""test_resnet, pyramid 32/16, patches of 256 px, 3 classes, 4 patches at once, not
        trained; a drawn scene of {options.side} px a side. ``whole`` is one unit in groups of 16
        patches, ``region`` regions of 1000 px, each seen by one worker. Seconds are from opening
        the image to the labels on disk, processes and the model being there; medians (range) of
        {options.rounds} rounds, in turn. One process, and one worker with its driver, are held to
        one core, more workers with their driver to two. Other work shared the cores all the while.
        Ratios are taken round by round: overhead is one worker's seconds over those of one
        process, speedup one worker's seconds over those of more."""
    )
    more = paragraph(
        """Two workers. Found and sent are the arrays that leave and enter the pool; what workers
        read of the image is not in it. Memory is the most that was held of a process's own: of the
        driver, and of the one process, above what it held once all was ready; of a worker in all
        (Python and torch included). Seconds per megapixel are those of all workers' work, and the
        CPU's of the driver and of the one process."""
    )
    first = table(("way", "who", "seconds", "overhead", "speedup"), _times(found, options.side))
    columns = (
        "way",
        "image",
        "found MiB/MP",
        "sent MiB/MP",
        "driver MiB",
        "one process MiB",
        "worker MiB",
        "worker s/MP",
        "driver CPU s/MP",
        "one process CPU s/MP",
    )
    second = table(columns, _costs(found, (options.side // 2, options.side)))
    heads = heading("On a Ray cluster", ("torch", "ray"))
    return f"{heads}\n{text}\n\n{first}\n\n{more}\n\n{second}\n"


if __name__ == "__main__":
    main()
