# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from longshore.oci.digest import Algorithm, Hasher
from longshore.oci.errors import PayloadTooLarge
from longshore.storage.conformance import content, entries, expect_error
from longshore.storage.parts.client import BeginningLost, UploadMissing
from longshore.storage.parts.gathering import Gathering
from longshore.storage.parts.memory import Call, Fault, MemoryClient
from longshore.storage.parts.sizes import MEBIBYTE, MOST_PARTS, PartSizes
from longshore.storage.parts.state import State
from longshore.storage.parts.store import PartsStore
from longshore.storage.port import NO_STATE, BlobStore, BlobWriter, ObjectKey, ObjectMissing, StoreUnavailable
from longshore.storage.session import MemorySession

_PART = 1000


@pytest.fixture
def client() -> MemoryClient:
    return MemoryClient(chunk=300)


@pytest.fixture
async def store(client: MemoryClient) -> AsyncIterator[PartsStore]:
    store = PartsStore(client, sizes=PartSizes(uniform=_PART))
    yield store
    await store.close()


def _payload(size: int) -> bytes:
    return hashlib.shake_256(b"payload").digest(size)


async def _append(writer: BlobWriter, payload: bytes, hasher: Hasher | None = None) -> None:
    await writer.append([payload], hasher or Algorithm.SHA256.hasher())


def _asked(client: MemoryClient, *kinds: Call) -> list[Call]:
    return [call for call, _ in client.calls if not kinds or call in kinds]


async def test_a_small_body_is_one_request(client: MemoryClient, store: BlobStore) -> None:
    """Create, append, sync, seal and finish below a part's size cost one PUT, and the state is none."""
    session = MemorySession()
    writer = await store.create(session.key, session.claim())
    await _append(writer, b"small")
    checkpoint = await writer.sync()
    assert (checkpoint.offset, checkpoint.state, checkpoint.helpers) == (5, NO_STATE, ())
    assert await writer.seal() == checkpoint
    await writer.finish()
    await writer.close()
    assert _asked(client) == [Call.PUT]
    assert await content(store, session.key) == b"small"


async def test_a_small_object_that_grows_gets_another_key(client: MemoryClient, store: BlobStore) -> None:
    """What was acknowledged is never written over: more bytes go to a fresh key, the old one is their front."""
    session = MemorySession()
    first = session.key
    writer = await store.create(first, session.claim())
    await _append(writer, b"one ")
    session.keep(await writer.sync())
    await writer.close()
    writer, journal = await session.open(store)
    await _append(writer, b"two")
    assert writer.key != first
    assert session.helpers == {first}
    assert session.recorded.offset == 4
    await journal.advance(await writer.sync())
    assert session.recorded.state == NO_STATE
    assert session.trash == {first: False}
    await writer.close()
    assert await content(store, session.key) == b"one two"
    assert await content(store, first) == b"one "


async def test_a_large_body_is_parts_and_one_completion(client: MemoryClient, store: BlobStore) -> None:
    """Full parts go to the store as they fill, the remainder at the seal, and one request makes them the object."""
    session = MemorySession()
    journal = session.claim()
    writer = await store.create(session.key, journal)
    payload, hasher = _payload(3 * _PART + 10), Algorithm.SHA256.hasher()
    for start in range(0, len(payload), 700):
        await _append(writer, payload[start : start + 700], hasher)
    checkpoint = await writer.seal()
    await journal.advance(checkpoint)
    assert (checkpoint.offset, checkpoint.helpers) == (len(payload), ())
    await writer.finish()
    await writer.finish()
    await writer.close()
    assert _asked(client, Call.PUT, Call.BEGIN, Call.PART) == [Call.BEGIN, *[Call.PART] * 4]
    assert await content(store, session.key) == payload
    assert hasher.hexdigest() == hashlib.sha256(payload).hexdigest()


