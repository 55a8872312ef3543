"""The choices of a training run that have names, and what each name means."""

from typing import Literal

NormalizationRule = Literal["data", "imagenet", "published"]
"""Where mean and deviation of the bands come from.

- data: measured on the training images;
- imagenet: timm's usual ones for 8-bit RGB, for pretrained backbones;
- published: pixels divided by 255 and nothing else, as in the published code.
"""

Regularization = Literal["euclidean", "mean_squared"]
"""How the local branch is kept near the global one (section 3.2.3).

- euclidean: the paper's norm of a patch's difference, over the root of its count of numbers, so
  that the weight 0.15 means the same for every width and patch size. The bare norm of some million
  numbers would drown the focal losses;
- mean_squared: the published code's.
"""

Schedule = Literal["constant", "polynomial"]
"""How the learning rate goes over a stage: constant, or (1 - t/T)^0.9 as in the published code."""

Placement = Literal["grid", "random"]
"""Which patches of an image a step sees: members of the grid (paper), or anywhere."""

Strategy = Literal["ddp"]
"""How several devices work together: each has the whole network, gradients are added up."""

BatchStatistics = Literal["micro_batch", "running"]
"""By what batch normalisation divides while a branch trains.

- micro_batch: the mean and variance of what runs at once, as the published code. Then the size of
  a micro-batch is part of what is learnt, not only of the memory;
- running: those that the start brought along (pretrained, or the context branch's), which stay as
  they are. Then gradients are the same for any micro-batch.
"""

ClassWeights = Literal["none", "balanced"] | tuple[float, ...]
"""How much the pixels of a class count: alike, against their unequal shares, or as listed."""

Weights = Literal["last", "best"]
"""Which weights of a stage are kept: after the last step, or of the best look at validation."""

Start = Literal["context", "coarse", "fresh"]
"""Where a branch's weights start: at the trained context or coarse branch's, or fresh (or timm's).

Fresh also where there is no such branch, or it does not train earlier. The aggregation starts as
the local branch's classifier in any case (`starting.py`).
"""
