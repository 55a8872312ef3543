"""``glnet view``: images and what was found in them, on a page of the browser."""

import threading
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from glnet.cli.console import say
from glnet.errors import ConfigurationError

if TYPE_CHECKING:
    from glnet.viewing.shown_image import Grids

OUR_NAMES = frozenset({"image", "labels", "truth", "confidence", "errors"})
"""What the page calls its own layers."""

A_WHILE_S = 3600
"""The main thread wakes up now and then: on some systems, only so does it hear Ctrl-C."""


def build_parser() -> ArgumentParser:
    """What the command takes."""
    parser = ArgumentParser(
        exit_on_error=False,
        description="Show images of any size, and what lies on them, on a page of the browser. The "
        "page is served to this machine alone, until Ctrl-C.",
    )
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="GeoTIFF, JPEG, PNG, JP2, SVS, ..., or patterns such as 'scenes/**/*.tif'",
    )
    parser.add_argument(
        "--labels",
        metavar="PATH",
        help="label map, or folder of label maps called as the images are (default: those of glnet "
        "segment that lie beside the image); what lies beside it is shown too: _confidence.tif, "
        "_probabilities.tif, _boxes.geojson, _global.tif, _local.tif",
    )
    parser.add_argument("--confidence", metavar="PATH", help="how sure labels are: file or folder")
    parser.add_argument(
        "--truth", metavar="PATH", help="mask of what is true: file or folder; shows errors, too"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="T", help="the mask is class 1 above this, else class 0"
    )
    parser.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="another label map: file or folder; may come several times",
    )
    parser.add_argument("--model", metavar="MODEL", help="a model's folder: shows its patches")
    parser.add_argument(
        "--bands", metavar="N,N,...", help="which bands to show, counted from 1, such as 4,3,2"
    )
    parser.add_argument("--level", type=int, help="the level of a slide, 0 for the largest")
    parser.add_argument("--mpp", type=float, help="the micrometres per pixel of a slide")
    parser.add_argument("--port", type=int, default=0, metavar="P", help="0 for any that is free")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen; any but the default can be reached by others, who need the token",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    return parser


def run(options: Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from glnet.inference.jobs import expanded  # noqa: PLC0415 - imports much
    from glnet.viewing.finding import Named, find_files  # noqa: PLC0415
    from glnet.viewing.gallery import Gallery  # noqa: PLC0415
    from glnet.viewing.serving import require_view, serving  # noqa: PLC0415
    from glnet.viewing.shown_image import Showing  # noqa: PLC0415

    require_view()
    named = Named(
        labels=options.labels,
        confidence=options.confidence,
        truth=options.truth,
        layers=_layers(options.layer),
    )
    showing = Showing(
        bands=None if options.bands is None else _bands(options.bands),
        level=options.level,
        mpp=options.mpp,
        threshold=options.threshold,
        grids=None if options.model is None else _grids(options.model),
    )
    gallery = Gallery(find_files(expanded(options.images), named), showing)
    gallery.require_all()
    # Ctrl-C is how it ends, from the first moment on: nothing is lost by it.
    with suppress(KeyboardInterrupt), serving(gallery, options.host, options.port) as address:
        say(address.url)
        if options.open:
            webbrowser.open(address.url)
        while not threading.Event().wait(A_WHILE_S):
            pass
    return 0


def _layers(texts: list[str]) -> tuple[tuple[str, str], ...]:
    found = tuple(_layer(text) for text in texts)
    names = [name for name, _ in found]
    for name in names:
        if name in OUR_NAMES or names.count(name) > 1:
            raise ConfigurationError(
                f"--layer: another layer is called {name} already; choose another name"
            )
    return found


def _layer(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not name or not equals or not path:
        raise ConfigurationError(f"--layer takes NAME=PATH, such as before=old.tif, got '{text}'")
    return name, path


def _bands(text: str) -> tuple[int, ...]:
    from glnet.cli.segment_options import numbers  # noqa: PLC0415

    return numbers(text)


def _grids(model: str) -> "Grids":
    from glnet.inference.grids import grids_of_model  # noqa: PLC0415 - imports torch

    return grids_of_model(model)