async def test_the_row_knows_of_parts_before_they_begin(client: MemoryClient, store: BlobStore) -> None:
    """Killed while the upload in parts begins, the key counts as unfinished, and the next writer leaves it."""
    session = MemorySession()
    writer = await store.create(session.key, session.claim())
    client.fail(Fault(Call.BEGIN, StoreUnavailable("The answer is lost. Try again."), done=True))
    await expect_error(StoreUnavailable, _append(writer, _payload(_PART)))
    await expect_error(StoreUnavailable, writer.sync())
    await writer.close()
    assert session.recorded.state != NO_STATE
    stale = session.key
    writer, journal = await session.open(store)
    await _append(writer, _payload(_PART))
    assert session.trash == {stale: True}
    assert len(client.uploads) == 2
    await journal.advance(await writer.seal())
    await writer.finish()
    await writer.close()
    await session.sweep(store)
    assert client.uploads == {}
    assert await content(store, session.key) == _payload(_PART)


async def test_a_beginning_that_was_lost_is_left_to_the_trash(client: MemoryClient, store: BlobStore) -> None:
    """When nobody knows whether parts were begun under a key, others are begun under another one, never under the same."""
    session = MemorySession()
    journal, stale = session.claim(), session.key
    writer = await store.create(stale, journal)
    client.fail(Fault(Call.BEGIN, BeginningLost("The answer is lost. Try again."), done=True))
    await _append(writer, _payload(_PART))
    await journal.advance(await writer.seal())
    await writer.finish()
    await writer.close()
    assert session.trash == {stale: True}
    assert [path for path, _ in client.uploads] == [str(stale)]
    await session.sweep(store)
    assert client.uploads == {}
    assert await content(store, session.key) == _payload(_PART)


async def test_beginnings_that_are_always_lost_end(client: MemoryClient, store: BlobStore) -> None:
    """After a few keys the writer gives up, and each of them is the trash's or the session's, as unfinished."""
    session = MemorySession()
    writer = await store.create(session.key, session.claim())
    for _ in range(10):
        client.fail(Fault(Call.BEGIN, BeginningLost("The answer is lost. Try again."), done=True))
    await expect_error(BeginningLost, _append(writer, _payload(_PART)))
    await writer.close()
    assert (len(client.uploads), len(session.trash)) == (3, 2)
    await session.discard(store)
    assert client.uploads == {}


async def test_a_remainder_is_a_tail_and_comes_back_in_front(client: MemoryClient, store: BlobStore) -> None:
    """At the end of a request the bytes below a part are an object of their own; the next part begins with them."""
    session = MemorySession()
    payload = _payload(4 * _PART)
    sent = 0
    for size in (1300, 1, 600, 800, 1299):
        writer, journal = await session.open(store)
        await _append(writer, payload[sent : sent + size])
        sent += size
        checkpoint = await writer.sync()
        assert checkpoint.offset == sent
        await journal.advance(checkpoint)
        await writer.close()
        assert len(session.helpers) == (1 if sent % _PART else 0)
    writer, journal = await session.open(store)
    await journal.advance(await writer.seal())
    await writer.finish()
    await writer.close()
    assert await content(store, session.key) == payload
    await session.sweep(store)
    assert [stored.key for stored in await entries(store)] == [session.key]
    assert client.uploads == {}


async def test_a_checkpoint_names_only_what_has_arrived(client: MemoryClient, store: BlobStore) -> None:
    """In the middle of a stream it lies at the end of a part, and a part that is on its way doesn't count."""
    session = MemorySession()
    writer = await store.create(session.key, session.claim())
    gate = asyncio.Event()
    client.fail(Fault(Call.PART, skip=1, gate=gate))
    await _append(writer, _payload(2 * _PART + 5))
    await asyncio.sleep(0.01)
    assert (await writer.checkpoint()).offset == _PART
    gate.set()
    assert (await writer.sync()).offset == 2 * _PART + 5
    await writer.close()


