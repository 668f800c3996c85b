# SPDX-License-Identifier: Apache-2.0
"""The promises of the blob store port as tests that every adapter must pass.

An adapter's tests subclass ``BlobStoreConformance``, and ``UploadConformance`` of the module beside this one, and provide
a pytest fixture ``store`` that yields an open store from within ``leaving_nothing_behind``; every test deletes what it made.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import aclosing, asynccontextmanager

from longshore.oci.digest import Algorithm
from longshore.oci.errors import LongshoreError
from longshore.storage.port import (
    BlobReader,
    BlobStore,
    Checkpoint,
    FreeSpace,
    InstanceMark,
    ObjectExists,
    ObjectKey,
    ObjectMissing,
    OpenedStore,
    StoredObject,
    StoreUnavailable,
)
from longshore.storage.session import MemorySession

_MEBIBYTE = 1024 * 1024


@asynccontextmanager
async def leaving_nothing_behind(store: BlobStore) -> AsyncIterator[None]:
    """Raise ``AssertionError`` when objects are in the store at the end of the block."""
    yield
    left = await entries(store)
    expect(not left, f"objects were left behind: {left}")


def expect(condition: bool, otherwise: str) -> None:
    """Fail with a message; unlike ``assert`` it also works where Python optimises."""
    if not condition:
        raise AssertionError(otherwise)


async def expect_error(kind: type[LongshoreError], action: Awaitable[object]) -> LongshoreError:
    """Fail unless the action raises an error of that kind, with a message."""
    try:
        outcome = await action
    except kind as error:
        expect(len(error.message) > 0, f"{kind.__name__} came without a message")
        return error
    raise AssertionError(f"{kind.__name__} was expected, but it returned {outcome!r}")


async def entries(store: BlobStore) -> list[StoredObject]:
    """Return the whole listing."""
    async with aclosing(store.listing()) as listing:
        return [stored async for stored in listing]


async def write(store: BlobStore, key: ObjectKey, *pieces: bytes) -> str:
    """Write an object durably and return the hash that the writer's hasher saw."""
    hasher = Algorithm.SHA256.hasher()
    writer = await store.create(key)
    try:
        for piece in pieces:
            await writer.append([piece], hasher)
        await writer.sync()
    finally:
        await writer.close()
    return hasher.hexdigest()


async def content(store: BlobStore, key: ObjectKey) -> bytes:
    """Read an object whole."""
    reader = await store.open(key)
    try:
        return await reader.read(0, reader.size)
    finally:
        reader.close()


