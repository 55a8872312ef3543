"""What a network takes: parameters, multiply-adds, memory and time of a prediction."""

import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from glnet.data.classes import ClassInfo
from glnet.geometry import Size, strips
from glnet.inference.estimate import Estimate, estimate
from glnet.inference.predictor import Predictor
from glnet.inference.settings import Settings
from glnet.inference.streaming import answers_of
from glnet.model.checkpoint import Model, new_model
from glnet.model.config import Normalization
from glnet.raster import Raster
from glnet.raster.memory import ArrayRaster
from glnet.training.config import TrainingConfig
from glnet.training.preparation import model_config

MIB = 2**20
"""What the paper calls MB: gpustat counts in binary units."""

ONE_AT_ONCE = Settings(device="cuda", patch_batch=1)
"""As the paper measures memory: a minibatch of 1, no gradients (section 4.1)."""


class GpuMemory(NamedTuple):
    """What a prediction took on a GPU that is there, in MiB.

    Attributes:
        allocated: Of tensors, at most.
        process: Of the whole device beyond what was in use before, at the end: the allocator's
            cache, which never shrinks, the libraries and the driver. What gpustat shows.
    """

    allocated: float
    process: float


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


def seconds_of(predictor: Predictor, raster: Raster) -> float:
    """How long a raster takes, from its file to all of its labels.

    Raises:
        RasterError: If pixels cannot be read.
    """
    device = torch.device(predictor.settings.device)
    answer = answers_of(predictor.model)[-1]
    began = time.perf_counter()
    settings, formed = predictor.fitted(raster)
    with predictor.predict(raster, settings, formed) as prediction:
        for strip in strips(raster.size, prediction.strip_height()):
            prediction.best(answer, strip, device).cpu()
    return time.perf_counter() - began


def gpu_memory(model: Path, size: Size, bands: int) -> GpuMemory | None:
    """What predicting an image of noise takes on the GPU; None where there is none."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()
    before = _in_use()
    torch.cuda.reset_peak_memory_stats()
    noise = np.random.default_rng(0).integers(0, 256, (size.height, size.width, bands), np.uint8)
    predictor = Predictor(model, ONE_AT_ONCE)
    seconds_of(predictor, ArrayRaster(noise))
    allocated, process = torch.cuda.max_memory_allocated(), _in_use() - before
    return GpuMemory(allocated / MIB, process / MIB)


def _in_use() -> int:
    free, whole = torch.cuda.mem_get_info()
    return int(whole - free)