async def test_a_checkpoint_waits_for_what_is_old(client: MemoryClient) -> None:
    """More than 64 MiB are never at risk: the checkpoint waits for the parts on their way."""
    store = PartsStore(client, sizes=PartSizes(uniform=40 * MEBIBYTE))
    session = MemorySession()
    writer = await store.create(session.key, session.claim())
    gate = asyncio.Event()
    client.fail(Fault(Call.PART, gate=gate))
    await _append(writer, bytes(100 * MEBIBYTE))
    waiting = asyncio.ensure_future(writer.checkpoint())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    gate.set()
    assert (await waiting).offset >= 40 * MEBIBYTE
    await writer.close()
    await store.close()


async def test_two_parts_are_on_their_way_at_most(client: MemoryClient) -> None:
    """A writer holds back when two parts are on their way, and all writers together within the budget."""
    store = PartsStore(client, sizes=PartSizes(uniform=_PART), in_flight_bytes=3 * _PART)
    gate = asyncio.Event()
    for _ in range(4):
        client.fail(Fault(Call.PART, gate=gate))
    sessions = [MemorySession() for _ in range(2)]
    writers = [await store.create(session.key, session.claim()) for session in sessions]
    appending = [asyncio.ensure_future(_append(writer, _payload(5 * _PART))) for writer in writers]
    for _ in range(500):
        if client.in_parts >= 3 * _PART:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    assert not any(task.done() for task in appending)
    assert client.in_parts == 3 * _PART
    gate.set()
    await asyncio.gather(*appending)
    for writer, session in zip(writers, sessions, strict=True):
        session.keep(await writer.seal())
        await writer.finish()
        await writer.close()
        assert await content(store, session.key) == _payload(5 * _PART)
    await store.close()


async def test_takeover_meets_zombie(client: MemoryClient, store: BlobStore) -> None:
    """Parts of a request that was thought dead, arriving late, are not in the object and don't break it."""
    session = MemorySession()
    payload = _payload(5 * _PART + 7)
    zombie = await store.create(session.key, session.claim())
    await _append(zombie, payload[: 2 * _PART])
    session.keep(await zombie.sync())
    gate = asyncio.Event()
    client.fail(Fault(Call.PART, gate=gate))
    await _append(zombie, b"x" * _PART)
    await asyncio.sleep(0.01)
    writer, journal = await session.open(store, contested=True)
    await _append(writer, payload[2 * _PART :])
    gate.set()
    await expect_error(StoreUnavailable, _append_and_sync(zombie))
    await zombie.close()
    await journal.advance(await writer.seal())
    await writer.finish()
    await writer.close()
    assert await content(store, session.key) == payload


async def _append_and_sync(writer: BlobWriter) -> None:
    await _append(writer, b"y")
    await writer.sync()


async def test_each_takeover_leaps(client: MemoryClient, store: BlobStore) -> None:
    """Of two requests that took over one after the other, the second doesn't reuse the numbers of the first."""
    session = MemorySession()
    writer = await store.create(session.key, session.claim())
    await _append(writer, _payload(_PART))
    session.keep(await writer.sync())
    for _ in range(2):
        later, _ = await session.open(store, contested=True)
        await _append(later, _payload(_PART))
        await asyncio.sleep(0.01)
        await later.close()
    ((_, parts),) = client.uploads.items()
    assert sorted(parts) == [1, 66, 130]
    await writer.close()


async def test_a_small_object_is_left_to_its_zombie(client: MemoryClient, store: BlobStore) -> None:
    """A late PUT of a request that was thought dead strikes a key that nobody uses any more."""
    session = MemorySession()
    stale = session.key
    zombie = await store.create(session.key, session.claim())
    await _append(zombie, b"zombie")
    gate = asyncio.Event()
    client.fail(Fault(Call.PUT, gate=gate))
    late = asyncio.ensure_future(zombie.sync())
    await asyncio.sleep(0)
    writer, journal = await session.open(store, contested=True)
    await _append(writer, b"living")
    await journal.advance(await writer.sync())
    gate.set()
    await late
    await zombie.close()
    await writer.close()
    assert await content(store, session.key) == b"living"
    assert session.trash == {stale: False}


