"""Ray itself: a cluster of two nodes on this machine, and a worker that is killed."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from glnet.cluster import ray_cluster
from glnet.cluster.connecting import on_ray
from glnet.inference import groups
from glnet.inference.segment import segment_file
from glnet.inference.settings import Settings
from glnet.model.checkpoint import save_model
from tests.cli.commands import run
from tests.inference.pictures import picture
from tests.model.tiny import tiny_model
from tests.raster.raster_files import write_tiff

LEAST_STORE = 80 << 20
"""Bytes; Ray takes no smaller one."""


@pytest.fixture
def address() -> Iterator[str]:
    """A cluster of two nodes, with room for one worker each."""
    ray_cluster.imported()
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    node = {"num_cpus": 1, "object_store_memory": LEAST_STORE}
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={**node, "include_dashboard": False}
    )
    cluster.add_node(**node)
    yield cluster.address
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own: of sockets, files and processes.
def test_two_nodes_give_the_bytes_of_one_process_though_a_worker_is_killed(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = write_tiff(tmp_path / "a.tif", np.moveaxis(picture(700, 640), 2, 0))
    model, told, killed = tiny_model(), list[str](), list[int]()
    save_model(model, tmp_path / "model")
    segment_file(image, tmp_path / "plain.tif", model, Settings())

    with on_ray(address, tell=told.append) as executor:

        def progress(phase: str, done: int, _: int) -> None:
            if phase == "patches" and done >= 2 * groups.GROUP and not killed:
                killed.append(executor.workers[0].process)
                os.kill(killed[0], signal.SIGKILL)

        segment_file(
            image, tmp_path / "far.tif", model, Settings(), progress=progress, executor=executor
        )

    assert killed
    assert len(executor.efforts) == 2
    assert (tmp_path / "far.tif").read_bytes() == (tmp_path / "plain.tif").read_bytes()
    # And as a user types it.
    words = ("--model", tmp_path / "model", "--output", tmp_path / "typed.tif", "--json")
    running = ("--ray", address, "--workers", 1, "--precision", "float32")
    assert run("segment", image, *words, *running) == 0
    assert (tmp_path / "typed.tif").read_bytes() == (tmp_path / "plain.tif").read_bytes()
    (effort,) = json.loads(capsys.readouterr().out)["workers"].values()
    assert effort["pieces"] > 3
