# SPDX-License-Identifier: Apache-2.0
"""What becomes of an upload when the store, the database or the request fails at any step of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from longshore.database.connection import Connection, Database, Dialect, ReadFunction, Result, Row, WriteFunction
from longshore.database.sqlite import SQLiteDatabase
from longshore.database.statement import Statement
from longshore.oci.digest import Algorithm, Digest, Hasher
from longshore.oci.errors import (
    BlobUploadUnknown,
    DigestInvalid,
    LongshoreError,
    ServiceUnavailable,
    SizeInvalid,
    StorageFull,
)
from longshore.oci.names import ProjectName
from longshore.oci.ranges import ContentRange
from longshore.projects.service import ProjectService
from longshore.registry.blobs import Blobs
from longshore.registry.periods import Periods
from longshore.registry.reception import to_the_end
from longshore.registry.uploads import Uploads
from longshore.storage.memory import Fault, MemoryStore, MemoryWriter, Step
from longshore.storage.port import NO_STATE, Journal, ObjectKey, StoreUnavailable
from tests.databases import sqlite_database
from tests.integration.distribution.asgi import pieces
from tests.integrity import assert_integrity

PATH = "app"
BIG = b"0123456789abcdef" * 65_536  # one piece that goes to the store by itself
PAYLOAD = BIG + b"tail"
DIGEST = Digest.of(PAYLOAD)


class GoneError(Exception):
    """What the edge raises when the client has gone."""


class FailingDatabase:
    """A database whose next writes may be refused as if it were away."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.refuse: list[bool] = []

    @property
    def dialect(self) -> Dialect:
        return self.inner.dialect

    def read(self, function: ReadFunction[Result]) -> Awaitable[Result]:
        return self.inner.read(function)

    def one(self, statement: Statement, **parameters: Any) -> Awaitable[Row | None]:
        return self.inner.one(statement, **parameters)

    async def write(self, function: WriteFunction[Result]) -> Result:
        if self.refuse and self.refuse.pop(0):
            raise ServiceUnavailable("The database is away.")
        return await self.inner.write(function)

    async def close(self) -> None:
        await self.inner.close()


class StickyStore(MemoryStore):
    """A store whose writers get stuck as long as there is an event to tell it by."""

    stuck: asyncio.Event | None = None

    async def resume(
        self,
        key: ObjectKey,
        offset: int,
        state: str = NO_STATE,
        journal: Journal | None = None,
        *,
        contested: bool = False,
    ) -> MemoryWriter:
        writer = await super().resume(key, offset, state, journal, contested=contested)
        return writer if self.stuck is None else StuckWriter(self, key, writer._content, self.stuck)


class StuckWriter(MemoryWriter):
    """Never ends to append."""

    def __init__(self, store: MemoryStore, key: ObjectKey, content: bytearray, stuck: asyncio.Event) -> None:
        super().__init__(store, key, content)
        self._stuck = stuck

    async def append(self, pieces: Sequence[bytes], hasher: Hasher) -> None:
        del pieces, hasher
        self._go_on()
        self._stuck.set()
        await asyncio.Event().wait()


