"""Lightning's checkpoints on disk: whole or not there."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from glnet.errors import OutputError
from glnet.raster.output import partial_file, publish, write_error


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the place and renames; Lightning's own leaves half a file on a full disk."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: object = None,
    ) -> None:
        """Write a checkpoint.

        Raises:
            OutputError: If it cannot be written, such as on a full disk.
        """
        del storage_options
        path = Path(path)
        content = io.BytesIO()  # Torch has no error of a kind of its own for a full disk.
        torch.save(checkpoint, content)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {path.parent}: {error}") from error
        with partial_file(path) as partial:
            try:
                partial.write_bytes(content.getbuffer())
            except OSError as error:
                raise write_error(path, error.strerror or str(error)) from error
            publish(partial, path, overwrite=True)
