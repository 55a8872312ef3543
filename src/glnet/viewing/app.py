"""What the server answers. Images, layers and tiles are numbers: no request names a path."""

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from glnet.errors import GLNetError
from glnet.viewing.describing import (
    classes,
    image_in_full,
    image_in_short,
    layers_in_short,
    pixel_in_full,
    survey_in_full,
)
from glnet.viewing.encoding import NOTHING, Encoded, blank
from glnet.viewing.gallery import Gallery
from glnet.viewing.job import Job
from glnet.viewing.layers import Style, Tile
from glnet.viewing.page_files import PageFile
from glnet.viewing.pyramid import is_tile
from glnet.viewing.shown_file import ChangedFileError
from glnet.viewing.shown_image import ShownImage
from glnet.viewing.work import BusyError, TileCache, Workers

NUMBER = re.compile(r"[0-9]{1,9}")
"""Of images, layers, zooms, rows and columns: more digits are no number of anything here."""

FOR_A_DAY = "private, max-age=86400, immutable"
"""What is addressed with its version never changes."""

Answer = Callable[[Request], Awaitable[Response]]
Made = TypeVar("Made")


class MissingError(Exception):
    """There is no such thing."""


class Server:
    """Answers the page's questions.

    Args:
        gallery: The images.
        files: Those of the page.
        job: A running segmentation, if there is one.
    """

    def __init__(
        self, gallery: Gallery, files: Mapping[str, PageFile], job: Job | None = None
    ) -> None:
        self._gallery, self._files, self._job = gallery, files, job
        self.cache = TileCache()
        self._workers, self._openers = Workers(), Workers()
        # In the addresses of tiles, so that no browser shows those of another run.
        self._run = secrets.token_hex(4)

    def app(self) -> Starlette:
        """As an ASGI application."""
        image = "/api/images/{image}"
        return Starlette(
            routes=[
                Route("/", _answering(self._index)),
                Route("/page/{name}", _answering(self._file)),
                Route("/api/images", _answering(self._images)),
                Route(image, _answering(self._image)),
                Route(f"{image}/state", _answering(self._state)),
                Route(f"{image}/thumbnail", _answering(self._thumbnail)),
                Route(f"{image}/pixel/{{row}}/{{column}}", _answering(self._pixel)),
                Route(
                    f"{image}/tiles/{{layer}}/{{zoom}}/{{row}}/{{column}}", _answering(self._tile)
                ),
                Route(f"{image}/reload", _answering(self._reload), methods=["POST"]),
                Route("/api/job/cancel", _answering(self._cancel), methods=["POST"]),
                Route("/api/job/resume", _answering(self._resume), methods=["POST"]),
            ]
        )

    async def _index(self, _: Request) -> Response:
        return self._sent("index.html")

    async def _file(self, request: Request) -> Response:
        return self._sent(request.path_params["name"])

    def _sent(self, name: str) -> Response:
        file = self._files.get(name)
        if file is None:
            raise MissingError
        return Response(file.data, media_type=file.kind, headers={"cache-control": "no-cache"})

    async def _images(self, _: Request) -> Response:
        self._gallery.wake()
        known = enumerate(self._gallery.known)
        images = [image_in_short(number, of) for number, of in known]
        return _fresh({"run": self._run, "images": images, "job": self._job_now()})

    def _job_now(self) -> dict[str, object] | None:
        return None if self._job is None else self._job.described()

    async def _image(self, request: Request) -> Response:
        number = self._number_of_image(request)

        def describe(image: ShownImage) -> dict[str, object]:
            image.layer(0)
            return image_in_full(number, self._gallery.known[number], image)

        await self._require_open(number)
        await self._workers.do(number, lambda: self._reload_if_changed(number))
        described = await self._with_image(number, describe)
        self._gallery.want(number)
        return _fresh(described)

    async def _state(self, request: Request) -> Response:
        """What of an image may become more."""
        number = self._number_of_image(request)
        known = self._gallery.known[number]

        def describe(image: ShownImage) -> dict[str, object]:
            errors = [of.error for of in image.opened if of.error is not None]
            counted = known.survey
            return {
                **image_in_short(number, known),
                "layers": layers_in_short(image),
                "classes": classes(image.classes),
                "survey": None if counted is None else survey_in_full(counted, image.classes),
                "error": known.error or next(iter(errors), None),
                "has_changed": _has_changed(image),
            }

        described = await self._with_image(number, describe)
        return _fresh({**described, "job": self._job_now()})

    async def _thumbnail(self, request: Request) -> Response:
        found = self._gallery.known[self._number_of_image(request)].thumbnail
        if found is None:
            raise MissingError
        return _picture(found, is_final=True)

    async def _pixel(self, request: Request) -> Response:
        number = self._number_of_image(request)
        row, column = _number(request, "row"), _number(request, "column")

        def describe(image: ShownImage) -> dict[str, object]:
            if row >= image.size.height or column >= image.size.width:
                raise MissingError
            return pixel_in_full(image, row, column)

        return _fresh(await self._with_image(number, describe))

    async def _tile(self, request: Request) -> Response:
        number = self._number_of_image(request)
        names = ("layer", "zoom", "row", "column")
        place = tuple(_number(request, name) for name in names)
        style = _style(request)
        key = (number, self._gallery.known[number].version, place, style)
        found = self.cache.get(key)
        if found is None or not found.is_final:
            if await request.is_disconnected():
                raise MissingError  # The page has moved on, and nobody waits for it.
            found = await self._with_image(number, lambda image: _made(image, place, style))
            if found is not None and found.is_final:
                self.cache.put(key, found)
        if found is None:
            return _picture(blank(), is_final=False)
        return _picture(found.encoded, is_final=found.is_final)

    async def _reload(self, request: Request) -> Response:
        number = self._number_of_image(request)
        # Files are closed, which may take as long as opening them.
        await self._openers.do(number, lambda: self._gallery.reload(number))
        return _fresh({})

    async def _with_image(self, number: int, work: Callable[[ShownImage], Made]) -> Made:
        """Do something with an image in a thread, once it is open."""
        await self._require_open(number)

        def worked() -> Made:
            with self._gallery.shown(number) as image:
                return work(image)

        return await self._workers.do(number, worked)

    async def _require_open(self, number: int) -> None:
        """Wait until an image is open: one thread opens it, and those who wait take none."""
        if not self._gallery.is_open(number):
            await self._openers.do_once(number, lambda: self._gallery.open(number))

    async def _cancel(self, _: Request) -> Response:
        if self._job is None:
            raise MissingError
        self._job.cancel()
        return _fresh({})

    async def _resume(self, _: Request) -> Response:
        if self._job is None:
            raise MissingError
        self._job.resume()
        return _fresh({})

    def _number_of_image(self, request: Request) -> int:
        number = _number(request, "image")
        if number >= len(self._gallery.known):
            raise MissingError
        return number

    def _reload_if_changed(self, number: int) -> None:
        with self._gallery.shown(number) as image:
            has_changed = _has_changed(image)
        if has_changed:
            self._gallery.reload(number)


