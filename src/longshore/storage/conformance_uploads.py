# SPDX-License-Identifier: Apache-2.0
"""The promises of the port about uploads of several requests, as tests that every adapter must pass."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field

from longshore.oci.digest import Algorithm
from longshore.oci.errors import LongshoreError
from longshore.storage.conformance import content, expect, expect_error
from longshore.storage.port import NO_STATE, BlobStore, BlobWriter, ObjectExists, OpenedStore, StoreUnavailable
from longshore.storage.session import MemoryJournal, MemorySession

_MEBIBYTE = 1024 * 1024
_STEPS = (
    ("append", 6 * _MEBIBYTE),
    ("record", 0),
    ("append", 5 * _MEBIBYTE),
    ("release", 0),
    ("append", 1000),
    ("release", 0),
    ("append", 7 * _MEBIBYTE + 1),
    ("seal", 0),
    ("finish", 0),
)
_SIZE = sum(size for _, size in _STEPS)


class UploadConformance:
    """What an adapter's test class inherits, beside ``BlobStoreConformance``."""

    async def test_a_kill_between_any_two_steps_loses_nothing(self, store: OpenedStore) -> None:
        """Killed after any step, the next owner goes on from the record, and the object is what was sent."""
        payload = hashlib.shake_256(b"killed").digest(_SIZE)
        for survived in range(len(_STEPS) + 1):
            upload = Upload(store, payload)
            for name, size in _STEPS[:survived]:
                await upload.step(name, size)
            await upload.die()
            await upload.complete()
            expect(await content(store, upload.session.key) == payload, f"it differs after {survived} steps")
            expect(upload.hashed == hashlib.sha256(payload).hexdigest(), f"the hasher differs after {survived} steps")
            await upload.session.discard(store)

    async def test_takeover_meets_zombie(self, store: OpenedStore) -> None:
        """A request that was thought dead and goes on records nothing, and changes nothing of its successor's object."""
        if store.appends:
            return
        payload = hashlib.shake_256(b"zombie").digest(_SIZE)
        for survived in range(len(_STEPS)):
            upload = Upload(store, payload)
            for name, size in _STEPS[:survived]:
                await upload.step(name, size)
            zombie, its_journal = await upload.current()
            await upload.take_over()
            await expect_error(LongshoreError, _haunt(zombie, its_journal))
            await zombie.close()
            await upload.complete()
            expect(await content(store, upload.session.key) == payload, f"it differs after {survived} steps")
            await upload.session.discard(store)

    async def test_finishing_twice_is_fine(self, store: OpenedStore) -> None:
        """The end may be repeated, by the same writer and by one that resumed from the sealed checkpoint."""
        for size in (0, 10, 11 * _MEBIBYTE):
            payload = hashlib.shake_256(b"twice").digest(size)
            upload = Upload(store, payload)
            await upload.step("append", size)
            await upload.step("seal", 0)
            for _ in range(2):
                await upload.step("finish", 0)
            await upload.take_over()
            for _ in range(2):
                await upload.step("finish", 0)
            await upload.die()
            expect(await content(store, upload.session.key) == payload, f"an object of {size} bytes differs")
            await upload.session.discard(store)

    async def test_a_sealed_object_takes_no_more(self, store: OpenedStore) -> None:
        """Resumed from a sealed checkpoint that had to be recorded, a writer only finishes."""
        upload = Upload(store, bytes(11 * _MEBIBYTE))
        await upload.step("append", 11 * _MEBIBYTE)
        await upload.step("seal", 0)
        if upload.session.recorded.state != NO_STATE:
            await upload.take_over()
            writer, _ = await upload.current()
            await expect_error(StoreUnavailable, writer.append([b"more"], Algorithm.SHA256.hasher()))
            await expect_error(StoreUnavailable, writer.finish())
        await upload.die()
        await upload.session.discard(store)

    async def test_what_was_begun_can_be_deleted(self, store: OpenedStore) -> None:
        """Given up at any point, nothing is left of an upload."""
        payload = bytes(_SIZE)
        for survived in range(len(_STEPS)):
            upload = Upload(store, payload)
            for name, size in _STEPS[:survived]:
                await upload.step(name, size)
            await upload.die()
            await upload.session.discard(store)
            expect(await store.size(upload.session.key) is None, "the object is there")


@dataclass(slots=True, eq=False)
class Upload:
    """A client that sends a payload, and the requests that receive it."""

    store: BlobStore
    payload: bytes
    session: MemorySession = field(default_factory=MemorySession)
    _request: tuple[BlobWriter, MemoryJournal] | None = None
    _contested: bool = False

    @property
    def hashed(self) -> str:
        """The hash of what is recorded; the registry reads again what no hasher has seen."""
        return hashlib.sha256(self.payload[: self.session.recorded.offset]).hexdigest()

    async def current(self) -> tuple[BlobWriter, MemoryJournal]:
        """The request that owns the session, a new one if need be."""
        if self._request is None:
            fresh = not self.session.recorded.offset and self.session.recorded.state == NO_STATE
            if fresh and not self._contested:
                journal = self.session.claim()
                try:
                    self._request = (await self.store.create(self.session.key, journal), journal)
                except ObjectExists:
                    # An earlier request made it, and nothing of it was recorded.
                    self._request = await self.session.open(self.store)
            else:
                self._request = await self.session.open(self.store, contested=self._contested)
            self._contested = False
        return self._request

    async def step(self, name: str, size: int) -> None:
        """Carry out one step; what it returns is recorded."""
        writer, journal = await self.current()
        if name == "append":
            hasher = Algorithm.SHA256.hasher()
            piece = self.payload[writer.offset : writer.offset + size]
            await writer.append([piece], hasher)
            expect(hasher.hexdigest() == hashlib.sha256(piece).hexdigest(), "the hasher saw other bytes")
        elif name == "record":
            await journal.advance(await writer.checkpoint())
        elif name == "release":
            await journal.advance(await writer.sync())
            expect(self.session.recorded.offset == writer.offset, "a sync left something out")
            await self.die()
        elif name == "seal":
            checkpoint = await writer.seal()
            if checkpoint.state != NO_STATE or checkpoint != self.session.recorded:
                await journal.advance(checkpoint)
        else:
            await writer.finish()

    async def die(self) -> None:
        """End the request."""
        if self._request is not None:
            await self._request[0].close()
            self._request = None

    async def take_over(self) -> None:
        """Let another request own the session; the former one isn't told."""
        self._request = None
        self._contested = not self.store.appends
        await self.current()

    async def complete(self) -> None:
        """Send what is missing, and finish; the kill leaves it open whether somebody else still writes."""
        if self._request is None:
            self._contested = not self.store.appends
        writer, _ = await self.current()
        missing = len(self.payload) - writer.offset
        if missing:
            await self.step("append", missing)
        await self.step("seal", 0)
        await self.step("finish", 0)
        await self.die()


async def _haunt(writer: BlobWriter, journal: MemoryJournal) -> None:
    """Go on as if nothing had happened; each way to record ends in an error."""
    with suppress(StoreUnavailable):
        await writer.append([b"zombie" * _MEBIBYTE * 2], Algorithm.SHA256.hasher())
        await journal.advance(await writer.checkpoint())
    await journal.advance(await writer.sync())
