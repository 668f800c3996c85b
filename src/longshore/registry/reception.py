# SPDX-License-Identifier: Apache-2.0
"""One request's hold on an upload: the bytes on their way into the store, their hash, and what is recorded of them.

Whatever ends the request, the session ends up in one of four states: free with everything that is durable (`release`), free
as it was before (`rewind`), waiting for whoever takes it over (`abandon`), or over (`Uploads`, which discards it).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

from longshore.database.connection import Database, Transaction
from longshore.oci.digest import Algorithm, Digest, Hasher
from longshore.oci.errors import DigestInvalid, LongshoreError, SizeInvalid
from longshore.oci.ranges import ContentRange
from longshore.registry import upload_rows
from longshore.registry.periods import Periods
from longshore.registry.upload_journal import UploadJournal
from longshore.registry.upload_rows import Progress, Session
from longshore.storage.port import (
    NO_STATE,
    BlobReader,
    BlobStore,
    BlobWriter,
    Checkpoint,
    ObjectKey,
    ObjectMissing,
    StoreUnavailable,
)

_PIECE = 1024 * 1024
# A client may send a byte at a time: what waits is bounded in number too, or each byte would cost an object.
_MOST_PIECES = 512
_RECORD_BYTES = 64 * 1024 * 1024
_RECORD_SECONDS = 10.0
_REREAD = 1024 * 1024

_Result = TypeVar("_Result")


class NoHasher:
    """Stands where the state of the hash isn't known."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Forgets the bytes."""

    def copy(self) -> NoHasher:
        """Itself: there is no state."""
        return self

    def hexdigest(self) -> str:
        """There is none."""
        raise RuntimeError("The hash of this upload is not known.")