async def test_a_cancelled_put_is_seen_to_its_end(client: MemoryClient, store: BlobStore) -> None:
    """A PUT that was sent may strike at any time, so a cancelled sync returns only when it has; then the row holds."""
    session = MemorySession()
    writer = await store.create(session.key, session.claim())
    await _append(writer, b"cut off")
    gate = asyncio.Event()
    client.fail(Fault(Call.PUT, gate=gate))
    syncing = asyncio.ensure_future(writer.sync())
    await asyncio.sleep(0)
    syncing.cancel()
    await asyncio.sleep(0.01)
    assert not syncing.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await syncing
    await expect_error(StoreUnavailable, writer.sync())
    await writer.close()
    writer, journal = await session.open(store)
    await _append(writer, b"again")
    await journal.advance(await writer.sync())
    await writer.close()
    assert await content(store, session.key) == b"again"


async def test_a_failed_part_ends_the_writer(client: MemoryClient, store: BlobStore) -> None:
    """What happens to a part in the background is told by the next step, and nothing goes on after `close`."""
    session = MemorySession()
    writer = await store.create(session.key, session.claim())
    client.fail(Fault(Call.PART, StoreUnavailable("The part was refused. Try again.")))
    with suppress(StoreUnavailable):
        await _append(writer, _payload(_PART))
    await expect_error(StoreUnavailable, writer.sync())
    await expect_error(StoreUnavailable, writer.checkpoint())
    await writer.close()
    await writer.close()
    await session.discard(store)
    assert client.uploads == {}
    assert client.objects == {}


async def test_a_completion_whose_answer_is_lost_is_one(client: MemoryClient, store: BlobStore) -> None:
    """Killed after the store completed, the next owner finds the upload gone and the object whole, and goes on."""
    session = MemorySession()
    journal = session.claim()
    writer = await store.create(session.key, journal)
    await _append(writer, _payload(2 * _PART))
    await journal.advance(await writer.seal())
    client.fail(Fault(Call.COMPLETE, StoreUnavailable("The answer is lost. Try again."), done=True))
    await expect_error(StoreUnavailable, writer.finish())
    await writer.close()
    writer, _ = await session.open(store, contested=True)
    assert await writer.seal() == session.recorded
    await writer.finish()
    await expect_error(StoreUnavailable, _append(writer, b"more"))
    await writer.close()
    assert await content(store, session.key) == _payload(2 * _PART)


async def test_an_upload_that_somebody_aborted_fails(client: MemoryClient, store: BlobStore) -> None:
    """Without the upload and without the object there is nothing to finish."""
    session = MemorySession()
    journal = session.claim()
    writer = await store.create(session.key, journal)
    await _append(writer, _payload(2 * _PART))
    await journal.advance(await writer.seal())
    await client.abort_all(str(session.key))
    await expect_error(UploadMissing, writer.finish())
    await writer.close()


async def test_a_tail_that_is_gone_is_missing(client: MemoryClient, store: BlobStore) -> None:
    """When somebody deleted the remainder, the writer says so instead of leaving a hole."""
    session = MemorySession()
    journal = session.claim()
    writer = await store.create(session.key, journal)
    await _append(writer, _payload(_PART + 1))
    await journal.advance(await writer.sync())
    await writer.close()
    await store.delete(list(session.helpers))
    writer, _ = await session.open(store)
    await expect_error(ObjectMissing, _append(writer, b"more"))
    await writer.close()


