"""Pictures of a folder, made part of a page."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

MOST_PICTURES = 60
"""Of a page; a page of more takes a browser long."""

MOST_PIXELS = 50_000_000
"""Of one picture; ours have a few millions."""

WEBP_QUALITY = 92


@dataclass(frozen=True)
class Shown:
    """A picture of a page.

    Attributes:
        title: What it shows.
        uri: All of it, as a ``data:`` address; None where it cannot be shown.
        size: Width and height in pixels.
        problem: Why it cannot be shown.
    """

    title: str
    uri: str | None
    size: tuple[int, int] = (0, 0)
    problem: str = ""


def shown(title: str, folder: Path, name: str) -> Shown:
    """A picture out of a folder; what is not in the folder is not read."""
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            return Shown(title, None, problem=f"{name} is not in the report's folder")
        if not path.is_file():
            return Shown(title, None, problem=f"{name} is missing")
        with Image.open(path) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return Shown(title, None, problem=f"{name} is too large to be shown")
            encoded = _webp(picture)
    # Pillow raises what a damaged file provokes; one picture less is no reason to show nothing.
    except Exception as error:
        return Shown(title, None, problem=f"{name} cannot be read: {error}")
    words = base64.b64encode(encoded).decode()
    return Shown(title, f"data:image/webp;base64,{words}", picture.size)


def _webp(picture: Image.Image) -> bytes:
    """A tenth of what a photograph takes as PNG; read and written, so that it is a picture."""
    file = io.BytesIO()
    picture.convert("RGB").save(file, "WEBP", quality=WEBP_QUALITY)
    return file.getvalue()
