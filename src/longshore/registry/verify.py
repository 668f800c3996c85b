# SPDX-License-Identifier: Apache-2.0
"""Comparing the database with the store, both ways, beside live traffic and in flat memory.

Both sides are walked in the order of their keys and merged. The two walks see different moments, so whatever looks wrong is
looked at again before it is said: the key in all tables in one statement, the object by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from typing import Any, Self

from longshore.database.connection import Connection, Database
from longshore.oci.digest import Digest
from longshore.registry.findings import Finding, Phase, Problem, VerificationProgress
from longshore.registry.invariants import INVARIANTS, Invariant, violations
from longshore.registry.stored_keys import OwnedKey, StoredBlobRow, StoredKeys
from longshore.storage.port import BlobStore, ForeignPath, ObjectKey, ObjectMissing, StoredObject, StoreUnavailable

_READERS = 2
_PIECE = 1024 * 1024
_EVERY = 500


@dataclass(frozen=True, slots=True)
class _Pair:
    """One step of the merge: what the database owns, what the store holds, or both."""

    owned: OwnedKey | None
    stored: StoredObject | None


@dataclass(frozen=True, slots=True)
class _Reading:
    """What reading a blob has shown: `sound` is its key when the digest is right."""

    bytes: int
    finding: Finding | None = None
    sound: str | None = None


class Verification:
    """Checks that the database tells the truth about the store, and the store holds nothing else.

    Args:
        database: the database.
        store: its store.
        mark_damaged: a deep verification marks blobs with wrong bytes, so that the next push of them heals them, and takes
            the mark off those whose bytes are right. False: it only reports.
        mark_missing: mark blobs without an object in the same way. Only for who knows that the store is all there: with a
            volume that isn't mounted, everything is missing.
    """

    def __init__(
        self, database: Database, store: BlobStore, *, mark_damaged: bool = True, mark_missing: bool = False
    ) -> None:
        self._database = database
        self._store = store
        self._keys = StoredKeys(database)
        self._mark_damaged = mark_damaged
        self._mark_missing = mark_missing

    async def run(self, *, deep: bool = False) -> AsyncGenerator[Finding | VerificationProgress, None]:
        """Yields findings as they are made, and progress in between; no finding at all means that everything is right.

        Args:
            deep: also read every blob and compare its digest.

        Raises:
            ServiceUnavailable: the database or the store is away; what was found so far was said.
        """
        async with aclosing(self._metadata()) as metadata:
            async for item in metadata:
                yield item
        async with aclosing(self._compare(deep=deep)) as comparison:
            async for item in comparison:
                yield item

    async def _metadata(self) -> AsyncGenerator[Finding | VerificationProgress, None]:
        for number, invariant in enumerate(INVARIANTS):
            yield VerificationProgress(phase=Phase.METADATA, rows=number, total=len(INVARIANTS))

            async def look(connection: Connection, checked: Invariant = invariant) -> list[str]:
                return await violations(connection, checked)

            for offender in await self._database.read(look):
                yield Finding(
                    problem=Problem.INVARIANT,
                    message=f"{invariant.rule} Broken by {offender} ({invariant.name}). Please report this as a fault of ours.",
                )
        yield VerificationProgress(phase=Phase.METADATA, rows=len(INVARIANTS), total=len(INVARIANTS))

    async def _compare(self, *, deep: bool) -> AsyncGenerator[Finding | VerificationProgress, None]:
        progress = VerificationProgress(phase=Phase.COMPARE, rows=0, total=await self._keys.count())
        yield progress
        async with aclosing(self._merge()) as pairs, _Readers(self._read, self._keys.mark_sound) as readers:
            async for pair in pairs:
                finding = await self._judge(pair, deep=deep)
                if finding is not None:
                    yield finding
                blob = None if pair.owned is None else pair.owned.blob
                if deep and blob is not None and pair.stored is not None:
                    for finding in await readers.take(blob):
                        yield finding
                progress = replace(
                    progress,
                    rows=progress.rows + (pair.owned is not None),
                    objects=progress.objects + (pair.stored is not None),
                    bytes=readers.bytes,
                )
                if deep or (progress.rows + progress.objects) % _EVERY == 0:
                    yield progress
            for finding in await readers.finish():
                yield finding
            yield replace(progress, bytes=readers.bytes)

    async def _merge(self) -> AsyncGenerator[_Pair, None]:
        """Pairs both sides by key; neither is ever in memory as a whole."""
        async with aclosing(self._keys.walk()) as walk, aclosing(self._store.listing()) as listing:
            owned, stored = await anext(walk, None), await anext(listing, None)
            while owned is not None or stored is not None:
                if stored is not None and isinstance(stored.key, ForeignPath):
                    yield _Pair(None, stored)
                    stored = await anext(listing, None)
                elif stored is None or (owned is not None and owned.key < str(stored.key)):
                    yield _Pair(owned, None)
                    owned = await anext(walk, None)
                elif owned is None or owned.key > str(stored.key):
                    yield _Pair(None, stored)
                    stored = await anext(listing, None)
                else:
                    yield _Pair(owned, stored)
                    owned, stored = await anext(walk, None), await anext(listing, None)

    async def _judge(self, pair: _Pair, *, deep: bool) -> Finding | None:
        """What is wrong with a pair, when a second look agrees with the first."""
        if pair.owned is None:
            return None if pair.stored is None else await self._unknown(pair.stored)
        blob = pair.owned.blob
        if blob is None:
            # An upload's key may have no object yet, a trashed one may have none any more.
            return None
        if pair.stored is not None and pair.stored.size == blob.size:
            # A deep verification reads it anyway: right bytes take the mark off, wrong ones are a finding of their own.
            return await self._known_damage(blob) if blob.damaged and not deep else None
        size = await self._store.size(ObjectKey(blob.key))
        if size == blob.size or not await self._keys.still(blob):
            return None
        return await self._lost(blob, size)

    async def _lost(self, blob: StoredBlobRow, size: int | None) -> Finding:
        affected = await self._keys.affected(blob)
        if size is None and self._mark_missing:
            await self._keys.mark_damaged(blob)
        if size is not None:
            problem = Problem.WRONG_SIZE
            message = f"The object of the blob {blob.digest} has {size} bytes instead of {blob.size}."
            advice = "A deep verification marks it as damaged; then the next push of it heals it."
        else:
            problem = Problem.MISSING
            message = f"The store has no object for the blob {blob.digest}."
            advice = "Bring the store's file back from a backup."
            if self._mark_missing:
                advice = "It is marked as damaged: push it again, that heals it."
        return Finding(
            problem=problem, message=f"{message} {advice}", key=blob.key, digest=blob.digest, affected=affected
        )

    async def _unknown(self, stored: StoredObject) -> Finding | None:
        path = str(stored.key)
        if isinstance(stored.key, ForeignPath):
            return Finding(
                problem=Problem.FOREIGN,
                message=f"{path!r} in the store isn't Longshore's. Move it elsewhere; Longshore never touches it.",
                key=path,
            )
        # First the owners, then the object: swept in between it is gone, and created in between it had an owner before.
        if not await self._keys.unowned([path]) or await self._store.size(stored.key) is None:
            return None
        return Finding(
            problem=Problem.ORPHAN,
            message=f"Nothing owns the object {path} of {stored.size} bytes. `verify --orphans --delete` removes such objects.",
            key=path,
        )

    async def _known_damage(self, blob: StoredBlobRow) -> Finding | None:
        if not await self._keys.still(blob):
            return None
        return Finding(
            problem=Problem.DAMAGED,
            message=f"The blob {blob.digest} is marked as damaged. Push it again: that heals it.",
            key=blob.key,
            digest=blob.digest,
            affected=await self._keys.affected(blob),
        )

    async def _read(self, blob: StoredBlobRow) -> _Reading:
        """Reads a blob and compares its digest, hashing off the event loop."""
        digest = Digest.parse(blob.digest)
        hasher, offset = digest.algorithm.hasher(), 0
        problem, message = Problem.WRONG_DIGEST, f"The bytes of the blob {digest} have another digest."
        try:
            with closing(await self._store.open(ObjectKey(blob.key), 0, blob.size)) as reader:
                while offset < reader.size:
                    piece = await reader.read(offset, min(_PIECE, reader.size - offset))
                    await asyncio.to_thread(hasher.update, piece)
                    offset += len(piece)
        except ObjectMissing:
            # Collected meanwhile, or missing: the comparison of the keys says so.
            return _Reading(offset)
        except StoreUnavailable as error:
            problem, message = Problem.UNREADABLE, f"The bytes of the blob {digest} can't be read: {error.message}"
        if problem is Problem.WRONG_DIGEST and hasher.hexdigest() == digest.hex:
            return _Reading(offset, sound=blob.key if self._mark_damaged else None)
        if not await self._keys.still(blob):
            return _Reading(offset)
        affected = await self._keys.affected(blob)
        if self._mark_damaged and problem is Problem.WRONG_DIGEST:
            await self._keys.mark_damaged(blob)
            message += " It is marked as damaged: push it again, that heals it."
        return _Reading(
            offset, Finding(problem=problem, message=message, key=blob.key, digest=blob.digest, affected=affected)
        )


class _Readers:
    """Reads a few blobs at a time and collects what that shows."""

    def __init__(
        self,
        read: Callable[[StoredBlobRow], Coroutine[Any, Any, _Reading]],
        mark_sound: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._read = read
        self._mark_sound = mark_sound
        self._tasks: set[asyncio.Task[_Reading]] = set()
        self._sound: list[str] = []
        self.bytes = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def take(self, blob: StoredBlobRow) -> list[Finding]:
        """Starts reading a blob, when a reader is free; what others found until then."""
        self._tasks.add(asyncio.create_task(self._read(blob)))
        return await self._harvest(below=_READERS)

    async def finish(self) -> list[Finding]:
        """Waits for all readers; what they found."""
        found = await self._harvest(below=1)
        await self._mark_sound(self._sound)
        self._sound = []
        return found

    async def _harvest(self, *, below: int) -> list[Finding]:
        found: list[Finding] = []
        while len(self._tasks) >= below:
            done, self._tasks = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                reading = task.result()
                self.bytes += reading.bytes
                if reading.finding is not None:
                    found.append(reading.finding)
                if reading.sound is not None:
                    self._sound.append(reading.sound)
        if len(self._sound) >= _EVERY:
            await self._mark_sound(self._sound)
            self._sound = []
        return found