def _made(image: ShownImage, place: tuple[int, ...], style: Style) -> Tile | None:
    number, zoom, row, column = place
    layer = image.layer(number)
    if layer is None or not is_tile(image.size, zoom, row, column):
        raise MissingError
    return layer.tile(zoom, row, column, style)


def _answering(answer: Answer) -> Answer:
    """Turn what goes wrong into an answer in one line."""

    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except MissingError:
            return PlainTextResponse("there is no such thing", 404)
        except BusyError:
            headers = {"retry-after": "1", "cache-control": "no-store"}
            return PlainTextResponse("too many requests wait", 503, headers)
        except ChangedFileError as error:
            return _failed(error, 409)
        except GLNetError as error:
            return _failed(error, 500)

    return answered


def _failed(error: GLNetError, status: int) -> Response:
    words = " ".join(str(error).split())
    return PlainTextResponse(words, status, {"cache-control": "no-store"})


def _number(request: Request, name: str) -> int:
    text = request.path_params[name]
    if NUMBER.fullmatch(text) is None:
        raise MissingError
    return int(text)


def _style(request: Request) -> Style:
    """How a layer is wanted: ``?hide=1,2&of=3``."""
    hidden = [word for word in request.query_params.get("hide", "").split(",") if word]
    words = [*hidden, *([of] if (of := request.query_params.get("of")) else [])]
    if not all(NUMBER.fullmatch(word) and int(word) < NOTHING for word in words):
        raise MissingError
    return Style(frozenset(map(int, hidden)), int(of) if of else None)


def _has_changed(image: ShownImage) -> bool:
    try:
        for file in image.opened:
            file.require_same()
    except ChangedFileError:
        return True
    return False


def _fresh(value: Mapping[str, object]) -> Response:
    return JSONResponse(dict(value), headers={"cache-control": "no-store"})


def _picture(found: Encoded, *, is_final: bool) -> Response:
    kept = FOR_A_DAY if is_final else "no-store"
    return Response(found.data, media_type=found.kind, headers={"cache-control": kept})