class Desk:
    """Uploads of one process over a store and a database that fail on demand."""

    def __init__(self, database: FailingDatabase, store: StickyStore, project_id: int) -> None:
        self.database = database
        self.store = store
        self.project_id = project_id
        self.periods = Periods()
        self.uploads = self.process()

    def process(self, periods: Periods | None = None) -> Uploads:
        """Another process."""
        chosen = periods or self.periods
        return Uploads(self.database, self.store, Blobs(self.database, chosen), chosen)

    async def start(self) -> str:
        return (await self.uploads.start(self.project_id, PATH)).id

    async def patch(
        self, session: str, *parts: bytes, content_range: ContentRange | None = None, uploads: Uploads | None = None
    ) -> int:
        used = uploads or self.uploads
        body = pieces(*parts)
        return (await used.receive(self.project_id, PATH, session, body, content_range=content_range)).received

    async def put(self, session: str, *parts: bytes, digest: Digest = DIGEST, uploads: Uploads | None = None) -> None:
        await (uploads or self.uploads).finish(self.project_id, PATH, session, digest, pieces(*parts))

    async def received(self, session: str) -> int:
        return (await self.uploads.status(self.project_id, PATH, session)).received

    async def rows(self, text: str) -> list[Row]:
        statement = Statement(text)

        async def read(connection: Connection) -> list[Row]:
            return await connection.all(statement)

        return await self.database.read(read)

    async def state(self) -> str | None:
        """The state of the only session; None when there is none."""
        rows = await self.rows("SELECT state FROM upload_sessions")
        return rows[0][0] if rows else None

    async def key(self) -> ObjectKey:
        return ObjectKey((await self.rows("SELECT key FROM upload_keys WHERE role = 'body'"))[0][0])

    async def is_over(self, session: str) -> None:
        """Nothing is left of the upload but what waits in the trash."""
        assert await self.rows("SELECT 1 FROM upload_sessions UNION ALL SELECT 1 FROM upload_keys") == []
        with pytest.raises(BlobUploadUnknown):
            await self.received(session)

    async def is_done(self, *parts: bytes, session: str) -> None:
        """A PUT with what is still missing makes it a blob, without waiting for anybody to lapse."""
        async with asyncio.timeout(5):
            await self.put(session, *parts)
        blob = await Blobs(self.database, self.periods).find(self.project_id, PATH, DIGEST)
        assert await self.content(blob.key) == PAYLOAD

    async def content(self, key: ObjectKey) -> bytes:
        reader = await self.store.open(key)
        return await reader.read(0, reader.size)


