"""Connection: one client's connection, with limits that uvicorn has not."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Bytes of a request's line and headers, or of the headers after its body.
_MAX_HEAD_BYTES: Final = 64 * 2**10

# Requests that wait for the answer to one before them; browsers send none.
_MAX_PIPELINED: Final = 32

# Seconds in which a head must have arrived, from the start of the connection or the last answer.
_HEAD_S: Final = 10.0


class Connection(HttpToolsProtocol):
    """A connection that ends if its client sends no complete request, or reads no answer.

    Otherwise clients that send nothing, or a byte now and then, would occupy all connections, and
    one that sends headers without end would occupy all memory.

    Attributes:
        head_s: Seconds until the head of a request has arrived.
        answer_s: Seconds from then until its answer has been sent.
    """

    head_s = _HEAD_S
    answer_s = 60.0

    _unused_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._end_in(self.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data, and count those that are neither a complete head nor a body."""
        self._unused_bytes += len(data)
        super().data_received(data)
        if self._unused_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self.logger.warning("Too large headers received.")
            self.send_400_response("Too large headers.")
        if len(self.pipeline) > _MAX_PIPELINED:
            self.logger.warning("Too many requests of one connection received.")
            self.pipeline.clear()
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """Begin to wait for the answer."""
        self._unused_bytes = 0
        super().on_headers_complete()
        self._end_in(self.answer_s)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unused_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, or for the answer to one that is here."""
        super().on_response_complete()
        if self.pipeline:
            # Resumed for each answer, it would take many more requests meanwhile.
            self.flow.pause_reading()
        self._end_in(self.head_s if self.cycle.response_complete else self.answer_s)

    def _end_in(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        # Without sending what is left: the client may not read it.
        self._deadline = self.loop.call_later(seconds, self.transport.abort)


def connection_type(timeout_s: float) -> type[Connection]:
    """Return a type of connections.

    Args:
        timeout_s: Seconds in which a body must have arrived, and in which its answer must be ready
            and read.
    """
    limits = {"head_s": min(_HEAD_S, timeout_s), "answer_s": 3 * timeout_s}
    return type("LimitedConnection", (Connection,), limits)
