"""How long a connection may stay without asking for anything."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE_S = 10.0
"""Browsers send a request as soon as they are connected."""


class PatientProtocol(H11Protocol):
    """uvicorn's own, which ends connections that ask for nothing.

    There is room for a number of connections, and whoever reaches the port may take it, without
    any token. uvicorn waits for ever for a first request, and for a later one of which a byte has
    come. Here a connection is looked at every `PATIENCE_S` seconds: it stays if an answer is on its
    way, or has been begun since it was looked at before.
    """

    _timer: asyncio.TimerHandle | None = None
    _last_seen: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(PATIENCE_S, self._look)

    def _look(self) -> None:
        # The last request and its answer; none before the first head is complete.
        cycle = self.cycle
        is_answered = cycle is None or cycle.response_complete
        if is_answered and cycle is self._last_seen:
            self.transport.close()
            return
        self._last_seen = cycle
        self._wait()
