"""Whether a Ray cluster gives the bytes of one process, whatever is killed meanwhile.

    python -m benchmarks.cluster_kills [--kills 10] [--scenes 20] [--side 3000]

Several node processes of Ray on this machine (Ray's own cluster utilities). Small scenes and a
large one are segmented by the plain command and by 1, 2 and 4 workers; then by 4 workers while
workers, nodes or the driver get SIGKILL at random moments. A node that was killed is replaced, a
driver is called again with --resume. All results are compared byte by byte with those of the plain
command. Notes are taken as often as possible, so that there is much to resume. Writes a dated file
into benchmarks/results.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.any_size import CLASSES, draw_scene
from benchmarks.common import ROOT, heading, natural, paragraph, table, write_result
from glnet.cluster.ray_cluster import imported
from glnet.model.checkpoint import Model, new_model, save_model
from glnet.model.config import Architecture, Framing, ModelConfig

NODES, CPUS = 2, 2
STORE_BYTES = 200 << 20
OFTEN = "from glnet.inference import journal as j; j.SECONDS_BETWEEN_NOTES = 0.2; j.PAUSE_SHARE = 1"
LEAST_SIDE = 500

SECONDS_BETWEEN_KILLS = (1.0, 20.0)
"""At random; none before there are workers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=natural, default=10)
    parser.add_argument("--scenes", type=natural, default=20)
    parser.add_argument("--side", type=natural, default=3000)
    options = parser.parse_args()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as name, _cluster() as cluster:
        folder = Path(name)
        save_model(model(), folder / "model")
        (folder / "scenes").mkdir()
        for number in range(options.scenes):
            draw_scene(folder / "scenes" / f"small-{number:02}.tif", LEAST_SIDE + 17 * number)
        draw_scene(folder / "scenes" / "zlarge.tif", options.side)
        trials = Trials(folder, cluster, options.kills)
        for row in trials.rows():
            rows.append(row)
            print(*row, sep=" | ", flush=True)
            write_result("cluster-kills", _report(options, rows))  # A stop loses one row.


def model() -> Model:
    """Untrained."""
    torch.manual_seed(0)
    return new_model(
        ModelConfig(
            classes=CLASSES,
            architecture=Architecture(backbone="test_resnet", fpn_width=32, refined_width=16),
            framing=Framing(patch_size=256, thumbnail_size=256, overlap=32),
        )
    )


@contextmanager
def _cluster() -> Iterator[Any]:
    """A head without room for workers, and nodes that have some."""
    imported()
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": STORE_BYTES,
            "include_dashboard": False,
        },
    )
    for _ in range(NODES):
        cluster.add_node(num_cpus=CPUS, object_store_memory=STORE_BYTES)
    yield cluster
    cluster.shutdown()  # type: ignore[no-untyped-call]


