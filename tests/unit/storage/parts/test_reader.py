# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import hashlib

import pytest

from longshore.storage.conformance import expect_error
from longshore.storage.parts.memory import Call, Fault, MemoryClient
from longshore.storage.parts.reader import PartsReader
from longshore.storage.port import ObjectKey, ObjectMissing, StoreUnavailable

_SIZE = 10_000
_PAYLOAD = hashlib.shake_256(b"read").digest(_SIZE)
_BROKEN = StoreUnavailable("The connection broke. Try again.")


@pytest.fixture
async def client() -> MemoryClient:
    client = MemoryClient(chunk=700)
    await client.put(str(_KEY), _PAYLOAD)
    client.calls.clear()
    return client


_KEY = ObjectKey.fresh()


async def _open(client: MemoryClient, offset: int = 0, length: int | None = None) -> PartsReader:
    return await PartsReader(client, _KEY, offset, length).begin()


def _gets(client: MemoryClient) -> int:
    return sum(call is Call.GET for call, _ in client.calls)


@pytest.mark.parametrize(("offset", "length"), [(0, None), (0, _SIZE), (100, None), (100, 5000), (0, 99_999)])
async def test_what_was_announced_is_one_request(client: MemoryClient, offset: int, length: int | None) -> None:
    """Read in pieces of any size, in order, a range is asked for once, and nothing else is asked."""
    reader = await _open(client, offset, length)
    assert reader.size == _SIZE
    end = _SIZE if length is None else min(offset + length, _SIZE)
    position, number = offset, 0
    while position < end:
        size = min((1, 699, 700, 701, 64, 3000)[number % 6], end - position)
        piece = reader.read_cached(position, size)
        piece = await reader.read(position, size) if piece is None else piece
        assert piece == _PAYLOAD[position : position + size]
        position, number = position + size, number + 1
    reader.close()
    assert {call for call, _ in client.calls} == {Call.GET, Call.CHUNK}
    assert _gets(client) == 1


async def test_what_has_arrived_is_at_hand(client: MemoryClient) -> None:
    """Bytes of the same chunk need no waiting; others, and other places, aren't at hand."""
    reader = await _open(client)
    assert reader.read_cached(0, 10) is None
    await reader.read(0, 10)
    assert reader.read_cached(10, 690) == _PAYLOAD[10:700]
    assert reader.read_cached(700, 1) is None
    assert reader.read_cached(5, 1) is None
    assert reader.read_cached(_SIZE, 5) == b""
    reader.close()


async def test_other_places_may_be_read_too(client: MemoryClient) -> None:
    """A read outside of what was announced is a request of its own, for exactly its bytes."""
    reader = await _open(client, 1000, 1000)
    assert await reader.read(5000, 10) == _PAYLOAD[5000:5010]
    assert await reader.read(1000, 10) == _PAYLOAD[1000:1010]
    assert await reader.read(1990, 20) == _PAYLOAD[1990:2010]
    assert await reader.read(_SIZE - 5, 100) == _PAYLOAD[-5:]
    assert await reader.read(_SIZE, 1) == b""
    assert _gets(client) == 4
    reader.close()


async def test_several_reads_at_once_get_their_own_bytes(client: MemoryClient) -> None:
    """The one that comes next in the announced range takes it, the others ask."""
    reader = await _open(client)
    offsets = list(range(0, _SIZE, 500))
    pieces = await asyncio.gather(*(reader.read(offset, 500) for offset in offsets))
    assert b"".join(pieces) == _PAYLOAD
    reader.close()


async def test_a_connection_that_breaks_is_replaced(client: MemoryClient) -> None:
    """The rest is asked for from where it broke, also when nothing or an early end came."""
    for skip in (0, 3, 14):
        client.fail(Fault(Call.CHUNK, _BROKEN, skip=skip))
        reader = await _open(client)
        assert await reader.read(0, 6000) + await reader.read(6000, 4000) == _PAYLOAD
        reader.close()


async def test_a_connection_that_always_breaks_is_an_error(client: MemoryClient) -> None:
    """The number of repairs is bounded, and then the error is the connection's."""
    reader = await _open(client)
    for _ in range(20):
        client.fail(Fault(Call.CHUNK, _BROKEN))
    await expect_error(StoreUnavailable, reader.read(0, _SIZE))
    assert _gets(client) <= 8
    reader.close()


async def test_an_object_that_became_shorter_is_missing(client: MemoryClient) -> None:
    """Bytes that the object had when it was opened and has no more are never made up."""
    reader = await _open(client, 0, _SIZE)
    client.fail(Fault(Call.CHUNK, _BROKEN, skip=2))
    client.objects[str(_KEY)].content = _PAYLOAD[:900]
    await expect_error(ObjectMissing, reader.read(0, _SIZE))
    reader.close()


async def test_nothing_of_an_object_is_nothing(client: MemoryClient) -> None:
    """An empty object, and a range behind the end, have a size and no bytes."""
    empty = ObjectKey.fresh()
    await client.put(str(empty), b"")
    for length in (0, 5, None):
        reader = await PartsReader(client, empty, 0, length).begin()
        assert (reader.size, await reader.read(0, 5)) == (0, b"")
        reader.close()
    reader = await _open(client, _SIZE + 5, 10)
    assert (reader.size, await reader.read(_SIZE + 5, 10)) == (_SIZE, b"")
    assert await reader.read(0, 5) == _PAYLOAD[:5]
    reader.close()
    gone = ObjectKey.fresh()
    await expect_error(ObjectMissing, PartsReader(client, gone, 0, 0).begin())


async def test_a_closed_reader_lets_the_connection_go(client: MemoryClient) -> None:
    """After `close` nothing is read, and a read that waits ends."""
    reader = await _open(client)
    gate = asyncio.Event()
    client.fail(Fault(Call.CHUNK, gate=gate))
    waiting = asyncio.ensure_future(reader.read(0, _SIZE))
    await asyncio.sleep(0.01)
    reader.close()
    reader.close()
    gate.set()
    await expect_error(StoreUnavailable, waiting)
    await expect_error(StoreUnavailable, reader.read(0, 1))
