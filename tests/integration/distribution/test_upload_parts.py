# SPDX-License-Identifier: Apache-2.0
"""Uploads to a store that takes parts: what is recorded, what a crash or a fault at any step leaves, and who goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from longshore.database.sqlite import SQLiteDatabase
from longshore.database.statement import Statement
from longshore.oci.digest import Algorithm, Digest
from longshore.oci.errors import BlobUploadUnknown, DigestInvalid, LongshoreError, ServiceUnavailable, SizeInvalid
from longshore.oci.names import ProjectName
from longshore.oci.ranges import ContentRange
from longshore.projects.service import ProjectService
from longshore.registry import reception
from longshore.registry.expiry import Expire
from longshore.registry.periods import Periods
from longshore.registry.sweep import Sweep
from longshore.storage.parts.memory import Call, Fault, MemoryClient
from longshore.storage.parts.sizes import PartSizes
from longshore.storage.parts.store import PartsStore
from longshore.storage.port import NO_STATE, StoreUnavailable
from tests.databases import sqlite_database
from tests.integration.distribution.desk import PATH, Desk, FailingDatabase
from tests.integrity import assert_integrity

PART = 1000
PAYLOAD = bytes(range(256)) * 41  # ten parts and a half


class PartsDesk(Desk[PartsStore]):
    """Uploads to an object store in memory."""

    client: MemoryClient

    def calls(self, kind: Call) -> int:
        """How often the store was asked for that."""
        return sum(call is kind for call, _ in self.client.calls)

    async def lapse(self) -> None:
        """The lease of whoever owns an upload is over."""
        await self.sql("UPDATE upload_sessions SET owner_until = 1 WHERE owner IS NOT NULL")

    async def sql(self, text: str) -> None:
        statement = Statement(text)
        await self.database.inner.write(lambda transaction: transaction.execute(statement))

    async def die(self, request: Awaitable[object], when: Fault) -> None:
        """Runs a request until its call meets a gate that never opens; then its process is gone without a word."""
        when.gate = asyncio.Event()
        self.client.fail(when)
        task = asyncio.ensure_future(request)
        while not self.client.is_waiting(when):
            assert not task.done(), "it never came to that call"
            await asyncio.sleep(0.001)
        # From here on nothing of it reaches the database.
        self.database.refuse = [True] * 50
        task.cancel()
        with suppress(asyncio.CancelledError, LongshoreError):
            await task
        self.database.refuse.clear()
        await self.lapse()


@pytest_asyncio.fixture
async def desk(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PartsDesk]:
    """Parts and records come often; at the end, everything that is left has an owner and can be swept."""
    monkeypatch.setattr(reception, "_PIECE", 500)
    monkeypatch.setattr(reception, "_RECORD_BYTES", 2500)
    database = FailingDatabase(SQLiteDatabase(sqlite_database(sqlite_template, tmp_path).path or tmp_path))
    client = MemoryClient()
    store = PartsStore(client, sizes=PartSizes(uniform=PART))
    project_id = await ProjectService(database).create(ProjectName("demo"), owner_id=None)
    desk = PartsDesk(database, store, project_id, PAYLOAD)
    desk.client = client
    yield desk
    database.refuse.clear()
    await assert_integrity(database, store)
    await desk.lapse()
    await desk.sql("UPDATE upload_sessions SET expires_at = 1")
    await Expire(database, desk.periods).run(100)
    for _ in range(2):
        await desk.sql("UPDATE trash SET purge_after = 1")
        await Sweep(database, store, desk.periods).run(1000)
    kept = {row[0] for row in await desk.rows("SELECT key FROM blobs")}
    assert set(client.objects) == kept, "objects that nobody owns"
    assert not client.uploads, "parts that nobody will ever complete or abort"
    await store.close()
    await database.close()


async def test_a_stream_and_an_empty_put_make_one_object_without_a_copy(desk: PartsDesk) -> None:
    """What docker sends: one long PATCH, then a PUT; the bytes are never read again, and completed once."""
    session = await desk.start()
    assert await desk.patch(session, *(PAYLOAD[at : at + 700] for at in range(0, len(PAYLOAD), 700))) == len(PAYLOAD)
    chunks = desk.calls(Call.CHUNK)
    await desk.put(session)
    # The remainder of the PATCH is read back to become the last part, nothing else.
    assert desk.calls(Call.CHUNK) - chunks == 1
    assert desk.calls(Call.COMPLETE) == 1
    assert desk.calls(Call.PUT) == 1, "the tail"
    assert await desk.blob() == PAYLOAD
    assert await desk.rows("SELECT key FROM upload_keys") == []
    assert len(await desk.rows("SELECT key FROM trash")) == 1


async def test_a_small_blob_is_one_request(desk: PartsDesk) -> None:
    """A PATCH stores it whole under its key, and the PUT asks the store for nothing."""
    small = PAYLOAD[:PART]
    session = await desk.start()
    await desk.patch(session, small[:-1])
    calls = len(desk.client.calls)
    assert await desk.uploads.finish_received(desk.project_id, PATH, session, Digest.of(small[:-1]))
    assert len(desk.client.calls) == calls
    assert [call for call, _ in desk.client.calls] == [Call.PUT]


async def test_an_upload_in_parts_is_not_done_by_its_last_patch(desk: PartsDesk) -> None:
    """Parts are no object yet: the short way of a PUT without a body isn't taken for them."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    assert not await desk.uploads.finish_received(desk.project_id, PATH, session, desk.digest)
    await desk.put(session)
    assert await desk.blob() == PAYLOAD


