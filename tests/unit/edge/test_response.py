# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from longshore.edge.asgi import Message, Scope
from longshore.edge.origin import TrustedProxies
from longshore.edge.request import ClientGone, Request
from longshore.edge.response import Response, Sender, json_response
from longshore.lifecycle import ProcessState, ServerState
from longshore.storage.port import StoreUnavailable

Give = Callable[[bytes], Awaitable[None]]


class Connection:
    """A client that takes what is sent, until a test blocks it or closes the connection."""

    def __init__(self, method: str = "GET", *, version: str = "1.1") -> None:
        self.messages: list[Message] = []
        self.gone = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.fail: BaseException | None = None
        self.state = ProcessState(ServerState())
        scope: Scope = {
            "http_version": version,
            "method": method,
            "path": "/v2/",
            "query_string": b"",
            "headers": [],
            "client": None,
        }
        self.request = Request(scope, self.receive, proxies=TrustedProxies(), body_seconds=5)
        self.closed = 0

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.fail is not None:
            raise self.fail
        self.messages.append(message)
        if message["type"] == "http.response.body":
            await self.open.wait()

    async def respond(self, response: Response, *, stall_seconds: float = 5.0) -> Sender:
        sender = Sender(self.send, stall_seconds=stall_seconds, state=self.state)
        await sender.respond(self.request, response)
        return sender

    def stream(self, stream: Callable[[Give], Awaitable[None]]) -> Response:
        def close() -> None:
            self.closed += 1

        return Response(200, length=6, stream=stream, close=close)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])


async def two_pieces(give: Give) -> None:
    await give(b"abc")
    await give(b"def")


async def test_a_body_comes_with_its_length() -> None:
    """A response of bytes is sent with its Content-Length and the request id."""
    connection = Connection()
    sender = await connection.respond(json_response(201, {"a": 1}))
    assert (sender.status, sender.sent, connection.body) == (201, 7, b'{"a":1}')
    assert (b"content-length", b"7") in connection.headers
    assert (b"x-request-id", connection.request.id.encode()) in connection.headers


async def test_a_head_gets_the_headers_of_the_get() -> None:
    """The answer to a HEAD has the length of what a GET would bring, and no body."""
    connection = Connection("HEAD")
    sender = await connection.respond(Response(200, [], b"body"))
    assert (b"content-length", b"4") in connection.headers
    assert (connection.body, sender.sent) == (b"", 0)
    streaming = Connection("HEAD")
    await streaming.respond(streaming.stream(two_pieces))
    assert (streaming.body, streaming.closed) == (b"", 1)


@pytest.mark.parametrize("status", [204, 304])
async def test_no_content_has_no_length(status: int) -> None:
    """204 and 304 carry no Content-Length."""
    connection = Connection()
    await connection.respond(Response(status))
    assert not [name for name, _ in connection.headers if name == b"content-length"]


async def test_a_length_that_is_told_is_the_one() -> None:
    """The answer to a HEAD may tell the length of a body that nobody made."""
    connection = Connection("HEAD")
    await connection.respond(Response(200, length=12_345))
    assert [value for name, value in connection.headers if name == b"content-length"] == [b"12345"]


async def test_a_stream_of_unknown_length_tells_none() -> None:
    """A stream comes with a Content-Length only where it is known."""
    connection = Connection()
    await connection.respond(Response(200, stream=two_pieces))
    assert not [name for name, _ in connection.headers if name == b"content-length"]


@pytest.mark.parametrize(("version", "said"), [("1.1", 1), ("2", 0)])
async def test_an_answer_that_begins_while_connections_are_closed_says_so(version: str, said: int) -> None:
    """Also when its request began before; once, whoever else said it; HTTP/2 has a frame of its own for it."""
    connection = Connection(version=version)
    sender = Sender(connection.send, stall_seconds=5, state=connection.state)
    response = Response(202)
    connection.state.close_connections()
    await sender.respond(connection.request, response)
    assert connection.headers.count((b"connection", b"close")) == said
    again = Connection()
    again.state.close_connections()
    await again.respond(Response(400, [(b"connection", b"close")]))
    assert again.headers.count((b"connection", b"close")) == 1