class BlobStoreConformance:
    """What an adapter's test class inherits."""

    async def test_an_object_reads_back_as_written(self, store: OpenedStore) -> None:
        """What was appended in pieces of any size is read back whole, and the hasher saw the same bytes."""
        key = ObjectKey.fresh()
        pieces = [b"", b"a", b"bc" * 40_000, b"", b"d" * (_MEBIBYTE + 1)]
        seen = await write(store, key, *pieces)
        expected = b"".join(pieces)
        expect(await content(store, key) == expected, "the bytes differ")
        expect(seen == hashlib.sha256(expected).hexdigest(), "the hasher saw other bytes")
        expect(await store.size(key) == len(expected), "the size differs")
        await store.delete([key])

    async def test_one_append_takes_many_pieces(self, store: OpenedStore) -> None:
        """Thousands of pieces in one append arrive in order, more than one system call takes."""
        key = ObjectKey.fresh()
        pieces = [bytes([number % 256]) * (number % 7) for number in range(5000)]
        writer = await store.create(key)
        hasher = Algorithm.SHA512.hasher()
        await writer.append(pieces, hasher)
        await writer.append([], hasher)
        expect(writer.offset == sum(map(len, pieces)), "the offset differs")
        await writer.sync()
        await writer.close()
        expect(await content(store, key) == b"".join(pieces), "the bytes differ")
        expect(hasher.hexdigest() == hashlib.sha512(b"".join(pieces)).hexdigest(), "the hasher saw other bytes")
        await store.delete([key])

    async def test_an_empty_object_is_an_object(self, store: OpenedStore) -> None:
        """An object without bytes has a size, a place in the listing, and reads as nothing."""
        key = ObjectKey.fresh()
        await write(store, key)
        expect(await store.size(key) == 0, "the size is not 0")
        reader = await store.open(key)
        expect(reader.size == 0 and await reader.read(0, 10) == b"", "it reads as something")
        expect(reader.read_cached(0, 10) == b"", "nothing needs no waiting")
        reader.close()
        expect([stored.key for stored in await entries(store)] == [key], "it isn't listed")
        await store.delete([key])

    async def test_a_key_is_written_once(self, store: OpenedStore) -> None:
        """Creating a key that is taken raises ``ObjectExists`` and leaves the object as it is, where a store can tell."""
        if not store.appends:
            return
        key = ObjectKey.fresh()
        await write(store, key, b"first")
        await expect_error(ObjectExists, store.create(key))
        expect(await content(store, key) == b"first", "the object was changed")
        await store.delete([key])

    async def test_of_concurrent_creators_one_wins(self, store: OpenedStore) -> None:
        """Of several tasks that create the same key at once, exactly one gets it, where a store can tell."""
        if not store.appends:
            return
        key = ObjectKey.fresh()
        outcomes = await asyncio.gather(*(store.create(key) for _ in range(8)), return_exceptions=True)
        writers = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        expect(len(writers) == 1, f"{len(writers)} got it")
        expect(sum(isinstance(outcome, ObjectExists) for outcome in outcomes) == 7, f"the others got {outcomes}")
        await writers[0].close()
        await store.delete([key])

    async def test_resume_continues_where_the_object_ends(self, store: OpenedStore) -> None:
        """A resumed writer begins at the offset and appends behind it."""
        session = MemorySession()
        await _add(store, session, b"one ")
        writer, journal = await session.open(store)
        expect(writer.offset == 4, "it begins elsewhere")
        await writer.append([b"two"], Algorithm.SHA256.hasher())
        expect(writer.offset == 7, "the offset did not move")
        await journal.advance(await writer.sync())
        await writer.close()
        expect(session.key == writer.key, "the session has another key")
        expect(await content(store, session.key) == b"one two", "the bytes differ")
        await session.discard(store)

    async def test_resume_drops_what_lies_beyond(self, store: OpenedStore) -> None:
        """Bytes behind the offset, which nobody was told about, are gone, also when nothing follows."""
        session = MemorySession()
        await _add(store, session, b"kept", b"dropped")
        for more, expected in ((b"", b"kept"), (b" and more", b"kept and more")):
            session.keep(Checkpoint(4))
            writer, journal = await session.open(store)
            await writer.append([more], Algorithm.SHA256.hasher())
            await journal.advance(await writer.sync())
            await writer.close()
            expect(await content(store, session.key) == expected, "they are still there")
        await session.discard(store)

    async def test_resume_of_what_is_not_there_fails(self, store: OpenedStore) -> None:
        """An absent object, and one shorter than the offset, raise ``ObjectMissing`` and are not made or padded."""
        key = ObjectKey.fresh()
        await expect_error(ObjectMissing, _resume_and_write(store, key, 1))
        expect(await store.size(key) is None, "it was made")
        await write(store, key, b"four")
        await expect_error(ObjectMissing, _resume_and_write(store, key, 5))
        expect(await content(store, key) == b"four", "it was changed")
        await store.delete([key])

    async def test_more_may_follow_a_sync(self, store: OpenedStore) -> None:
        """Syncing twice and appending after a sync are fine."""
        session = MemorySession()
        hasher = Algorithm.SHA256.hasher()
        journal = session.claim()
        writer = await store.create(session.key, journal)
        for piece in (b"a", b"b"):
            await writer.append([piece], hasher)
            await journal.advance(await writer.sync())
            await journal.advance(await writer.sync())
        await writer.close()
        expect(await content(store, session.key) == b"ab", "the bytes differ")
        await session.discard(store)

    async def test_a_closed_writer_writes_nothing(self, store: OpenedStore) -> None:
        """After ``close``, which may be called twice, ``append`` and ``sync`` raise ``StoreUnavailable``."""
        key = ObjectKey.fresh()
        writer = await store.create(key)
        await writer.close()
        await writer.close()
        await expect_error(StoreUnavailable, writer.append([b"late"], Algorithm.SHA256.hasher()))
        await expect_error(StoreUnavailable, writer.sync())
        expect(not await store.size(key), "something was written")
        await store.delete([key])

    async def test_a_cancelled_append_leaves_nobody_writing(self, store: OpenedStore) -> None:
        """A writer whose append was cancelled is finished or complete, and after ``close`` the object resumes."""
        for pause in (0, 0, 0.0005, 0.002):
            session = MemorySession()
            journal = session.claim()
            writer = await store.create(session.key, journal)
            await writer.append([b"kept"], Algorithm.SHA256.hasher())
            await journal.advance(await writer.sync())
            task = asyncio.create_task(writer.append([b"x" * _MEBIBYTE] * 8, Algorithm.SHA256.hasher()))
            await asyncio.sleep(pause)
            task.cancel()
            if (await asyncio.gather(task, return_exceptions=True))[0] is not None:
                await expect_error(StoreUnavailable, writer.sync())
            await writer.close()
            await _add(store, session, b" on")
            expect(await content(store, session.key) == b"kept on", "somebody wrote meanwhile")
            await session.discard(store)

    async def test_a_cancelled_create_can_be_deleted(self, store: OpenedStore) -> None:
        """Whether or not a cancelled ``create`` made the object, its key can be deleted."""
        key = ObjectKey.fresh()
        task = asyncio.ensure_future(store.create(key))
        await asyncio.sleep(0)
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if not isinstance(outcome, BaseException):
            await outcome.close()
        await store.delete([key])
        expect(await store.size(key) is None, "it is there")

    async def test_reads_stay_within_the_object(self, store: OpenedStore) -> None:
        """A range gives its bytes, fewer at the object's end, none behind it."""
        key = ObjectKey.fresh()
        payload = bytes(range(256)) * 1024
        await write(store, key, payload)
        reader = await store.open(key)
        expect(reader.size == len(payload), "the size differs")
        for offset, length in _ranges(len(payload)):
            expected = payload[offset : offset + length]
            expect(await reader.read(offset, length) == expected, f"{length} bytes at {offset} differ")
            cached = reader.read_cached(offset, length)
            expect(cached is None or cached == expected, f"{length} bytes at hand at {offset} differ")
        reader.close()
        await store.delete([key])

    async def test_what_was_announced_can_be_read(self, store: OpenedStore) -> None:
        """Opened for a range, at the object's beginning, middle, end or behind it, a reader reads that and the rest."""
        for payload in (b"", bytes(range(256)) * 2048):
            key = ObjectKey.fresh()
            await write(store, key, payload)
            for offset, length in ((0, 0), (0, 100), (1000, 70_000), (0, 10_000_000), (9_000_000, 5), (5, None)):
                reader = await store.open(key, offset, length)
                expect(reader.size == len(payload), "the size differs")
                wanted = len(payload) if length is None else length
                expect(await reader.read(offset, wanted) == payload[offset : offset + wanted], "the range differs")
                expect(await reader.read(0, len(payload)) == payload, "the whole differs")
                reader.close()
            await store.delete([key])

    async def test_several_tasks_read_at_once(self, store: OpenedStore) -> None:
        """Concurrent reads of one reader and of several readers each get their own bytes."""
        key = ObjectKey.fresh()
        payload = hashlib.shake_256(b"several").digest(_MEBIBYTE)
        await write(store, key, payload)
        readers: Sequence[BlobReader] = [await store.open(key) for _ in range(3)]
        offsets = range(0, _MEBIBYTE, 64 * 1024)
        pieces = await asyncio.gather(*(readers[at % 3].read(at, 64 * 1024) for at in offsets))
        expect(b"".join(pieces) == payload, "the bytes differ")
        for reader in readers:
            reader.close()
            reader.close()
        await store.delete([key])

    async def test_a_closed_reader_reads_nothing(self, store: OpenedStore) -> None:
        """A read that is under way when the reader is closed ends well; later ones raise ``StoreUnavailable``."""
        key = ObjectKey.fresh()
        await write(store, key, b"x" * _MEBIBYTE)
        reader = await store.open(key)
        reading = asyncio.ensure_future(reader.read(0, _MEBIBYTE))
        await asyncio.sleep(0)
        reader.close()
        outcome = (await asyncio.gather(reading, return_exceptions=True))[0]
        expect(isinstance(outcome, StoreUnavailable) or outcome == b"x" * _MEBIBYTE, f"it gave {outcome!r:.80}")
        await expect_error(StoreUnavailable, reader.read(0, 1))
        await store.delete([key])

    async def test_a_reader_outlives_the_name(self, store: OpenedStore) -> None:
        """A reader that was opened before the object was deleted reads it whole or says that it has gone."""
        key = ObjectKey.fresh()
        await write(store, key, b"payload")
        reader = await store.open(key)
        await store.delete([key])
        outcome = (await asyncio.gather(reader.read(0, 7), return_exceptions=True))[0]
        expect(outcome == b"payload" or isinstance(outcome, ObjectMissing), f"it gave {outcome!r}")
        reader.close()

    async def test_what_is_not_there_is_missing(self, store: OpenedStore) -> None:
        """Opening an unknown key raises ``ObjectMissing``, and its size is None."""
        key = ObjectKey.fresh()
        await expect_error(ObjectMissing, store.open(key))
        expect(await store.size(key) is None, "it has a size")

    async def test_deleting_twice_is_fine(self, store: OpenedStore) -> None:
        """Deleting takes present, absent and repeated keys together, and none at all."""
        keys = [ObjectKey.fresh() for _ in range(5)]
        for key in keys[:3]:
            await write(store, key, b"x")
        await store.delete([])
        await store.delete([*keys, keys[0]])
        await store.delete(keys)
        for key in keys:
            expect(await store.size(key) is None, f"{key} is still there")

    async def test_a_deleted_key_can_be_created(self, store: OpenedStore) -> None:
        """Deleting really frees the name, though the registry never uses a key again."""
        key = ObjectKey.fresh()
        await write(store, key, b"longer than what follows")
        await store.delete([key])
        await write(store, key, b"new")
        expect(await content(store, key) == b"new", "the bytes differ")
        await store.delete([key])

    async def test_the_listing_is_complete_and_ordered(self, store: OpenedStore) -> None:
        """Every object is listed once, with its size and time, in the order of the keys, without ``meta/``."""
        await store.write_instance("database-1")
        keys = [ObjectKey.fresh() for _ in range(300)]
        for number, key in enumerate(keys):
            await write(store, key, b"x" * (number % 5))
        found = await entries(store)
        expect([stored.key for stored in found] == sorted(keys), "other keys, or another order")
        sizes = {key: number % 5 for number, key in enumerate(keys)}
        expect(all(stored.size == sizes[stored.key] for stored in found if isinstance(stored.key, ObjectKey)), "sizes")
        expect(all(stored.modified_at > 0 for stored in found), "an object has no time")
        await store.delete(keys)

    async def test_the_listing_bears_change(self, store: OpenedStore) -> None:
        """Objects may come and go while the listing runs; what stays is listed."""
        keys = sorted(ObjectKey.fresh() for _ in range(40))
        for key in keys:
            await write(store, key, b"x")
        seen: list[object] = []
        async for stored in store.listing():
            if not seen:
                await store.delete(keys[20:])
            seen.append(stored.key)
        expect(set(keys[:20]) <= set(seen) <= set(keys), "something that stayed was not listed")
        await store.delete(keys)

    async def test_the_instance_is_marked_once(self, store: OpenedStore) -> None:
        """The mark is absent at first, stays what it was first set to, and refuses another."""
        expect(isinstance(store, InstanceMark), "the store has no mark")
        expect(await store.read_instance() is None, "a new store is marked")
        outcomes = await asyncio.gather(
            *(store.write_instance(f"database-{number}") for number in range(4)), return_exceptions=True
        )
        mark = await store.read_instance()
        winners = [number for number, outcome in enumerate(outcomes) if outcome is None]
        expect([f"database-{number}" for number in winners] == [mark], f"{outcomes} for {mark}")
        expect(all(outcome is None or isinstance(outcome, ObjectExists) for outcome in outcomes), f"{outcomes}")
        await store.write_instance(mark or "")
        await expect_error(ObjectExists, store.write_instance("another"))
        expect(await store.read_instance() == mark, "the mark changed")

    async def test_free_space_is_plausible(self, store: OpenedStore) -> None:
        """A store that knows its room has no more left than there is."""
        if isinstance(store, FreeSpace):
            available, total = await store.available(), await store.total()
            expect(0 <= available <= total, f"{available} of {total} bytes")


async def _add(store: BlobStore, session: MemorySession, *pieces: bytes) -> None:
    """One request that adds to an upload."""
    writer, journal = await session.open(store) if session.recorded.offset else (None, session.claim())
    writer = writer or await store.create(session.key, journal)
    try:
        await writer.append(pieces, Algorithm.SHA256.hasher())
        await journal.advance(await writer.sync())
    finally:
        await writer.close()


async def _resume_and_write(store: BlobStore, key: ObjectKey, offset: int) -> None:
    writer = await store.resume(key, offset, journal=MemorySession(key).claim())
    try:
        await writer.append([b"more"], Algorithm.SHA256.hasher())
        await writer.sync()
    finally:
        await writer.close()


def _ranges(size: int) -> list[tuple[int, int]]:
    return [(0, 1), (0, size), (1, 4095), (4095, 2), (size - 1, 1), (size - 1, 100), (size, 1), (size + 9, 5), (7, 0)]