async def test_many_patches_of_any_size(desk: PartsDesk) -> None:
    """Chunks below, at and above the part size, by two processes in turns."""
    session, other = await desk.start(), desk.process()
    at = 0
    for number, size in enumerate((1, 998, 1, 1000, 0, 2500, 1, 1, 4000, 1994)):
        uploads = other if number % 2 else desk.uploads
        assert await desk.patch(session, PAYLOAD[at : at + size], uploads=uploads) == at + size
        at += size
    assert at == len(PAYLOAD)
    await desk.put(session)
    assert await desk.blob() == PAYLOAD
    assert desk.calls(Call.COMPLETE) == 1


async def test_the_last_bytes_come_with_the_put(desk: PartsDesk) -> None:
    """A PUT with a body seals what it brings together with what was there."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD[:2300])
    await desk.put(session, PAYLOAD[2300:])
    assert await desk.blob() == PAYLOAD


@pytest.mark.parametrize("hops", [False, True])
async def test_another_algorithm_at_the_put_reads_once(desk: PartsDesk, hops: bool) -> None:
    """No hash covers sha512 when it is announced at the end: the finished object is read once, and no more."""
    session, digest = await desk.start(), Digest.of(PAYLOAD, Algorithm.SHA512)
    await desk.patch(session, PAYLOAD)
    uploads = desk.process() if hops else desk.uploads
    gets = desk.calls(Call.GET)
    await desk.put(session, digest=digest, uploads=uploads)
    assert desk.calls(Call.GET) - gets == 2, "the tail and the object"
    assert await desk.blob(digest) == PAYLOAD


async def test_another_process_finishes_without_reading(desk: PartsDesk) -> None:
    """The digest of what is durable is in the row: whoever gets the PUT needs no second look at the bytes."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    gets = desk.calls(Call.GET)
    await desk.put(session, uploads=desk.process())
    assert desk.calls(Call.GET) - gets == 1, "the tail"


async def test_a_wrong_digest_is_found_before_there_is_an_object(desk: PartsDesk) -> None:
    """The store is never asked to make an object of bytes that are known to be wrong."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    with pytest.raises(DigestInvalid):
        await desk.put(session, digest=Digest.of(b"something else"))
    assert desk.calls(Call.COMPLETE) == 0
    await desk.is_over(session)


async def test_a_wrong_digest_of_another_algorithm_ends_the_upload(desk: PartsDesk) -> None:
    """Found only by reading: the object goes to the trash."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    with pytest.raises(DigestInvalid):
        await desk.put(session, digest=Digest.of(b"something else", Algorithm.SHA512))
    await desk.is_over(session)


KILLS = [
    Fault(Call.BEGIN),
    Fault(Call.BEGIN, done=True),
    Fault(Call.PART),
    Fault(Call.PART, skip=4),
    Fault(Call.PUT),
    Fault(Call.PUT, done=True),
]


