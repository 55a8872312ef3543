"""What a network takes: parameters, multiply-adds, memory and time of a prediction."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from glnet.data.classes import ClassInfo
from glnet.errors import TrainingError
from glnet.geometry import Size, Window, strips
from glnet.inference.estimate import Estimate, estimate
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings
from glnet.inference.streaming import answers_of
from glnet.model.checkpoint import Model, new_model
from glnet.model.config import Normalization
from glnet.raster import Raster, RasterPart
from glnet.raster.memory import ArrayRaster
from glnet.training.config import TrainingConfig
from glnet.training.preparation import model_config

MIB = 2**20
"""What the paper calls MB: gpustat counts in binary units."""

WARMED = 1024
"""The side of what is predicted before time is taken, in pixels."""

ONE_AT_ONCE = Settings(device="cuda", patch_batch=1)
"""As the paper measures memory: a minibatch of 1, no gradients (section 4.1)."""


class GpuMemory(NamedTuple):
    """What a prediction took on a GPU that is there, in MiB.

    Attributes:
        allocated: Of tensors, at most.
        process: Of the process, as the driver counts it at the end: with the allocator's cache,
            which never shrinks, and the driver's own share. What gpustat shows; None where the
            driver does not say.
    """

    allocated: float
    process: float | None


def bare_model(config: TrainingConfig, classes: int) -> Model:
    """The model that a configuration would train, without weights, on RGB images."""
    infos = tuple(ClassInfo(f"class {label}", (label % 256, 0, 0)) for label in range(classes))
    wanted = replace(
        model_config(config, infos), normalization=Normalization((0.0,) * 3, (1.0,) * 3)
    )
    with torch.device("meta"):
        return new_model(wanted)


def parameters_of(model: Model) -> int:
    """How many numbers were learnt."""
    return sum(of.numel() for of in model.network.parameters())


def estimated(model: Model, size: Size, *, counts: bool = True) -> Estimate:
    """What a prediction takes on a GPU, which need not be here.

    Raises:
        ConfigurationError: If the size cannot be.
    """
    return estimate(model, size, ONE_AT_ONCE, counts=counts)


def megapixels_per_s(predictor: Predictor, raster: Raster) -> float:
    """How fast a raster is predicted, from its file to all of its labels.

    A corner of it is predicted before, so that weights are read and the form is made.

    Raises:
        RasterError: If pixels cannot be read.
    """
    corner = Size(min(raster.size.height, WARMED), min(raster.size.width, WARMED))
    _predict(predictor, RasterPart(raster, Window(0, 0, corner)))
    began = time.perf_counter()
    _predict(predictor, raster)
    return raster.size.area / 1e6 / (time.perf_counter() - began)


def _predict(predictor: Predictor, raster: Raster) -> None:
    device = torch.device(predictor.settings.device)
    answer = answers_of(predictor.model)[-1]
    settings, formed = predictor.fitted(raster)
    with predictor.predict(raster, settings, formed) as prediction:
        for strip in strips(raster.size, prediction.strip_height()):
            prediction.best(answer, strip, device).cpu()


def gpu_memory(model: Path, size: Size) -> GpuMemory | None:
    """What predicting an image of noise takes on the GPU; None where there is none.

    In a process of its own, so that nothing else of ours is on the device.
    """
    if not torch.cuda.is_available():
        return None
    words = [str(model), str(size.height), str(size.width)]
    done = subprocess.run(
        [sys.executable, "-m", __name__, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TrainingError(f"memory cannot be measured: {last_line(done.stderr)}")
    return GpuMemory(*json.loads(done.stdout))


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "nothing was said")


def _main(folder: str, height: str, width: str) -> None:
    predictor = Predictor(folder, ONE_AT_ONCE)
    shape = (int(height), int(width), predictor.model.bands)
    _predict(predictor, ArrayRaster(np.random.default_rng(0).integers(0, 256, shape, np.uint8)))
    sys.stdout.write(json.dumps([torch.cuda.max_memory_allocated() / MIB, _process_mib()]))


def _process_mib() -> float | None:
    """What the driver says that this process holds, its own share and the libraries' included."""
    asked = ["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(["nvidia-smi", *asked], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    rows = [line.split(",") for line in done.stdout.splitlines() if line.count(",") == 1]
    ours = [memory for pid, memory in rows if pid.strip() == str(os.getpid())]
    # Within a container, processes have other numbers than the driver knows.
    found = ours or [memory for _, memory in rows if len(rows) == 1]
    return float(found[0]) if found and found[0].strip().isdigit() else None


if __name__ == "__main__":
    _main(*sys.argv[1:])
