"""The error tree. Every error says what was expected, what came, and what to do.

GLNetError
├── GeometryError (ValueError)    sizes, windows and patch grids that cannot be
├── RasterError (OSError)         a pixel file that cannot be opened or read
├── OutputError (OSError)         a result that cannot be written
├── DatasetError (ValueError)     labelled images that do not fit together or their description
├── ConfigurationError (ValueError)  a setting that is unknown, of the wrong type or impossible
├── TrainingError (RuntimeError)  a training that cannot go on
├── ClusterError (RuntimeError)   workers that cannot be reached, or keep failing
├── CheckpointError (ValueError)  a model folder or published file that does not load
├── CollapseError (ValueError)    a network whose head cannot be multiplied out
└── InputMismatchError (ValueError)  an image that a model cannot take
"""


class GLNetError(Exception):
    """The root of everything that glnet raises on purpose."""


class GeometryError(GLNetError, ValueError):
    """A size, window or patch grid that cannot be."""


class RasterError(GLNetError, OSError):
    """A pixel file that cannot be opened or read."""


class OutputError(GLNetError, OSError):
    """A result that cannot be written."""


class DatasetError(GLNetError, ValueError):
    """Labelled images that do not fit together, or not their description."""


class ConfigurationError(GLNetError, ValueError):
    """A setting that is unknown, of the wrong type, or impossible."""


class TrainingError(GLNetError, RuntimeError):
    """A training that cannot go on: numbers that ran away, memory that ran out, a lost process."""


class ClusterError(GLNetError, RuntimeError):
    """Workers that cannot be reached, do not fit the rest, or keep failing."""


class CheckpointError(GLNetError, ValueError):
    """A model folder or a published file that does not load."""


class CollapseError(GLNetError, ValueError):
    """A network whose head is not known to be linear, so that it cannot be multiplied out."""


class PredictionError(GLNetError, RuntimeError):
    """A network whose answer is no number."""


class InputMismatchError(GLNetError, ValueError):
    """An image that the model cannot take, such as one of another band count."""