class Reception:
    """Takes the body of one request, which owns the session.

    Attributes:
        session: The session as it was claimed, or as the takeover left it.
        owner: The text by which this request owns it.
        writer: Writes behind what is durable.
        journal: What the writer has recorded; None where it needs no journal.
        hasher: Has seen what the writer has written; a `NoHasher` where that isn't known.
        algorithm: The hasher's.
    """

    def __init__(
        self,
        database: Database,
        periods: Periods,
        session: Session,
        owner: str,
        writer: BlobWriter,
        journal: UploadJournal | None,
        hasher: Hasher,
        algorithm: Algorithm,
    ) -> None:
        self._database = database
        self._periods = periods
        self.session = session
        self.owner = owner
        self.writer = writer
        self.journal = journal
        self.hasher = hasher
        self.algorithm = algorithm
        self._before = hasher.copy()
        self._recorded = self._progress_of(session.received, hasher)
        # False while the store works: what is cut off there leaves an object that is whole only up to the last record.
        self._whole = True
        self._sealed = False

    @property
    def knows_hash(self) -> bool:
        """Whether the hasher has seen every byte."""
        return not isinstance(self.hasher, NoHasher)

    async def consume(self, project_id: int, body: AsyncIterator[bytes], content_range: ContentRange | None) -> None:
        """Appends the whole body, recording progress on the way.

        Raises:
            SizeInvalid: the body is not as long as its range says.
        """
        start = self.writer.offset
        end = None if content_range is None else content_range.end + 1
        recorded_at = time.monotonic()
        pieces: list[bytes] = []
        waiting = 0
        try:
            async for piece in body:
                pieces.append(piece)
                waiting += len(piece)
                late = time.monotonic() - recorded_at >= _RECORD_SECONDS
                if waiting < _PIECE and len(pieces) < _MOST_PIECES and not late:
                    continue
                if end is not None and self.writer.offset + waiting > end:
                    break
                batch, pieces, waiting = pieces, [], 0
                await self._append(batch)
                if late or self.writer.offset - self._recorded.received >= _RECORD_BYTES:
                    await self._record(project_id)
                    recorded_at = time.monotonic()
        except LongshoreError:
            raise
        except BaseException:
            # The client is gone: what arrived of it is kept, unless it is more than was announced.
            if waiting and (end is None or self.writer.offset + waiting <= end):
                await to_the_end(self._append(pieces))
            raise
        if end is not None and self.writer.offset + waiting != end:
            raise SizeInvalid(
                f"Content-Range promised {end - start} bytes, but the body had another length. Send the chunk again from byte"
                f" {start}."
            )
        if waiting:
            await self._append(pieces)

    @property
    def may_go_on(self) -> bool:
        """Whether the next request finds an object that nobody writes to any more, and that takes more bytes.

        A file is cut to what is recorded before anybody goes on with it; a store of parts may still be working on one.
        """
        return self.journal is None or (self._whole and not self._sealed)

    @property
    def can_rewind(self) -> bool:
        """Whether the upload can be as it was before: parts that were recorded meanwhile can't be taken back."""
        return self.journal is None or self._recorded.received == self.session.received

    def survives(self, error: BaseException) -> bool:
        """Whether what is recorded can be gone on with after the store's error: parts can, a file may have lost bytes."""
        return self.journal is not None and isinstance(error, StoreUnavailable)

    async def release(self, project_id: int) -> Progress:
        """The end of a request that leaves the upload open: everything that arrived is durable and recorded."""
        reached = self._recorded
        if self._whole:
            reached = await self._step(self.writer.sync)
        else:
            self.hasher = NoHasher()
        await self._progress(reached, project_id=project_id, release=True)
        return reached

    async def rewind(self) -> Hasher:
        """Leaves the upload as it was before a chunk that was no good; the next one overwrites what it wrote."""
        if self.journal is not None:
            await self.abandon()
            return self._before
        await self._progress(self._progress_of(self.session.received, self._before), project_id=None, release=True)
        return self._before

    async def abandon(self) -> None:
        """Leaves the upload as it was last recorded, to be taken over: what was cut off may still reach its object."""

        async def run(transaction: Transaction) -> None:
            await upload_rows.lapse(transaction, self.session.id, owner=self.owner)

        await self._database.write(run)

    async def complete(self, store: BlobStore, digest: Digest) -> Session:
        """Makes a durable object of all bytes, whose digest it compares; returns the session to commit.

        They are read once more only where no hash covers them. A wrong digest is found before the store makes an object of
        them, if it can be.

        Raises:
            DigestInvalid: the bytes have another digest.
        """
        reached = await self._step(self.writer.seal)
        self._sealed = True
        known = self.session.verified_digest == str(digest)
        if not known and reached.digest_so_far is not None and self.algorithm is digest.algorithm:
            self._compare(reached.digest_so_far, digest)
            known = True
        if reached.checkpoint is not None and reached.checkpoint.state != NO_STATE:
            await self._record_sealed(reached, digest if known else None)
            self._whole = False
            await self._patiently(self.writer.finish())
            self._whole = True
        if not known:
            self._compare(await self._hash_again(store, digest.algorithm), digest)
        return replace(self.session, key=self.writer.key)

    @property
    def leaves_keys(self) -> bool:
        """Whether the session may have other keys than the object's."""
        return self.journal is not None and self.journal.dirty

    def _compare(self, found: str, digest: Digest) -> None:
        if found != digest.hex:
            raise DigestInvalid(
                f"The {self.writer.offset} bytes that arrived have the digest {digest.algorithm.value}:{found}, not"
                f" {digest}. Send the blob again."
            )

    async def _append(self, pieces: list[bytes]) -> None:
        self._whole = False
        await self._patiently(self.writer.append(pieces, self.hasher))
        self._whole = True

    async def _patiently(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Keeps the lease while the store works, if it is one that may need longer than a lease lasts."""
        if self.journal is None:
            return await work
        return await KeptLease(self._database, self._periods, self.session.id, self.owner).during(work)

    async def _step(self, action: Callable[[], Coroutine[Any, Any, Checkpoint]]) -> Progress:
        """What is durable after the action."""
        self._whole = False
        checkpoint = await self._patiently(action())
        self._whole = True
        # A store that takes parts may be behind what was hashed.
        hasher = self.hasher if checkpoint.offset == self.writer.offset else NoHasher()
        reached = self._progress_of(checkpoint.offset, hasher)
        return reached if self.journal is None else replace(reached, checkpoint=self.journal.to_record(checkpoint))

    async def _record(self, project_id: int) -> None:
        reached = await self._step(self.writer.checkpoint)
        await self._progress(reached, project_id=project_id, release=False)
        self._recorded = reached

    async def _record_sealed(self, reached: Progress, digest: Digest | None) -> None:
        """What the store needs to finish, for whoever retries after a crash; that one need not compare again."""

        async def run(transaction: Transaction) -> None:
            await upload_rows.progress(
                transaction, self.session.id, None, reached, owner=self.owner, release=False, periods=self._periods
            )
            if digest is not None:
                await upload_rows.verified(transaction, self.session.id, digest, owner=self.owner)

        await self._database.write(run)
        self._recorded = reached

    async def _hash_again(self, store: BlobStore, algorithm: Algorithm) -> str:
        hasher, offset, size, key = algorithm.hasher(), 0, self.writer.offset, self.writer.key
        lease = KeptLease(self._database, self._periods, self.session.id, self.owner)
        with closing(await store.open(key, 0, size)) as reader:
            while offset < size:
                piece = await _read_on(reader, offset, size, key)
                await asyncio.to_thread(hasher.update, piece)
                offset += len(piece)
                await lease.renew()
        return hasher.hexdigest()

    def _progress_of(self, received: int, hasher: Hasher) -> Progress:
        if not isinstance(hasher, NoHasher):
            digest: str | None = hasher.hexdigest()
        else:
            # Another process may have known it, and it holds as long as nothing is added.
            digest = self.session.digest_so_far if received == self.session.received else None
        return Progress(received=received, digest_so_far=digest, algorithm=self.algorithm.value)

    async def _progress(self, reached: Progress, *, project_id: int | None, release: bool) -> None:
        async def run(transaction: Transaction) -> None:
            await upload_rows.progress(
                transaction,
                self.session.id,
                project_id,
                reached,
                owner=self.owner,
                release=release,
                periods=self._periods,
            )

        await self._database.write(run)


class KeptLease:
    """Renews the owner's lease every few seconds while work goes on that brings no bytes."""

    def __init__(self, database: Database, periods: Periods, session_id: str, owner: str) -> None:
        self._database = database
        self._periods = periods
        self._session_id = session_id
        self._owner = owner
        self._renewed_at = time.monotonic()

    async def renew(self) -> None:
        """Renews it if that was long ago.

        Raises:
            BlobUploadUnknown: another request has taken over.
        """
        now = time.monotonic()
        if now - self._renewed_at < _RECORD_SECONDS:
            return

        async def run(transaction: Transaction) -> None:
            await upload_rows.keep(transaction, self._session_id, owner=self._owner, periods=self._periods)

        await self._database.write(run)
        self._renewed_at = now

    async def during(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Keeps the lease until the work ends. It is never left running, whatever ends this call.

        Raises:
            BlobUploadUnknown: another request has taken over.
        """
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait((task,), timeout=_RECORD_SECONDS))[0]:
                await self.renew()
        except BaseException:
            task.cancel()
            await to_the_end(_ended(task))
            raise
        return task.result()


async def copy_received(
    store: BlobStore, session: Session, old: ObjectKey, writer: BlobWriter, hasher: Hasher, lease: KeptLease
) -> None:
    """Copies what is recorded of an upload from its old object, and hashes it on the way."""
    with closing(await store.open(old, 0, session.received)) as reader:
        while writer.offset < session.received:
            await writer.append([await _read_on(reader, writer.offset, session.received, old)], hasher)
            await lease.renew()


async def _read_on(reader: BlobReader, offset: int, size: int, key: ObjectKey) -> bytes:
    """The next piece of an object that must have `size` bytes.

    Raises:
        ObjectMissing: it ends before: somebody else cut it, or the disk lost what it had acknowledged.
    """
    piece = await reader.read(offset, min(_REREAD, size - offset))
    if not piece:
        raise ObjectMissing(f"Object {key} has {offset} bytes where the upload had {size}. Start the upload again.")
    return piece


async def _ended(task: asyncio.Task[Any]) -> None:
    await asyncio.wait((task,))


async def to_the_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Waits for clean-up to end although the request is cancelled meanwhile; the cancellation comes afterwards.

    Left behind, the work would use a writer that the request closes on its way out.
    """
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is None:
        return task.result()
    if not task.cancelled():
        task.exception()
    raise cancellation