async def test_smaller_parts_than_before_still_fit(client: MemoryClient) -> None:
    """An upload that was begun with larger parts goes on with the setting of today."""
    session = MemorySession()
    payload = _payload(5000)
    for uniform, start, end in ((_PART, 0, 999), (400, 999, 999), (300, 999, 5000)):
        store = PartsStore(client, sizes=PartSizes(uniform=uniform))
        writer, journal = await session.open(store)
        if start < end:
            await _append(writer, payload[start:end])
        await journal.advance(await writer.sync())
        await writer.close()
    writer, journal = await session.open(store)
    await journal.advance(await writer.seal())
    await writer.finish()
    await writer.close()
    assert await content(store, session.key) == payload


async def test_beyond_the_last_part_the_blob_is_too_large(client: MemoryClient) -> None:
    """The ten thousandth part is the last one, and what comes behind it is refused with the limit."""
    store = PartsStore(client, sizes=PartSizes(uniform=10))
    key = ObjectKey.fresh()
    upload = await client.begin(str(key))
    state = State(
        begun=True, upload=upload, parts=(await client.put_part(str(key), upload, 1, bytes(10)),), next=MOST_PARTS
    )
    writer = await store.resume(key, 10, state.checkpoint().state, MemorySession().claim())
    await _append(writer, bytes(10))
    error = await expect_error(PayloadTooLarge, _append(writer, b"x"))
    assert "100,000 bytes" in error.message
    await writer.close()
    await store.close()


def test_growing_parts_reach_478_gigabytes() -> None:
    """8 MiB up to part 1,000, 32 MiB up to 5,000, then 64 MiB."""
    sizes = PartSizes()
    assert [sizes.of(number) // MEBIBYTE for number in (1, 1000, 1001, 5000, 5001, 10_000)] == [8, 8, 32, 32, 64, 64]
    assert sizes.limit == (1000 * 8 + 4000 * 32 + 5000 * 64) * MEBIBYTE == 478_150_656_000
    with pytest.raises(PayloadTooLarge):
        sizes.of(10_001)


@pytest.mark.parametrize(
    "state",
    ["", "[]", '{"next": "x"}', '{"tail": "no key", "tail_size": 5}', '{"begun": true}', '{"upload": "u"}'],
)
async def test_a_state_that_is_none_of_ours_names_the_key(store: BlobStore, state: str) -> None:
    """What can't be read, or tells of other bytes than the row, is refused with the key."""
    key = ObjectKey.fresh()
    error = await expect_error(StoreUnavailable, store.resume(key, 5, state))
    assert str(key) in error.message


async def test_what_is_sent_whole_is_not_copied_and_counts(client: MemoryClient) -> None:
    """Small objects and tails go out as they were gathered, and all that is on its way together stays below the limit."""
    store = PartsStore(client, sizes=PartSizes(uniform=_PART), in_flight_bytes=1000)
    gate = asyncio.Event()
    for _ in range(5):
        client.fail(Fault(Call.PUT, gate=gate))
    sessions = [MemorySession() for _ in range(5)]
    writers = [await store.create(session.key, session.claim()) for session in sessions]
    for number, writer in enumerate(writers):
        await _append(writer, _payload(400 if number < 4 else _PART + 400))
    syncing = [asyncio.ensure_future(writer.sync()) for writer in writers]
    await asyncio.sleep(0.05)
    assert len(_asked(client, Call.PUT)) == 2
    gate.set()
    await asyncio.gather(*syncing)
    assert len(_asked(client, Call.PUT)) == 5
    assert set(client.kinds) == {bytearray}
    for writer in writers:
        await writer.close()
    await store.close()


async def test_what_was_sent_stays_as_it_was() -> None:
    """More may be appended while a connection that was given up still holds on to what was sent."""
    gathering = Gathering(PartSizes(uniform=_PART), 1)
    gathering.add([b"first"])
    with memoryview(gathering.lend()) as held:
        assert gathering.add([b"second"]) == []
        assert bytes(held) == b"first"
    assert gathering.lend() == b"firstsecond"
    assert gathering.cut() == (1, bytearray(b"firstsecond"))
