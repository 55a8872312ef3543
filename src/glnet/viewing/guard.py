"""Who may ask: only the page itself, in a browser that has been given the token."""

import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

READING = frozenset({"GET", "HEAD"})
CHANGING = frozenset({"POST"})

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: from here, and nothing else; no script that stands in the page itself."""

HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

FOREIGN = frozenset({"cross-site", "same-site"})
"""What browsers say of requests that another page makes: another port is another page."""


class Guard:
    """Lets requests through that may be answered, and answers the others itself.

    - The name in ``Host`` must be one of ours: a page that a name server has pointed here (DNS
      rebinding) calls us by its own name.
    - What another page asks for is refused, by ``Sec-Fetch-Site`` and, where something would
      change, by ``Origin``, which must be there.
    - The token must be in a cookie, or in the header ``Authorization: Bearer``. The address that is
      printed has it as ``?token=``; there it becomes the cookie, so that it stays in no history.

    Args:
        app: What answers.
        token: The secret of this run.
        hosts: What we are called, without the port: who comes through a tunnel has another one.
    """

    def __init__(self, app: App, token: str, hosts: Iterable[str]) -> None:
        self._app, self._token = app, token
        self._hosts = frozenset(host.lower() for host in hosts)
        # Cookies do not know ports: another server here has another name for its own.
        self.cookie = f"glnet-view-{secrets.token_hex(4)}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = ((name.encode(), value.encode()) for name, value in HEADERS.items())
                message["headers"] = [*message.get("headers", []), *added]
            await send(message)

        answer = self._refusal(scope)
        if answer is not None:  # Who has no token yet keeps no connection.
            answer.headers["connection"] = "close"
        await (answer or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if _without_port(host) not in self._hosts:
            return PlainTextResponse("this server is not called that", 421)
        if scope["method"] not in READING | CHANGING:
            return PlainTextResponse("only GET and POST", 405)
        if headers.get("sec-fetch-site") in FOREIGN and not self._is_followed_link(scope, headers):
            return PlainTextResponse("another page may not ask", 403)
        if scope["method"] in CHANGING and headers.get("origin") not in _origins(host):
            return PlainTextResponse("another page may not ask", 403)
        if self._is_known(headers):
            return None
        return self._welcome(scope)

    def _is_followed_link(self, scope: Scope, headers: Headers) -> bool:
        """Somebody has followed a link to the page, such as from a notebook."""
        return scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"

    def _is_known(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(given):
            return True
        # Cookies do not know ports: others here may have set some that are written otherwise.
        found = cookie_parser(headers.get("cookie", "")).get(self.cookie)
        return found is not None and self._is_token(found)

    def _welcome(self, scope: Scope) -> Response:
        """Take the token out of the address."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        given = query.get("token", [""])[0]
        if scope["path"] != "/" or not self._is_token(given):
            return PlainTextResponse(
                "open the address that the command has printed, with its token", 401
            )
        # The browser keeps what stands behind the #: the view that is to be restored.
        answer = RedirectResponse("/", 303)
        # Lax, not strict: who follows a link here, as from a notebook, is sent on with it. What
        # other pages ask for by themselves is refused above.
        answer.set_cookie(self.cookie, self._token, httponly=True, samesite="lax")
        answer.headers["cache-control"] = "no-store"
        return answer

    def _is_token(self, given: str) -> bool:
        # In constant time, so that it cannot be guessed letter by letter.
        return secrets.compare_digest(given.encode(errors="replace"), self._token.encode())


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _origins(host: str) -> frozenset[str]:
    return frozenset(f"{scheme}://{host}" for scheme in ("http", "https"))