@pytest.mark.parametrize("when", KILLS, ids=lambda fault: f"{fault.call.value}-{fault.skip}{'-done' * fault.done}")
async def test_a_process_killed_while_it_receives(desk: PartsDesk, when: Fault) -> None:
    """At any call to the store: another process goes on from the last record, under other numbers or another key."""
    session = await desk.start()
    await desk.die(desk.patch(session, PAYLOAD[:9300]), Fault(when.call, skip=when.skip, done=when.done))
    other = desk.process()
    received = await desk.received(session)
    assert received <= 9300
    await desk.patch(session, PAYLOAD[received:9900], uploads=other)
    await desk.put(session, PAYLOAD[9900:], uploads=other)
    assert await desk.blob() == PAYLOAD


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_a_process_killed_while_the_store_completes(desk: PartsDesk, done: bool) -> None:
    """The sealed parts and the digest are in the row: the next PUT completes, or finds it done, and reads nothing."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    await desk.die(desk.put(session), Fault(Call.COMPLETE, done=done))
    gets = desk.calls(Call.GET)
    await desk.put(session, uploads=desk.process())
    assert desk.calls(Call.GET) == gets
    assert await desk.blob() == PAYLOAD


async def test_a_completed_upload_takes_no_other_digest(desk: PartsDesk) -> None:
    """After a kill between completion and commit, a PUT of another digest is refused, and ends the upload."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    await desk.die(desk.put(session), Fault(Call.COMPLETE, done=True))
    with pytest.raises(DigestInvalid):
        await desk.put(session, digest=Digest.of(b"other", Algorithm.SHA512))
    await desk.is_over(session)


async def test_a_sealed_upload_takes_no_more_bytes(desk: PartsDesk) -> None:
    """A PATCH after a PUT that got as far as its completion is refused; the PUT may still be retried."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    await desk.die(desk.put(session), Fault(Call.COMPLETE))
    with pytest.raises(StoreUnavailable, match="takes no more"):
        await desk.patch(session, b"more")
    await desk.put(session)
    assert await desk.blob() == PAYLOAD


async def _in_two_steps(desk: PartsDesk, session: str) -> None:
    await desk.patch(session, PAYLOAD[300:])
    await desk.put(session)


@pytest.mark.parametrize("call", [Call.BEGIN, Call.PART, Call.PUT, Call.COMPLETE])
async def test_a_store_that_fails_costs_no_recorded_byte(desk: PartsDesk, call: Call) -> None:
    """The request fails, what was recorded stays, and the next one goes on there."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD[:300])
    desk.client.fail(Fault(call, StoreUnavailable("The store is away.")))
    with pytest.raises(StoreUnavailable):
        await _in_two_steps(desk, session)
    received = await desk.received(session)
    assert received >= 300
    await desk.put(session, PAYLOAD[received:])
    assert await desk.blob() == PAYLOAD


async def test_a_lost_tail_ends_the_upload(desk: PartsDesk) -> None:
    """What the store has lost can't be gone on with."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    (row,) = await desk.rows("SELECT key FROM upload_keys WHERE role = 'tail'")
    await desk.client.delete([row[0]])
    with pytest.raises(ServiceUnavailable):
        await desk.put(session)
    await desk.is_over(session)


@pytest.mark.parametrize("writes", range(6))
async def test_the_database_away_at_any_write(desk: PartsDesk, writes: int) -> None:
    """While the database is away the request fails; nothing that was recorded before it is lost."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD[:300])
    desk.database.refuse = [False] * writes + [True]
    with suppress(ServiceUnavailable):
        await desk.patch(session, PAYLOAD[300:])
    desk.database.refuse.clear()
    await desk.lapse()
    received = await desk.received(session)
    assert received >= 300
    await desk.put(session, PAYLOAD[received:])
    assert await desk.blob() == PAYLOAD


async def test_zombie_in_the_middle_of_its_body(desk: PartsDesk) -> None:
    """A request that was overtaken notices at its next record, and nothing it sent is in the blob."""
    session, other = await desk.start(), desk.process()
    await desk.patch(session, PAYLOAD[:2300])

    async def body() -> AsyncIterator[bytes]:
        yield b"z" * 1200
        await desk.lapse()
        await desk.patch(session, PAYLOAD[2300:7000], uploads=other)
        for _ in range(9):
            yield b"z" * 700

    with pytest.raises(BlobUploadUnknown):
        await desk.uploads.receive(desk.project_id, PATH, session, body())
    await desk.put(session, PAYLOAD[7000:], uploads=other)
    assert await desk.blob() == PAYLOAD


async def test_a_part_of_a_zombie_lands_late(desk: PartsDesk) -> None:
    """A part that was on its way when its process died has a number that nobody else uses."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD[:2300])
    late = Fault(Call.PART)
    await desk.die(desk.patch(session, b"z" * 3000), late)
    path, upload = next(iter(desk.client.uploads))
    number = max(desk.client.uploads[path, upload]) + 1
    await desk.patch(session, PAYLOAD[2300:6000], uploads=desk.process())
    desk.client.uploads[path, upload][number] = b"z" * PART
    await desk.put(session, PAYLOAD[6000:])
    assert await desk.blob() == PAYLOAD


@pytest.mark.parametrize("size", [700, 1500])
async def test_a_chunk_of_another_length_is_undone(desk: PartsDesk, size: int) -> None:
    """A body that isn't as long as its range says leaves the upload as it was, also when it filled parts."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD[:1700])
    with pytest.raises(SizeInvalid):
        await desk.patch(session, b"z" * size, content_range=ContentRange(1700, 1700 + size))
    assert await desk.received(session) == 1700
    await desk.put(session, PAYLOAD[1700:])
    assert await desk.blob() == PAYLOAD


