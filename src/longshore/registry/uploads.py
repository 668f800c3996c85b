# SPDX-License-Identifier: Apache-2.0
"""Receiving blobs: start, chunks, finish (S, P and C of `docs/why/push.md`).

A body flows from the connection in large pieces to the store's writer, which hashes and writes on another thread while the next
piece arrives. The state of the hash stays in this process for the next request of the session; the digest of what is durable is
in the row, so that a final PUT without a body needs no second read wherever it arrives. Only when the chunks were spread
over processes, or another algorithm is announced at the end, are the bytes read once more.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import closing, suppress

import structlog

from longshore.database.connection import Connection, Database, Transaction
from longshore.oci.digest import Algorithm, Digest, Hasher
from longshore.oci.errors import (
    BlobUploadUnknown,
    DigestInvalid,
    LongshoreError,
    RangeInvalid,
    ServiceUnavailable,
    SizeInvalid,
)
from longshore.oci.ranges import ContentRange
from longshore.registry import upload_rows
from longshore.registry.blobs import Blobs
from longshore.registry.models import Repository, Upload
from longshore.registry.periods import Periods
from longshore.registry.upload_rows import Availability, Progress, Session
from longshore.storage.port import BlobStore, BlobWriter, ObjectExists, ObjectKey

_log = structlog.get_logger("longshore.uploads")

_PIECE = 1024 * 1024
_RECORD_BYTES = 64 * 1024 * 1024
_RECORD_SECONDS = 10.0
_REMEMBERED_HASHERS = 4096
_WAIT_SECONDS = 0.1
_REREAD = 1024 * 1024


class _NoHasher:
    """Stands where the state of the hash isn't known."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Forgets the bytes."""

    def copy(self) -> _NoHasher:
        """Itself: there is no state."""
        return self

    def hexdigest(self) -> str:
        """There is none."""
        raise RuntimeError("The hash of this upload is not known.")


class _Reception:
    """One request's hold on a session: the writer, the hash, and what is recorded of it."""

    def __init__(self, session: Session, owner: str, writer: BlobWriter, hasher: Hasher, algorithm: Algorithm) -> None:
        self.session = session
        self.owner = owner
        self.writer = writer
        self.hasher = hasher
        self.algorithm = algorithm

    def reached(self) -> Progress:
        """What a record of this moment says."""
        known = not isinstance(self.hasher, _NoHasher)
        return Progress(
            received=self.writer.offset,
            digest_so_far=self.hasher.hexdigest() if known else None,
            algorithm=self.algorithm.value,
        )


