"""What the methods of one output folder have in common, and what one of them reached."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from glnet.data import DatasetKind
from glnet.errors import ConfigurationError, OutputError, TrainingError
from glnet.evaluation.protocols import ProtocolName
from glnet.training.following.files import write_whole

REQUEST = "request.json"


class LeftOutError(TrainingError):
    """A method that the request leaves out: for its memory, or since it was never published."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What all methods of an output folder have in common.

    Attributes:
        data: The dataset's folder.
        kind: What it is.
        description: Of a plain folder.
        split: Whose images are evaluated; None: test where there are such images, else validation.
        quick: Whether little is done.
        seeds: How many times every method is trained; the scores are averaged.
        memory: Bytes that a prediction may take on the device; methods that need more are left
            out.
        protocol: How answers are scored, if not as the dataset's benchmark does.
        published: The published checkpoints, in the order of their stages; if there are any,
            nothing is trained.
        changes: To the training configuration of every method, as typed behind ``glnet train``.

    Raises:
        ConfigurationError: If there are no seeds, or several of what was published once.
    """

    data: str
    kind: DatasetKind = "folder"
    description: str | None = None
    split: str | None = None
    quick: bool = False
    seeds: int = 1
    memory: int | None = None
    protocol: ProtocolName | None = None
    published: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ConfigurationError(f"seeds must be at least 1, got {self.seeds}")
        if self.published and self.seeds > 1:
            raise ConfigurationError(
                f"published networks were trained once, not {self.seeds} times; leave out --seeds"
            )
        # Wherever the next call is typed, it means the same.
        for name in ("data", "description"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, str(Path(getattr(self, name)).resolve()))
        published = tuple(str(Path(of).resolve()) for of in self.published)
        object.__setattr__(self, "published", published)

    def require_same(self, folder: Path) -> None:
        """Refuse an output folder in which another request made something.

        Seeds and memory may differ.

        Raises:
            ConfigurationError: If the folder holds what another request made.
            OutputError: If its note of that cannot be read.
        """
        kept = folder / REQUEST
        # A note alone binds nobody: whatever was begun there came to nothing.
        has_more = kept.is_file() and any(path != kept for path in folder.iterdir())
        theirs = read_json(kept) if has_more else None
        for name, value in json.loads(self._shared()).items():
            if theirs is not None and theirs.get(name) != value:
                raise ConfigurationError(
                    f"{folder} holds what was made with {name} {theirs.get(name)}, this asks for "
                    f"{value}; choose another --output"
                )

    def keep(self, folder: Path) -> None:
        """Note in an output folder what is made there.

        Raises:
            OutputError: If it cannot be written.
        """
        write_whole(folder / REQUEST, self._shared())

    def _shared(self) -> str:
        values = {of: value for of, value in asdict(self).items() if of not in ("seeds", "memory")}
        return json.dumps(values, indent=2) + "\n"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a method of one seed reached.

    Attributes:
        miou: In 0..1, of the network's own answer: the figure by which the protocol judges.
        figures: All of the protocol's numbers over all images.
        parameters: How many.
        multiply_adds: Of the largest image.
        estimated_bytes: Of a prediction of the largest image, on a GPU.
        allocated_mib: Of tensors on a GPU, measured, where there is one.
        process_mib: Of the process on a GPU, measured, where there is one.
        megapixels_per_s: Of one image, from its file to its labels.
        downsampling: By how much the largest image is shrunk that the network sees; 1 for patches.
        images: How many were evaluated.
        per_image: The score of every image by its stem, in 0..1.
    """

    miou: float
    figures: dict[str, float | None]
    parameters: int
    multiply_adds: int
    estimated_bytes: int
    allocated_mib: float | None
    process_mib: float | None
    megapixels_per_s: float
    downsampling: float
    images: int
    per_image: dict[str, float | None]

    def keep(self, path: Path) -> None:
        """Write it.

        Raises:
            OutputError: If it cannot be written.
        """
        write_whole(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Result":
        """Read what was written.

        Raises:
            OutputError: If it is damaged, or of another version.
        """
        values = read_json(path)
        if values.keys() != {of.name for of in fields(cls)}:
            raise OutputError(
                f"{path} is the result of another version of glnet; delete it, and the network is "
                "evaluated again"
            )
        return cls(**values)


def read_json(path: Path) -> dict[str, Any]:
    """A file that we have written.

    Raises:
        OutputError: If it is damaged.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read ({error}); delete it and call again") from error
    if not isinstance(values, dict):
        raise OutputError(f"{path} is not what glnet wrote; delete it and call again")
    return values