class Trials:
    """Runs over the same scenes, and what became of them."""

    def __init__(self, folder: Path, cluster: Any, kills: int) -> None:  # noqa: ANN401
        self._folder = folder
        self._cluster = cluster
        self._kills = kills
        self._chance = random.Random(0)
        self._expected: dict[str, str] = {}
        self._seconds = 0.0

    def rows(self) -> Iterator[list[object]]:
        """What is tried, seconds, runs, kills, results, those with the same bytes."""
        yield self._row("plain command, 1 thread", [])
        yield self._killed("4 workers, workers killed", self._kill_worker)
        yield self._driver_killed()
        yield self._killed("4 workers, nodes killed", self._kill_node)
        for workers in (4, 2, 1):
            yield self._row(f"{workers} workers", ["--ray", self._cluster.address], workers)

    def _row(self, name: str, words: list[str], workers: int | None = None) -> list[object]:
        words = words if workers is None else [*words, "--workers", str(workers)]
        began = time.monotonic()
        assert self._start(words).wait() == 0, name
        self._seconds = time.monotonic() - began
        return [name, f"{self._seconds:.0f}", 1, 0, *self._compared()]

    def _killed(self, name: str, kill: Any) -> list[object]:  # noqa: ANN401
        """Runs with kills at random moments, until there were enough."""
        began, runs, kills, found, same = time.monotonic(), 0, 0, 0, 0
        while kills < self._kills:
            run = self._start(["--ray", self._cluster.address, "--workers", "4"])
            while run.poll() is None:
                self._wait(run, self._chance.uniform(*SECONDS_BETWEEN_KILLS))
                if run.poll() is None and kills < self._kills and self._workers():
                    kills += kill()
            assert run.returncode == 0, name
            runs += 1
            found, same = (a + b for a, b in zip((found, same), self._compared(), strict=True))
            print(f"{name}: {kills} kills in {runs} runs, {same} of {found}", flush=True)
        return [name, f"{(time.monotonic() - began) / runs:.0f}", runs, kills, found, same]

    def _driver_killed(self) -> list[object]:
        """Runs that are killed at a random moment and called again, until there were enough."""
        began, runs, kills, found, same = time.monotonic(), 0, 0, 0, 0
        words = ["--ray", self._cluster.address, "--workers", "4"]
        while kills < self._kills:
            while True:
                run = self._start(words)
                while kills < self._kills and run.poll() is None and not self._workers():
                    self._wait(run, 0.5)
                if kills < self._kills:
                    self._wait(run, self._chance.uniform(*SECONDS_BETWEEN_KILLS))
                if kills < self._kills and run.poll() is None:
                    run.send_signal(signal.SIGKILL)
                    kills += 1
                if run.wait() == 0:
                    break
            runs += 1
            found, same = (a + b for a, b in zip((found, same), self._compared(), strict=True))
            print(f"driver: {kills} kills in {runs} runs, {same} of {found}", flush=True)
        seconds = (time.monotonic() - began) / runs
        return ["4 workers, driver killed", f"{seconds:.0f}", runs, kills, found, same]

    def _start(self, words: list[str]) -> subprocess.Popen[bytes]:
        code = f"{OFTEN}; import sys; from glnet.cli.main import main; sys.exit(main())"
        scenes = sorted(map(str, (self._folder / "scenes").glob("*.tif")))
        command = [sys.executable, "-c", code, "segment", *scenes, "--resume", "--confidence"]
        command += ["--model", str(self._folder / "model"), "--output", str(self._folder / "out")]
        command += ["--precision", "float32", *words]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    def _wait(self, run: subprocess.Popen[bytes], seconds: float) -> None:
        try:
            run.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def _raylets(self) -> dict[int, Any]:
        """The node processes that have workers, by their number."""
        return {
            node.all_processes["raylet"][0].process.pid: node
            for node in self._cluster.list_all_nodes()
            if node != self._cluster.head_node
        }

    def _workers(self) -> list[int]:
        """The processes of our workers, as far as they are there now."""
        raylets, found = self._raylets(), []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes()
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if words.startswith(b"ray::Worker") and parent in raylets:
                found.append(int(process.name))
        return sorted(found)

    def _kill_worker(self) -> bool:
        """Kill one worker; False where there is none any more."""
        try:
            os.kill(self._chance.choice(self._workers()), signal.SIGKILL)
        except (IndexError, ProcessLookupError):
            return False
        return True

    def _kill_node(self) -> bool:
        """Kill one node process, and bring another node some time later."""
        process, node = self._chance.choice(sorted(self._raylets().items(), key=lambda of: of[0]))
        os.kill(process, signal.SIGKILL)
        time.sleep(self._chance.uniform(0, 5))
        self._cluster.remove_node(node, allow_graceful=False)
        self._cluster.add_node(num_cpus=CPUS, object_store_memory=STORE_BYTES)
        return True

    def _compared(self) -> tuple[int, int]:
        """How many results there are, and how many have the bytes of the plain command."""
        out = self._folder / "out"
        assert not list(out.glob("*.unfinished")), "something is left"
        found = {of.name: hashlib.sha256(of.read_bytes()).hexdigest() for of in out.iterdir()}
        self._expected = self._expected or found
        assert set(found) == set(self._expected), "something is lost, or there twice"
        for file in out.iterdir():
            file.unlink()
        return len(found), sum(found[name] == self._expected[name] for name in found)


def _report(options: argparse.Namespace, rows: list[list[object]]) -> str:
    largest = LEAST_SIDE + 17 * (options.scenes - 1)
    text = paragraph(
        f"""{NODES} node processes with room for {CPUS} workers each, a head without, one machine;
        {options.scenes} scenes of {LEAST_SIDE} to {largest} px a side (one piece of work each) and
        one of {options.side} px (groups of 16 patches); labels and confidence of each. Seconds are
        of a run from start to end, on a machine that also did other work, and begin with Python and
        the workers' start; a run without kills shows what of it they cost."""
    )
    columns = ("way", "seconds per run", "runs", "kills", "results", "same bytes")
    heads = heading("Killed on a cluster", ("torch", "ray"))
    return f"{heads}\n{text}\n\n{table(columns, rows)}\n"


if __name__ == "__main__":
    main()