class Uploads:
    """Upload sessions. One instance per process; everything but the hash states is in the database and the store."""

    def __init__(self, database: Database, store: BlobStore, blobs: Blobs, periods: Periods) -> None:
        self._database = database
        self._store = store
        self._blobs = blobs
        self._periods = periods
        self._hashers: OrderedDict[str, tuple[int, Algorithm, Hasher]] = OrderedDict()

    async def start(self, project_id: int, path: str, *, declared: int = 0) -> Upload:
        """S: a new session; `declared` bytes are expected, 0 when unknown.

        Raises:
            QuotaExceeded: the project is full.
            NameUnknown: the project is gone.
        """
        session_id, key = uuid.uuid4().hex, ObjectKey.fresh()

        async def run(transaction: Transaction) -> Upload:
            return await upload_rows.start(
                transaction, project_id, path, session_id=session_id, key=key, declared=declared, periods=self._periods
            )

        return await self._database.write(run)

    async def status(self, project_id: int, path: str, session_id: str) -> Upload:
        """How many bytes are durable.

        Raises:
            BlobUploadUnknown: there is no such upload, or it is finished.
        """
        session = await self._look(project_id, path, session_id)
        if session.availability is Availability.DONE:
            raise upload_rows.unknown()
        return Upload(session_id, session.received)

    async def cancel(self, project_id: int, path: str, session_id: str) -> None:
        """Ends the session; a request that is still sending to it fails.

        Raises:
            BlobUploadUnknown: there is no such upload, or it is finished.
        """
        owner = uuid.uuid4().hex
        session = await self._claim(project_id, path, session_id, owner=owner, completing=False)
        if session.availability is Availability.DONE:
            raise upload_rows.unknown()
        await self._discard(session_id, owner)

    async def receive(
        self,
        project_id: int,
        path: str,
        session_id: str,
        body: AsyncIterator[bytes],
        *,
        content_range: ContentRange | None = None,
    ) -> Upload:
        """P: appends a chunk, durably. A client that vanishes leaves what arrived, to go on from there.

        Raises:
            BlobUploadUnknown: there is no such upload.
            RangeInvalid: the chunk does not begin where the upload ends; the upload stays as it is.
            SizeInvalid: the chunk is not as long as its range says; the upload stays as it is.
        """
        await self._check_offset(project_id, path, session_id, content_range)
        owner = uuid.uuid4().hex
        session = await self._claim(project_id, path, session_id, owner=owner, completing=False)
        if session.availability is Availability.DONE:
            raise upload_rows.unknown()
        reception = await self._open(session, owner, None)
        before = reception.hasher.copy()
        try:
            await self._consume(reception, project_id, body, content_range)
            return await self._release(reception, project_id)
        except SizeInvalid:
            await self._rewind(reception, project_id, before)
            raise
        except LongshoreError:
            await self._discard(session_id, owner)
            raise
        except BaseException:
            # The client is gone or the server stops: what arrived is kept, so that the upload goes on from there.
            with suppress(LongshoreError):
                await asyncio.shield(self._release(reception, project_id))
            raise
        finally:
            await reception.writer.close()

    async def finish(
        self,
        project_id: int,
        path: str,
        session_id: str,
        digest: Digest,
        body: AsyncIterator[bytes],
        *,
        content_range: ContentRange | None = None,
    ) -> None:
        """C: receives what is left and makes the whole a blob. Says nothing before it is durable.

        Raises:
            BlobUploadUnknown: there is no such upload, or it was finished with another digest.
            DigestInvalid: the bytes have another digest; the upload is discarded.
            RangeInvalid: the last chunk does not begin where the upload ends; the upload stays as it is.
            QuotaExceeded: the project is full; the upload is discarded.
        """
        await self._check_offset(project_id, path, session_id, content_range)
        owner = uuid.uuid4().hex
        session = await self._claim(project_id, path, session_id, owner=owner, completing=True)
        if session.availability is Availability.DONE:
            await self._finished_before(project_id, path, session, digest)
            return
        if await self._commit_received(project_id, path, session, digest, owner, body):
            return
        reception = await self._open(session, owner, digest.algorithm)
        try:
            await self._receive_last(reception, project_id, path, digest, body, content_range)
        finally:
            await reception.writer.close()

    async def _receive_last(
        self,
        reception: _Reception,
        project_id: int,
        path: str,
        digest: Digest,
        body: AsyncIterator[bytes],
        content_range: ContentRange | None,
    ) -> None:
        session_id, owner = reception.session.id, reception.owner
        before = reception.hasher.copy()
        try:
            await self._consume(reception, project_id, body, content_range)
            await reception.writer.sync()
            await self._verify(reception, digest)
            await self._commit(project_id, path, reception.session, digest, reception.writer.offset, owner)
        except SizeInvalid:
            await self._rewind(reception, project_id, before)
            raise
        except LongshoreError:
            await self._discard(session_id, owner)
            raise
        except BaseException:
            with suppress(LongshoreError):
                await asyncio.shield(self._release(reception, project_id))
            raise

    async def _commit_received(
        self, project_id: int, path: str, session: Session, digest: Digest, owner: str, body: AsyncIterator[bytes]
    ) -> bool:
        """Finishes without touching the store when everything has arrived and its digest is known already."""
        known = session.digest_so_far is not None and session.received > 0
        if not known or session.algorithm != digest.algorithm.value or session.availability is Availability.ABANDONED:
            return False
        if session.digest_so_far != digest.hex:
            return False
        async for piece in body:
            if piece:
                await self._discard(session.id, owner)
                raise DigestInvalid(
                    f"The upload already held the {session.received} bytes of {digest}; the PUT brought more. Start again."
                )
        try:
            await self._commit(project_id, path, session, digest, session.received, owner)
        except LongshoreError:
            await self._discard(session.id, owner)
            raise
        return True

    async def _commit(
        self, project_id: int, path: str, session: Session, digest: Digest, size: int, owner: str
    ) -> None:
        repository = Repository(session.repository_id, project_id, path)

        async def run(transaction: Transaction) -> None:
            await upload_rows.commit(transaction, repository, session, digest, size, owner=owner, periods=self._periods)

        await self._database.write(run)
        self._hashers.pop(session.id, None)

    async def _finished_before(self, project_id: int, path: str, session: Session, digest: Digest) -> None:
        """A repeated PUT: the answer may have been lost on its way. 201 as long as the blob is visible."""
        if session.verified_digest != str(digest):
            raise upload_rows.unknown()
        await self._blobs.find(project_id, path, digest)

    async def _look(self, project_id: int, path: str, session_id: str) -> Session:
        async def read(connection: Connection) -> Session:
            return await upload_rows.look(connection, project_id, path, session_id)

        return await self._database.read(read)

    async def _check_offset(
        self, project_id: int, path: str, session_id: str, content_range: ContentRange | None
    ) -> None:
        if content_range is None:
            return
        session = await self._look(project_id, path, session_id)
        while session.availability is Availability.BUSY:
            await asyncio.sleep(_WAIT_SECONDS)
            session = await self._look(project_id, path, session_id)
        if session.availability is not Availability.DONE and content_range.start != session.received:
            raise RangeInvalid(
                f"The chunk begins at byte {content_range.start}, but the upload has {session.received} bytes: send the chunk"
                f" that begins at {session.received}.",
                detail={"received": session.received},
            )

    async def _claim(self, project_id: int, path: str, session_id: str, *, owner: str, completing: bool) -> Session:
        """Waits until the session's owner finishes or lapses, then owns it."""

        async def run(transaction: Transaction) -> Session:
            return await upload_rows.claim(
                transaction, project_id, path, session_id, owner=owner, completing=completing, periods=self._periods
            )

        session = await self._database.write(run)
        while session.availability is Availability.BUSY:
            await asyncio.sleep(_WAIT_SECONDS)
            if (await self._look(project_id, path, session_id)).availability is not Availability.BUSY:
                session = await self._database.write(run)
        return session

    async def _open(self, session: Session, owner: str, algorithm: Algorithm | None) -> _Reception:
        """The writer at the end of what is durable, with the state of the hash if this process knows it."""
        if session.key is None:
            raise upload_rows.unknown()
        try:
            if session.received == 0 and session.availability is Availability.FREE:
                with suppress(ObjectExists):
                    writer = await self._store.create(session.key)
                    fresh = algorithm or Algorithm.SHA256
                    return _Reception(session, owner, writer, fresh.hasher(), fresh)
                return await self._take_over(session, owner, algorithm)
            if session.availability is Availability.ABANDONED:
                return await self._take_over(session, owner, algorithm)
            remembered = self._hashers.pop(session.id, None)
            writer = await self._store.resume(session.key, session.received)
        except BaseException:
            await asyncio.shield(self._give_back(session, owner))
            raise
        if remembered is not None and remembered[0] == session.received:
            return _Reception(session, owner, writer, remembered[2], remembered[1])
        return _Reception(session, owner, writer, _NoHasher(), Algorithm(session.algorithm))

    async def _take_over(self, session: Session, owner: str, algorithm: Algorithm | None) -> _Reception:
        """Goes on after a crash, never on the object that a zombie may still write to: copies what is recorded of it."""
        old, fresh = session.key, ObjectKey.fresh()
        if old is None:
            raise upload_rows.unknown()

        async def reserve(transaction: Transaction) -> None:
            await upload_rows.take_over(transaction, session.id, owner=owner, key=fresh, periods=self._periods)

        async def promote(transaction: Transaction) -> None:
            await upload_rows.promote_copy(transaction, session.id, owner=owner, key=fresh, periods=self._periods)

        await self._database.write(reserve)
        chosen = algorithm or Algorithm(session.algorithm)
        hasher = chosen.hasher()
        writer = await self._store.create(fresh)
        try:
            if session.received:
                await self._copy(session, owner, old, writer, hasher)
            await writer.sync()
            await self._database.write(promote)
        except BaseException:
            await writer.close()
            raise
        taken = Session(
            id=session.id,
            repository_id=session.repository_id,
            received=session.received,
            digest_so_far=session.digest_so_far,
            algorithm=chosen.value,
            verified_digest=None,
            key=fresh,
            availability=Availability.FREE,
        )
        return _Reception(taken, owner, writer, hasher, chosen)

    async def _copy(self, session: Session, owner: str, old: ObjectKey, writer: BlobWriter, hasher: Hasher) -> None:
        with closing(await self._store.open(old)) as reader:
            kept = time.monotonic()
            while writer.offset < session.received:
                length = min(_REREAD, session.received - writer.offset)
                await writer.append([await reader.read(writer.offset, length)], hasher)
                kept = await self._keep(session.id, owner, kept)

    async def _consume(
        self, reception: _Reception, project_id: int, body: AsyncIterator[bytes], content_range: ContentRange | None
    ) -> None:
        """Appends the whole body, recording progress on the way."""
        start = reception.writer.offset
        end = None if content_range is None else content_range.end + 1
        recorded, recorded_at = start, time.monotonic()
        pieces: list[bytes] = []
        waiting = 0
        async for piece in body:
            pieces.append(piece)
            waiting += len(piece)
            if waiting < _PIECE:
                continue
            if end is not None and reception.writer.offset + waiting > end:
                break
            await reception.writer.append(pieces, reception.hasher)
            pieces, waiting = [], 0
            offset, now = reception.writer.offset, time.monotonic()
            if offset - recorded >= _RECORD_BYTES or now - recorded_at >= _RECORD_SECONDS:
                await self._record(reception, project_id)
                recorded, recorded_at = offset, now
        if end is not None and reception.writer.offset + waiting != end:
            raise SizeInvalid(
                f"Content-Range promised {end - start} bytes, but the body had another length. Send the chunk again from byte"
                f" {start}."
            )
        if waiting:
            await reception.writer.append(pieces, reception.hasher)

    async def _record(self, reception: _Reception, project_id: int) -> None:
        await reception.writer.sync()
        await self._progress(reception, project_id, reception.reached(), release=False)

    async def _release(self, reception: _Reception, project_id: int) -> Upload:
        """The end of a request that leaves the upload open: everything that arrived is durable and recorded."""
        session_id = reception.session.id
        await reception.writer.sync()
        reached = reception.reached()
        await self._progress(reception, project_id, reached, release=True)
        if reached.digest_so_far is not None:
            self._hashers[session_id] = (reached.received, reception.algorithm, reception.hasher)
            if len(self._hashers) > _REMEMBERED_HASHERS:
                self._hashers.popitem(last=False)
        return Upload(session_id, reached.received)

    async def _rewind(self, reception: _Reception, project_id: int, before: Hasher) -> None:
        """Leaves the upload as it was before a chunk that was no good; the next one overwrites what it wrote."""
        session = reception.session
        known = not isinstance(before, _NoHasher)
        reached = Progress(
            received=session.received,
            digest_so_far=before.hexdigest() if known else None,
            algorithm=reception.algorithm.value,
        )
        await self._progress(reception, project_id, reached, release=True)
        if known:
            self._hashers[session.id] = (session.received, reception.algorithm, before)

    async def _progress(self, reception: _Reception, project_id: int, reached: Progress, *, release: bool) -> None:
        async def run(transaction: Transaction) -> None:
            await upload_rows.progress(
                transaction,
                reception.session.id,
                project_id,
                reached,
                owner=reception.owner,
                release=release,
                periods=self._periods,
            )

        await self._database.write(run)

    async def _verify(self, reception: _Reception, digest: Digest) -> None:
        """Compares the digest, reading the body once more only where no hash covers it.

        Raises:
            DigestInvalid: the bytes have another digest.
        """
        if isinstance(reception.hasher, _NoHasher) or reception.algorithm is not digest.algorithm:
            found = await self._hash_again(reception, digest.algorithm)
        else:
            found = reception.hasher.hexdigest()
        if found != digest.hex:
            raise DigestInvalid(
                f"The {reception.writer.offset} bytes that arrived have the digest {digest.algorithm.value}:{found}, not"
                f" {digest}. Send the blob again."
            )

    async def _hash_again(self, reception: _Reception, algorithm: Algorithm) -> str:
        key = reception.session.key
        if key is None:
            raise upload_rows.unknown()
        hasher, offset, size = algorithm.hasher(), 0, reception.writer.offset
        kept = time.monotonic()
        with closing(await self._store.open(key)) as reader:
            while offset < size:
                piece = await reader.read(offset, min(_REREAD, size - offset))
                await asyncio.to_thread(hasher.update, piece)
                offset += len(piece)
                kept = await self._keep(reception.session.id, reception.owner, kept)
        return hasher.hexdigest()

    async def _keep(self, session_id: str, owner: str, kept: float) -> float:
        now = time.monotonic()
        if now - kept < _RECORD_SECONDS:
            return kept

        async def run(transaction: Transaction) -> None:
            await upload_rows.keep(transaction, session_id, owner=owner, periods=self._periods)

        await self._database.write(run)
        return now

    async def _give_back(self, session: Session, owner: str) -> None:
        """Frees a claimed session of which nothing was touched."""
        reached = Progress(received=session.received, digest_so_far=session.digest_so_far, algorithm=session.algorithm)

        async def run(transaction: Transaction) -> None:
            await upload_rows.progress(
                transaction, session.id, 0, reached, owner=owner, release=True, periods=self._periods
            )

        with suppress(LongshoreError):
            await self._database.write(run)

    async def _discard(self, session_id: str, owner: str) -> None:
        """Ends the session after an error that must not be answered by silence, whatever the database says to it."""
        self._hashers.pop(session_id, None)

        async def run(transaction: Transaction) -> bool:
            return await upload_rows.discard(transaction, session_id, owner=owner, periods=self._periods)

        try:
            await self._database.write(run)
        except (BlobUploadUnknown, ServiceUnavailable) as error:
            # It lapses by itself and E collects it.
            _log.warning("upload could not be discarded", session=session_id, error=error.message)
