# SPDX-License-Identifier: Apache-2.0
"""Responses: a status, headers and a body that is bytes or a stream, and how they are sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from longshore.edge.asgi import Message, Scope, Send
from longshore.edge.request import ClientGone, Request

Header = tuple[bytes, bytes]
Stream = Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]

_JSON: Header = (b"content-type", b"application/json; charset=utf-8")


class Response:
    """What a handler answers.

    `stream`, if given, is called with a function that sends one piece, instead of sending `body`. `close` is called when the
    answer is over, whether the stream has begun or not.
    """

    __slots__ = ("body", "close", "headers", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: list[Header] | None = None,
        body: bytes = b"",
        *,
        stream: Stream | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else []
        self.body = body
        self.stream = stream
        self.close = close


def json_response(status: int, value: Any, headers: list[Header] | None = None) -> Response:
    """A JSON document."""
    return Response(status, [_JSON, *(headers or [])], msgspec.json.encode(value))


def closing(scope: Scope, send: Send) -> Send:
    """Sends like `send`, and says in each answer that the connection ends with it. HTTP/2 has a frame of its own for that."""
    if scope["http_version"] == "2":
        return send

    async def close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return close


class Sender:
    """Sends one response and remembers what the log line needs to know."""

    __slots__ = ("_send", "_stall_seconds", "sent", "status")

    def __init__(self, send: Send, *, stall_seconds: float) -> None:
        self._send = send
        self._stall_seconds = stall_seconds
        self.status = 0
        self.sent = 0

    async def respond(self, request: Request, response: Response) -> None:
        """Sends the response; a HEAD gets the headers of the GET and no body.

        Raises:
            ClientGone: the client closed the connection or took nothing for too long.
        """
        headers = response.headers
        # 204 and 304 have no content, so no length (RFC 9110, 8.6); a stream sets its own.
        counted = response.stream is not None or response.status in {204, 304}
        if not counted:
            for name, _ in headers:
                if name == b"content-length":
                    break
            else:
                headers.append((b"content-length", str(len(response.body)).encode()))
        headers.append((b"x-request-id", request.id.encode()))
        self.status = response.status
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

    async def _stream(self, request: Request, stream: Stream) -> None:
        if request.method == "HEAD":
            await self._send({"type": "http.response.body", "body": b""})
            return
        # The server's send doesn't fail when the client has gone, so the disconnect is awaited beside it.
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        watch = asyncio.ensure_future(request.disconnected())
        gone = False

        def leave(_: object) -> None:
            nonlocal gone
            if not watch.cancelled() and task is not None:
                gone = True
                task.cancel()

        watch.add_done_callback(leave)
        try:
            async with asyncio.timeout(self._stall_seconds) as deadline:

                async def piece(data: bytes) -> None:
                    await self._send({"type": "http.response.body", "body": data, "more_body": True})
                    self.sent += len(data)
                    deadline.reschedule(loop.time() + self._stall_seconds)

                await stream(piece)
                await self._send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            if gone and task is not None and task.uncancel() == 0:
                raise ClientGone from None
            raise
        except TimeoutError:
            raise ClientGone from None
        finally:
            watch.remove_done_callback(leave)
            watch.cancel()
