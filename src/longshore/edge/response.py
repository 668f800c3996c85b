# SPDX-License-Identifier: Apache-2.0
"""Responses: a status, headers and a body that is bytes or a stream, and how they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, Self

import msgspec

from longshore.edge.asgi import Send
from longshore.edge.request import ClientGone, Request

Header = tuple[bytes, bytes]
Give = Callable[[bytes], Awaitable[None]]
Stream = Callable[[Give], Awaitable[None]]

_JSON: Header = (b"content-type", b"application/json; charset=utf-8")
_CLOSE: Header = (b"connection", b"close")
_WITHOUT_CONTENT = frozenset({204, 304})


class Response:
    """What a handler answers.

    `stream`, if given, is called with a function that sends one piece, instead of sending `body`. `close` is called when the
    answer is over, whether the stream has begun or not. `length` is what Content-Length says: by default that of `body`, and
    nothing for a stream and where there is no content (204 and 304; RFC 9110, 8.6).
    """

    __slots__ = ("body", "close", "headers", "length", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: list[Header] | None = None,
        body: bytes = b"",
        *,
        length: int | None = None,
        stream: Stream | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        if length is None and stream is None and status not in _WITHOUT_CONTENT:
            length = len(body)
        self.status = status
        self.length = length
        self.headers = headers if headers is not None else []
        self.body = body
        self.stream = stream
        self.close = close


def json_response(status: int, value: Any, headers: list[Header] | None = None) -> Response:
    """A JSON document."""
    return Response(status, [_JSON, *(headers or [])], msgspec.json.encode(value))


class Closing(Protocol):
    """What knows whether each connection is to end with the answer that goes out on it next."""

    @property
    def closing(self) -> bool:
        """Whether that is so now."""


class Sender:
    """Sends one response and remembers what the log line needs to know.

    While the process closes its connections, the answer says that the connection ends with it.
    """

    __slots__ = ("_send", "_stall_seconds", "_state", "sent", "status")

    def __init__(self, send: Send, *, stall_seconds: float, state: Closing) -> None:
        self._send = send
        self._stall_seconds = stall_seconds
        self._state = state
        self.status = 0
        self.sent = 0

    async def respond(self, request: Request, response: Response) -> None:
        """Sends the response; a HEAD gets the headers of the GET and no body.

        Raises:
            ClientGone: the client closed the connection or took nothing for too long.
        """
        headers = response.headers
        if response.length is not None:
            headers.append((b"content-length", b"%d" % response.length))
        self.head(request, response.status, headers)
        start = {"type": "http.response.start", "status": response.status, "headers": headers}
        if response.stream is not None:
            try:
                await self._send(start)
                await self._stream(request, response.stream)
            finally:
                if response.close is not None:
                    response.close()
            return
        await self._send(start)
        body = b"" if request.method == "HEAD" else response.body
        await self._send({"type": "http.response.body", "body": body})
        self.sent = len(body)

    def head(self, request: Request, status: int, headers: list[Header]) -> None:
        """Adds what every answer says: call it when the answer begins, not earlier.

        A request may take minutes. Its connection has to end with it if the process began to close connections meanwhile, or
        a proxy would send the next request on it just when the process goes.
        """
        self.status = status
        headers.append((b"x-request-id", request.id.encode()))
        # HTTP/2 has a frame of its own for it.
        if self._state.closing and request.scope["http_version"] != "2" and _CLOSE not in headers:
            headers.append(_CLOSE)

    async def _stream(self, request: Request, stream: Stream) -> None:
        if request.method == "HEAD":
            await self._send({"type": "http.response.body", "body": b""})
            return
        with ClientWatch(request, self._stall_seconds) as watch:

            async def piece(data: bytes) -> None:
                await self._send({"type": "http.response.body", "body": data, "more_body": True})
                self.sent += len(data)
                watch.took_something()

            await stream(piece)
            await self._send({"type": "http.response.body", "body": b""})


class ClientWatch:
    """Cancels the task that streams when the client has gone or takes nothing for too long, and raises `ClientGone` then.

    The server's send doesn't fail when the client has gone, so the disconnect is awaited beside it. The timer isn't moved with
    every piece, which would cost as much as all else does here: when it rings, it looks when the last one was taken.
    """

    __slots__ = ("_disconnected", "_gone", "_loop", "_stall_seconds", "_taken_at", "_task", "_timer")

    def __init__(self, request: Request, stall_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._stall_seconds = stall_seconds
        self._taken_at = self._loop.time()
        self._gone = False
        self._timer = self._loop.call_later(stall_seconds, self._look)
        self._disconnected = asyncio.ensure_future(request.disconnected())
        self._disconnected.add_done_callback(self._leave)

    def took_something(self) -> None:
        """The client took a piece: its time begins anew."""
        self._taken_at = self._loop.time()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._timer.cancel()
        self._disconnected.remove_done_callback(self._leave)
        self._disconnected.cancel()
        cancelled = isinstance(error, asyncio.CancelledError) and self._gone
        # Somebody else may have cancelled the task too: that cancellation goes on its way.
        if cancelled and self._task is not None and self._task.uncancel() == 0:
            raise ClientGone from None

    def _look(self) -> None:
        left = self._taken_at + self._stall_seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._give_up()

    def _leave(self, disconnected: asyncio.Future[None]) -> None:
        if not disconnected.cancelled():
            self._give_up()

    def _give_up(self) -> None:
        if self._task is not None and not self._gone:
            self._gone = True
            self._task.cancel()
