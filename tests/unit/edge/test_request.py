# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from longshore.edge.asgi import Message
from longshore.edge.origin import TrustedProxies
from longshore.edge.request import ClientGone, Request
from longshore.oci.errors import BadRequest, PayloadTooLarge

MIB = b"x" * 1024 * 1024


def request(
    *messages: Message,
    headers: Iterable[tuple[bytes, bytes]] = (),
    query: bytes = b"",
    body_seconds: float = 5.0,
) -> Request:
    """A request whose client sends these messages and then nothing more."""
    waiting = list(messages)

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    scope = {"method": "PUT", "path": "/v2/", "query_string": query, "headers": list(headers), "client": ("::1", 1)}
    return Request(scope, receive, proxies=TrustedProxies(), body_seconds=body_seconds)


def piece(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_pieces_arrive_as_they_were_sent() -> None:
    """The body is handed over piece by piece, without empty ones, and counted."""
    got = request(piece(b"one"), piece(b""), piece(b"two", more=False))
    assert [part async for part in got.body()] == [b"one", b"two"]
    assert got.received == 6


async def test_whoever_takes_long_with_a_piece_is_not_disturbed() -> None:
    """The time limit is for the client's next piece, not for what the registry does with the last one."""
    got = request(piece(b"one"), piece(b"two"), piece(b"three", more=False), body_seconds=0.05)
    taken = []
    async for part in got.body():
        await asyncio.sleep(0.12)
        taken.append(part)
    assert taken == [b"one", b"two", b"three"]


CHUNKED = [(b"transfer-encoding", b"chunked")]


async def test_what_is_left_of_a_refused_body_is_read() -> None:
    """Also when its reader stopped in the middle; then nothing is left, and a second look doesn't wait."""
    for taken in (0, 1):
        got = request(piece(b"one"), piece(b"two"), piece(b"three", more=False), headers=CHUNKED)
        body = got.body()
        for _ in range(taken):
            await anext(body)
        await got.discard()
        assert got.received == 11
        await got.discard()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-length", b"0")],
        [(b"content-length", b"5"), (b"expect", b"100-continue")],
        [(b"content-length", b"99999999999")],
    ],
    ids=["none", "empty", "waits to be asked", "enormous"],
)
async def test_bodies_that_are_not_read_for_a_refusal(headers: list[tuple[bytes, bytes]]) -> None:
    """Nothing is waited for where there is nothing, where the client waits itself, and where it would take too long."""
    got = request(headers=headers)
    async with asyncio.timeout(1):
        await got.discard()
    assert got.received == 0


async def test_a_refused_body_that_does_not_end_is_left() -> None:
    """A client that sends on and on, or stands still, is answered all the same."""
    endless = request(*[piece(MIB)] * 100, headers=CHUNKED)
    await endless.discard()
    assert endless.received == 65 * len(MIB)
    stalled = request(piece(b"one"), headers=CHUNKED, body_seconds=0.05)
    async with asyncio.timeout(1):
        await stalled.discard()


async def test_leaving_the_body_leaves_no_clock_running() -> None:
    """Who stops reading in the middle isn't cancelled later for what the client doesn't send."""
    got = request(piece(b"one"), body_seconds=0.05)
    body = got.body()
    async for _ in body:
        break
    await asyncio.sleep(0.12)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_client_that_stalls_is_gone() -> None:
    """A client that sends nothing for the whole time limit counts as gone."""
    got = request(piece(b"one"), body_seconds=0.05)
    with pytest.raises(ClientGone):
        _ = [part async for part in got.body()]
    assert got.received == 3


async def test_a_client_that_disconnects_is_gone() -> None:
    """A connection that closes in the middle of the body ends it with an error."""
    got = request(piece(b"one"), {"type": "http.disconnect"})
    with pytest.raises(ClientGone):
        _ = [part async for part in got.body()]


async def test_a_whole_body_has_a_limit() -> None:
    """A body at the limit is taken, one byte more is refused after it was read."""
    assert await request(piece(b"1234"), piece(b"5", more=False)).whole_body(5, "thing") == b"12345"
    longer = request(piece(b"1234"), piece(b"56", more=False))
    with pytest.raises(PayloadTooLarge, match="thing is larger than the 5 bytes"):
        await longer.whole_body(5, "thing")
    assert longer.received == 6


async def test_a_body_without_end_is_not_read_for_ever() -> None:
    """What is far too long is refused without waiting for its end."""
    endless = request(*(piece(MIB) for _ in range(100)))
    with pytest.raises(PayloadTooLarge):
        await endless.whole_body(5, "thing")
    assert endless.received == 65 * len(MIB)


@pytest.mark.parametrize(
    ("value", "length"),
    [
        (b"0", 0),
        (b"17", 17),
        (b"-1", None),
        (b"1.5", None),
        (b"17, 17", None),
        (b"\xb2", None),
        (b"", None),
        (b"9" * 5000, None),
    ],
)
def test_content_length(value: bytes, length: int | None) -> None:
    """What isn't a sensible number counts as not announced."""
    assert request(headers=[(b"content-length", value)]).content_length == length


def test_content_length_not_announced() -> None:
    """Without the header nothing is announced."""
    assert request().content_length is None


def test_query_is_bounded() -> None:
    """200 parameters are read, more are refused."""
    assert len(request(query=b"&".join([b"tag=a"] * 200)).query) == 200
    with pytest.raises(BadRequest, match="200 parameters"):
        _ = request(query=b"&".join([b"tag=a"] * 201)).query


def test_lines_of_one_header_are_one_value() -> None:
    """Several lines of a header mean the same as one line with commas."""
    got = request(headers=[(b"accept", b"a/b"), (b"accept", b"c/d")])
    assert got.header(b"accept") == "a/b, c/d"
    assert got.header(b"range") is None


@pytest.mark.parametrize("given", [b"abc-1.2:3/+=@", b"x" * 128])
def test_a_sound_request_id_is_kept(given: bytes) -> None:
    """The client's own request id is used if it can stand in a log line."""
    assert request(headers=[(b"x-request-id", given)]).id == given.decode()


@pytest.mark.parametrize("given", [b"", b"x" * 129, b"a b", b'a"b', b"a\nb", b"\xff", b"a, b"])
def test_an_unsound_request_id_is_replaced(given: bytes) -> None:
    """Everything else gets an id of ours, each request another one."""
    first, second = request(headers=[(b"x-request-id", given)]), request(headers=[(b"x-request-id", given)])
    assert first.id != second.id
    assert given.decode("latin-1") not in {first.id, second.id}
