# SPDX-License-Identifier: Apache-2.0
"""One request's hold on an upload: the bytes on their way into the store, their hash, and what is recorded of them.

Whatever ends the request, the session ends up in one of three states: free with everything that is durable (`release`), free
as it was before (`rewind`), or over (`Uploads`, which discards it).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import closing
from typing import Any, TypeVar

from longshore.database.connection import Database, Transaction
from longshore.oci.digest import Algorithm, Digest, Hasher
from longshore.oci.errors import DigestInvalid, LongshoreError, SizeInvalid
from longshore.oci.ranges import ContentRange
from longshore.registry import upload_rows
from longshore.registry.periods import Periods
from longshore.registry.upload_rows import Progress, Session
from longshore.storage.port import BlobReader, BlobStore, BlobWriter, ObjectKey, ObjectMissing

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
        hasher: Hasher,
        algorithm: Algorithm,
    ) -> None:
        self._database = database
        self._periods = periods
        self.session = session
        self.owner = owner
        self.writer = writer
        self.hasher = hasher
        self.algorithm = algorithm
        self._before = hasher.copy()
        self._recorded = self._progress_of(session.received, hasher)
        # False while the store works: what is cut off there leaves an object that is whole only up to the last record.
        self._whole = True

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

    async def release(self, project_id: int) -> Progress:
        """The end of a request that leaves the upload open: everything that arrived is durable and recorded."""
        reached = self._recorded
        if self._whole:
            await self._sync()
            reached = self._progress_of(self.writer.offset, self.hasher)
        else:
            self.hasher = NoHasher()
        await self._progress(reached, project_id=project_id, release=True)
        return reached

    async def rewind(self) -> Hasher:
        """Leaves the upload as it was before a chunk that was no good; the next one overwrites what it wrote."""
        await self._progress(self._progress_of(self.session.received, self._before), project_id=None, release=True)
        return self._before

    async def verify(self, store: BlobStore, digest: Digest) -> None:
        """Makes everything durable and compares its digest, reading it once more only where no hash covers it.

        Raises:
            DigestInvalid: the bytes have another digest.
        """
        await self._sync()
        if self.knows_hash and self.algorithm is digest.algorithm:
            found = self.hasher.hexdigest()
        else:
            found = await self._hash_again(store, digest.algorithm)
        if found != digest.hex:
            raise DigestInvalid(
                f"The {self.writer.offset} bytes that arrived have the digest {digest.algorithm.value}:{found}, not"
                f" {digest}. Send the blob again."
            )

    async def _append(self, pieces: list[bytes]) -> None:
        self._whole = False
        await self.writer.append(pieces, self.hasher)
        self._whole = True

    async def _sync(self) -> None:
        self._whole = False
        await self.writer.sync()
        self._whole = True

    async def _record(self, project_id: int) -> None:
        await self._sync()
        reached = self._progress_of(self.writer.offset, self.hasher)
        await self._progress(reached, project_id=project_id, release=False)
        self._recorded = reached

    async def _hash_again(self, store: BlobStore, algorithm: Algorithm) -> str:
        if self.session.key is None:
            raise upload_rows.unknown()
        hasher, offset, size = algorithm.hasher(), 0, self.writer.offset
        lease = KeptLease(self._database, self._periods, self.session.id, self.owner)
        with closing(await store.open(self.session.key)) as reader:
            while offset < size:
                piece = await _read_on(reader, offset, size, self.session.key)
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


async def copy_received(
    store: BlobStore, session: Session, old: ObjectKey, writer: BlobWriter, hasher: Hasher, lease: KeptLease
) -> None:
    """Copies what is recorded of an upload from its old object, and hashes it on the way."""
    with closing(await store.open(old)) as reader:
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