async def test_an_answer_leaves_its_connection_open() -> None:
    """While nothing drains."""
    connection = Connection()
    await connection.respond(Response(200))
    assert not [name for name, _ in connection.headers if name == b"connection"]


async def test_a_stream_is_sent_piece_by_piece() -> None:
    """Every piece is sent when it comes, then the end, and what the stream read from is closed."""
    connection = Connection()
    sender = await connection.respond(connection.stream(two_pieces))
    assert connection.messages[1:] == [
        {"type": "http.response.body", "body": b"abc", "more_body": True},
        {"type": "http.response.body", "body": b"def", "more_body": True},
        {"type": "http.response.body", "body": b""},
    ]
    assert (sender.sent, connection.closed) == (6, 1)


async def test_a_client_that_leaves_ends_the_stream() -> None:
    """A send that would wait for ever for a client that has left ends at once, and the task is sound afterwards."""
    connection = Connection()
    connection.open.clear()
    asyncio.get_running_loop().call_later(0.02, connection.gone.set)
    async with asyncio.timeout(2):
        with pytest.raises(ClientGone):
            await connection.respond(connection.stream(two_pieces))
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    assert connection.closed == 1


async def test_a_client_that_takes_nothing_ends_the_stream() -> None:
    """A client that takes no piece within the time limit counts as gone."""
    connection = Connection()
    connection.open.clear()
    with pytest.raises(ClientGone):
        await connection.respond(connection.stream(two_pieces), stall_seconds=0.05)
    assert connection.closed == 1


async def test_a_slow_client_is_not_a_stalled_one() -> None:
    """The time limit begins anew with every piece that is taken."""
    connection = Connection()

    async def stream(give: Give) -> None:
        for _ in range(4):
            await asyncio.sleep(0.04)
            await give(b"x")

    await connection.respond(connection.stream(stream), stall_seconds=0.1)
    assert connection.body == b"xxxx"


async def test_the_end_is_waited_for_no_longer_than_a_piece() -> None:
    """The last message, too, has a time limit."""
    connection = Connection()

    async def stream(give: Give) -> None:
        await give(b"abcdef")
        connection.open.clear()

    async with asyncio.timeout(2):
        with pytest.raises(ClientGone):
            await connection.respond(connection.stream(stream), stall_seconds=0.05)


async def test_the_servers_own_cancellation_is_no_lost_client() -> None:
    """When the server cancels the request, the cancellation goes on its way."""
    connection = Connection()
    begun = asyncio.Event()

    async def stream(give: Give) -> None:
        await give(b"abc")
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(connection.respond(connection.stream(stream)))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connection.closed == 1


async def test_a_store_that_fails_breaks_the_answer_off() -> None:
    """What a stream raises is raised: the answer ends short of its length, so no client takes it for whole."""
    connection = Connection()

    async def stream(give: Give) -> None:
        await give(b"abc")
        raise StoreUnavailable("the disk is on fire")

    with pytest.raises(StoreUnavailable):
        await connection.respond(connection.stream(stream))
    assert connection.messages[-1].get("more_body")
    assert connection.closed == 1


async def test_a_stream_that_never_began_is_closed() -> None:
    """What a stream would have read from is closed, also when not even the head could be sent."""
    connection = Connection()
    connection.fail = ConnectionError("gone")
    with pytest.raises(ConnectionError):
        await connection.respond(connection.stream(two_pieces))
    assert connection.closed == 1


async def test_nothing_waits_for_the_client_after_the_answer() -> None:
    """The watch for the disconnect ends with the answer, whatever way it ended."""
    for vanish in (False, True):
        connection = Connection()
        before = asyncio.all_tasks()
        if vanish:
            connection.gone.set()
        with suppress(ClientGone):
            await connection.respond(connection.stream(two_pieces))
        for _ in range(3):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