async def test_a_long_chunk_of_another_length_ends_the_upload(desk: PartsDesk) -> None:
    """Parts that were recorded on the way can't be taken back, and bytes of a wrong chunk are not kept."""
    session = await desk.start()
    with pytest.raises(SizeInvalid):
        await desk.patch(session, *[b"z" * 600] * 12, content_range=ContentRange(0, 8000))
    await desk.is_over(session)


async def test_a_client_that_goes_leaves_what_arrived(desk: PartsDesk) -> None:
    """Whatever arrived before the client went is there for the next request, down to the byte."""
    session, at = await desk.start(), 0
    for size in (1, 999, 1001, 2500):

        async def body(start: int = at, size: int = size) -> AsyncIterator[bytes]:
            yield PAYLOAD[start : start + size]
            raise ConnectionError

        with pytest.raises(ConnectionError):
            await desk.uploads.receive(desk.project_id, PATH, session, body())
        at += size
        assert await desk.received(session) == at
    await desk.put(session, PAYLOAD[at:])
    assert await desk.blob() == PAYLOAD


@pytest.mark.parametrize("call", [Call.PART, Call.PUT])
async def test_a_client_that_goes_while_the_store_fails_loses_nothing_recorded(desk: PartsDesk, call: Call) -> None:
    """Both come together: a store that is slow makes clients go. What was acknowledged before is there."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD[:5500])

    async def body() -> AsyncIterator[bytes]:
        desk.client.fail(Fault(call, StoreUnavailable("The store is away.")))
        yield PAYLOAD[5500:7200]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await desk.uploads.receive(desk.project_id, PATH, session, body())
    received = await desk.received(session)
    assert received >= 5500
    await desk.put(session, PAYLOAD[received:])
    assert await desk.blob() == PAYLOAD


async def test_parts_that_somebody_else_removed_end_the_upload(desk: PartsDesk) -> None:
    """A lifecycle rule or an operator aborted it: it is said once, and then there is no such upload."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    desk.client.uploads.clear()
    with pytest.raises(ServiceUnavailable, match="Start the upload again"):
        await desk.put(session)
    await desk.is_over(session)


async def test_an_upload_that_nobody_finishes_leaves_no_parts(desk: PartsDesk) -> None:
    """The rows say which keys have parts: the sweep aborts them, and asks no store for others."""
    for size in (500, 5500):
        session = await desk.start()
        await desk.patch(session, PAYLOAD[:size])
    assert len(desk.client.uploads) == 1
    await desk.sql("UPDATE upload_sessions SET expires_at = 1")
    await Expire(desk.database, desk.periods).run(10)
    await desk.sql("UPDATE trash SET purge_after = 1")
    await Sweep(desk.database, desk.store, desk.periods).run(10)
    assert desk.calls(Call.ABORT) == 1
    assert not desk.client.uploads
    assert not desk.client.objects


async def test_a_slow_completion_keeps_the_upload(desk: PartsDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store makes an object of many parts, the owner's lease is renewed: nobody takes over."""
    monkeypatch.setattr(reception, "_RECORD_SECONDS", 0.01)
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    slow = Fault(Call.COMPLETE, gate=asyncio.Event())
    desk.client.fail(slow)
    quick = desk.process(Periods(owner_lease=200_000))
    task = asyncio.create_task(desk.put(session, uploads=quick))
    await asyncio.sleep(0.5)
    retry = asyncio.create_task(desk.put(session))
    await asyncio.sleep(0.2)
    assert not retry.done()
    assert slow.gate is not None
    slow.gate.set()
    await task
    await retry
    assert desk.calls(Call.COMPLETE) == 1
    assert await desk.blob() == PAYLOAD


async def test_states_are_only_where_they_are_needed(desk: PartsDesk) -> None:
    """A row says nothing of the store while the object speaks for itself."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD[:10])
    assert [row[0] for row in await desk.rows("SELECT backend FROM upload_keys")] == [NO_STATE]
    await desk.patch(session, PAYLOAD[10:])
    states = {row[0]: row[1] for row in await desk.rows("SELECT role, backend FROM upload_keys")}
    assert states["tail"] == NO_STATE
    assert "parts" in states["body"]
    await desk.put(session)