@pytest_asyncio.fixture
async def desk(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    """The steps are the same on every database, so one will do; the store is in memory."""
    database = FailingDatabase(SQLiteDatabase(sqlite_database(sqlite_template, tmp_path).path or tmp_path))
    store = StickyStore()
    project_id = await ProjectService(database).create(ProjectName("demo"), owner_id=None)
    yield Desk(database, store, project_id)
    database.refuse.clear()
    await assert_integrity(database, store)
    await database.close()


@pytest.mark.parametrize("error", [StoreUnavailable("broken"), StorageFull("full")], ids=["broken", "full"])
@pytest.mark.parametrize("step", [Step.APPEND, Step.SYNC])
async def test_store_error_while_receiving_ends_the_upload(desk: Desk, step: Step, error: LongshoreError) -> None:
    """After a failed write or sync the object's content is unknown: the upload is over, its key in the trash."""
    for send in (desk.patch, desk.put):
        session = await desk.start()
        desk.store.fail(Fault(step, error))
        with pytest.raises(type(error)):
            await send(session, PAYLOAD)
        await desk.is_over(session)
    assert len(await desk.rows("SELECT 1 FROM trash")) == 2


@pytest.mark.parametrize("step", [Step.CREATE, Step.RESUME])
async def test_store_error_before_a_byte_leaves_the_upload_as_it_was(desk: Desk, step: Step) -> None:
    """An object that can't be opened has lost nothing: the next request goes on at once."""
    session = await desk.start()
    if step is Step.RESUME:
        await desk.patch(session, BIG)
    for send in (desk.patch, desk.put):
        desk.store.fail(Fault(step, StoreUnavailable("broken")))
        with pytest.raises(StoreUnavailable):
            await send(session, PAYLOAD[await desk.received(session) :])
        assert await desk.state() == "open"
    await desk.is_done(PAYLOAD[await desk.received(session) :], session=session)


async def test_store_error_while_reading_again_ends_the_upload(desk: Desk) -> None:
    """What can't be read can't be hashed, so it can't become a blob."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD)
    desk.store.fail(Fault(Step.READ, StoreUnavailable("broken")))
    with pytest.raises(StoreUnavailable):
        await desk.put(session, digest=Digest.of(PAYLOAD, Algorithm.SHA512))
    await desk.is_over(session)


@pytest.mark.parametrize("writes", range(3))
async def test_database_away_during_a_patch(desk: Desk, writes: int) -> None:
    """While the database is away the request fails; what it brought is kept, or at least nothing before it is lost."""
    session = await desk.start()
    await desk.patch(session, BIG[:100])
    # The claim, the record at the end, and what is tried after that.
    desk.database.refuse = [False] * writes + [True]
    if writes < 2:
        with pytest.raises(ServiceUnavailable):
            await desk.patch(session, PAYLOAD[100:])
    else:
        await desk.patch(session, PAYLOAD[100:])
    desk.database.refuse.clear()
    assert await desk.state() == "open"
    await desk.is_done(PAYLOAD[await desk.received(session) :], session=session)


async def test_database_away_for_longer(desk: Desk) -> None:
    """When not even the end of the request can be recorded, its hold lapses, and the last record is where it goes on."""
    quick = desk.process(Periods(owner_lease=0))
    session = await desk.start()
    await desk.patch(session, BIG[:100])
    desk.database.refuse = [False, True, True]
    with pytest.raises(ServiceUnavailable):
        await desk.patch(session, PAYLOAD[100:], uploads=quick)
    assert await desk.state() == "receiving"
    assert await desk.received(session) == 100
    await desk.is_done(PAYLOAD[100:], session=session)


@pytest.mark.parametrize("chunked", [False, True])
async def test_database_away_at_the_commit(desk: Desk, chunked: bool) -> None:
    """A PUT that the database couldn't take is taken when it is sent again, even without the bytes."""
    session = await desk.start()
    if chunked:
        await desk.patch(session, PAYLOAD)
    desk.database.refuse = [False, True]
    with pytest.raises(ServiceUnavailable):
        await desk.put(session, *([] if chunked else [PAYLOAD]))
    assert await desk.state() == "open"
    assert await desk.received(session) == len(PAYLOAD)
    opened = len([step for step, _ in desk.store.steps if step is Step.OPEN])
    await desk.is_done(session=session)
    assert len([step for step, _ in desk.store.steps if step is Step.OPEN]) == opened + 1, "the test's own look"


async def test_client_gone_at_any_piece(desk: Desk) -> None:
    """Whatever arrived before the client went is there for the next request, down to the byte."""
    session = await desk.start()
    sizes = [1, 10, 1024 * 1024 - 11, 500, 3 * 1024 * 1024, 7]
    content = bytes(range(256)) * 20_000
    sent = 0
    for size in sizes:

        async def body(start: int = sent, size: int = size) -> AsyncIterator[bytes]:
            yield content[start : start + size // 2]
            yield content[start + size // 2 : start + size]
            raise GoneError

        with pytest.raises(GoneError):
            await desk.uploads.receive(desk.project_id, PATH, session, body())
        sent += size
        assert await desk.received(session) == sent
    digest = Digest.of(content[:sent])
    await desk.put(session, digest=digest)
    blob = await Blobs(desk.database, desk.periods).find(desk.project_id, PATH, digest)
    assert await desk.content(blob.key) == content[:sent]


async def test_client_gone_after_more_than_it_announced(desk: Desk) -> None:
    """Bytes beyond the announced range are not kept, also when the client goes before that is noticed."""
    session = await desk.start()

    async def body() -> AsyncIterator[bytes]:
        yield b"12345"
        raise GoneError

    with pytest.raises(GoneError):
        await desk.uploads.receive(desk.project_id, PATH, session, body(), content_range=ContentRange(0, 2))
    assert await desk.received(session) == 0
    await desk.is_done(PAYLOAD, session=session)


@pytest.mark.parametrize("cancellations", [1, 3])
@pytest.mark.parametrize("last", [False, True], ids=["patch", "put"])
async def test_cancelled_while_the_client_sends(desk: Desk, last: bool, cancellations: int) -> None:
    """A server that stops keeps what arrived, however often it cancels."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD[:100])
    begun = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield PAYLOAD[100:300]
        begun.set()
        await asyncio.Event().wait()

    async def send() -> None:
        if last:
            await desk.uploads.finish(desk.project_id, PATH, session, DIGEST, body())
        else:
            await desk.uploads.receive(desk.project_id, PATH, session, body())

    task = asyncio.create_task(send())
    await begun.wait()
    for _ in range(cancellations):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await desk.state() == "open"
    assert await desk.received(session) == 300
    await desk.is_done(PAYLOAD[300:], session=session)


async def test_cancelled_while_the_store_writes(desk: Desk) -> None:
    """A write that was cut off leaves the upload at its last record, free for the next request."""
    session = await desk.start()
    await desk.patch(session, PAYLOAD[:100])
    desk.store.stuck = stuck = asyncio.Event()
    task = asyncio.create_task(desk.patch(session, PAYLOAD[100:]))
    await stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    desk.store.stuck = None
    assert await desk.state() == "open"
    assert await desk.received(session) == 100
    await desk.is_done(PAYLOAD[100:], session=session)


async def _abandon(desk: Desk, session: str) -> ObjectKey:
    """A request of a process that died holds the session; its lease is over."""
    dead = desk.process(Periods(owner_lease=0))
    await desk.patch(session, PAYLOAD[:1000])
    desk.database.refuse = [False, True, True]
    with suppress(ServiceUnavailable):
        await desk.patch(session, PAYLOAD[1000:1010], uploads=dead)
    return await desk.key()


@pytest.mark.parametrize("step", [Step.CREATE, Step.OPEN, Step.READ, Step.APPEND, Step.SYNC])
async def test_failed_takeover_hands_nothing_to_a_zombie(desk: Desk, step: Step) -> None:
    """A takeover that fails leaves the upload abandoned: nobody ever writes to the old object again."""
    session = await desk.start()
    old = await _abandon(desk, session)
    desk.store.fail(Fault(step, StoreUnavailable("broken")))
    with pytest.raises(StoreUnavailable):
        await desk.patch(session, PAYLOAD[1000:])
    assert await desk.state() == "receiving"
    assert await desk.received(session) == 1000
    assert await desk.patch(session, PAYLOAD[1000:]) == len(PAYLOAD)
    assert await desk.key() != old
    await desk.is_done(session=session)
    assert old in {ObjectKey(row[0]) for row in await desk.rows("SELECT key FROM trash")}


async def test_refused_chunk_of_an_abandoned_upload_hands_nothing_to_a_zombie(desk: Desk) -> None:
    """A chunk out of order takes nothing over and frees nothing; one of another length is undone after the takeover."""
    session = await desk.start()
    old = await _abandon(desk, session)
    with pytest.raises(LongshoreError, match="begins at byte 5"):
        await desk.patch(session, b"x", content_range=ContentRange(5, 5))
    assert await desk.state() == "receiving"
    with pytest.raises(SizeInvalid):
        await desk.patch(session, b"x", content_range=ContentRange(1000, 1010))
    assert await desk.state() == "open"
    assert await desk.key() != old
    assert await desk.received(session) == 1000
    await desk.is_done(PAYLOAD[1000:], session=session)


async def test_takeover_at_the_put(desk: Desk) -> None:
    """A PUT may take over too, in whatever algorithm it announces, and even when all bytes were recorded."""
    for algorithm in Algorithm:
        session = await desk.start()
        await _abandon(desk, session)
        digest = Digest.of(PAYLOAD[:1000], algorithm)
        await desk.put(session, digest=digest)
        blob = await Blobs(desk.database, desk.periods).find(desk.project_id, PATH, digest)
        assert await desk.content(blob.key) == PAYLOAD[:1000]


async def test_wrong_digest_ends_the_upload(desk: Desk) -> None:
    """Bytes that aren't what the digest names are thrown away, and can't be tried under another name."""
    session = await desk.start()
    with pytest.raises(DigestInvalid, match="have the digest sha256:"):
        await desk.put(session, b"other bytes")
    await desk.is_over(session)


async def test_many_tiny_pieces_are_gathered(desk: Desk) -> None:
    """Bytes that come one by one go to the store in batches, of which none waits for a whole MiB."""
    session = await desk.start()
    await desk.patch(session, *(b"x" for _ in range(2000)))
    assert 2 <= len([step for step, _ in desk.store.steps if step is Step.APPEND]) <= 8
    assert await desk.received(session) == 2000


async def test_to_the_end_ends_before_the_cancellation_goes_on() -> None:
    """Clean-up that is cancelled is finished first, and what it raises doesn't replace the cancellation."""
    done = []

    async def work(fail: bool) -> str:
        await asyncio.sleep(0.02)
        done.append(fail)
        if fail:
            raise StoreUnavailable("broken")
        return "result"

    assert await to_the_end(work(False)) == "result"
    with pytest.raises(StoreUnavailable):
        await to_the_end(work(True))
    for fail in (False, True):
        task = asyncio.create_task(to_the_end(work(fail)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert done == [False, True, False, True]
