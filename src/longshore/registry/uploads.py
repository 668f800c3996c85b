# SPDX-License-Identifier: Apache-2.0
"""Receiving blobs: start, chunks, finish (S, P and C of `docs/why/push.md`).

A body flows from the connection in large pieces to the store's writer, which hashes and writes on another thread while the next
piece arrives. The state of the hash stays in this process for the next request of the session; the digest of what is durable is
in the row, so that a final PUT without a body needs no second read wherever it arrives. Only when the chunks were spread
over processes, or another algorithm is announced at the end, are the bytes read once more.

An error that is a verdict on the upload, or comes from its object, ends it. When the client goes away, the server stops or
the database is away, what arrived is kept, so that the upload goes on from there.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog

from longshore.database.connection import Connection, Database, Transaction
from longshore.oci.digest import Algorithm, Digest
from longshore.oci.errors import DigestInvalid, LongshoreError, RangeInvalid, ServiceUnavailable, SizeInvalid
from longshore.oci.ranges import ContentRange
from longshore.registry import repositories, upload_rows
from longshore.registry.blobs import Blobs
from longshore.registry.models import Repository, Upload
from longshore.registry.periods import Periods
from longshore.registry.quota import tells_when_full
from longshore.registry.reception import Reception, to_the_end
from longshore.registry.upload_commit import commit
from longshore.registry.upload_opening import HashMemory, UploadOpening
from longshore.registry.upload_rows import Availability, Session
from longshore.storage.port import BlobStore, ObjectKey

_log = structlog.get_logger("longshore.uploads")

_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 1.0


class Uploads:
    """Upload sessions. One instance per process; everything but the hash states is in the database and the store."""

    def __init__(self, database: Database, store: BlobStore, blobs: Blobs, periods: Periods) -> None:
        self._database = database
        self._store = store
        self._blobs = blobs
        self._periods = periods
        self._hashes = HashMemory()
        self._opening = UploadOpening(database, store, periods, self._hashes)

    @property
    def smallest_chunk(self) -> int:
        """Bytes below which a chunk costs more than it brings; 0 for any size."""
        return self._store.smallest_chunk

    @tells_when_full
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

        return await repositories.put_into(self._database, run)

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
        """Ends the session at once; a request that is still sending to it fails.

        Raises:
            BlobUploadUnknown: there is no such upload, or it is finished.
        """

        async def run(transaction: Transaction) -> None:
            await upload_rows.cancel(transaction, project_id, path, session_id, periods=self._periods)

        await self._database.write(run)
        self._hashes.forget(session_id)

    @tells_when_full
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
            SizeInvalid: the chunk is not as long as its range says; the upload stays as it is. A large chunk to an object
                store, parts of which were recorded on the way, ends it.
        """
        owner = uuid.uuid4().hex
        session = await self._claim(project_id, path, session_id, content_range, owner=owner, completing=False)
        if session.availability is Availability.DONE:
            raise upload_rows.unknown()
        reception = await self._open(session, owner, None)
        try:
            await reception.consume(project_id, body, content_range)
            return await self._release(reception, project_id)
        except BaseException as error:
            await to_the_end(self._settle(reception, project_id, error))
            raise
        finally:
            await reception.writer.close()

    async def finish_received(self, project_id: int, path: str, session_id: str, digest: Digest) -> bool:
        """C in one transaction, for a PUT without a body: claims and commits what is durable and has that digest already.

        False, with nothing changed, when it isn't as simple as that or the commit is refused: `finish` does it then, and knows
        what becomes of the upload.
        """
        owner = uuid.uuid4().hex

        async def run(transaction: Transaction) -> bool:
            session = await upload_rows.look(transaction, project_id, path, session_id, lock=True)
            if not _is_complete(session, digest):
                return False
            await upload_rows.own(transaction, session, owner=owner, completing=True, periods=self._periods)
            repository = Repository(session.repository_id, project_id, path)
            await commit(transaction, repository, session, digest, session.received, owner=owner, periods=self._periods)
            return True

        try:
            finished = await self._database.write(run)
        except LongshoreError as error:
            if not _ends(error):
                raise
            return False
        if finished:
            self._hashes.forget(session_id)
        return finished

    @tells_when_full
    async def finish(
        self,
        project_id: int,
        path: str,
        session_id: str,
        digest: Digest,
        body: AsyncIterator[bytes],
        *,
        content_range: ContentRange | None = None,
        resumable: bool = True,
    ) -> None:
        """C: receives what is left and makes the whole a blob. Says nothing before it is durable.

        An upload that nobody knows the address of is not `resumable`: whatever fails ends it.

        Raises:
            BlobUploadUnknown: there is no such upload, or it was finished with another digest.
            DigestInvalid: the bytes have another digest; the upload is discarded.
            RangeInvalid: the last chunk does not begin where the upload ends; the upload stays as it is.
            QuotaExceeded: the project is full; the upload is discarded.
        """
        owner = uuid.uuid4().hex
        session = await self._claim(project_id, path, session_id, content_range, owner=owner, completing=True)
        if session.availability is Availability.DONE:
            await self._finished_before(project_id, path, session, digest)
            return
        if _is_complete(session, digest):
            await self._commit_received(project_id, path, session, digest, owner, body)
            return
        reception = await self._open(session, owner, digest.algorithm)
        try:
            await reception.consume(project_id, body, content_range)
            completed = await reception.complete(self._store, digest)
            await self._commit(
                project_id,
                path,
                completed,
                digest,
                reception.writer.offset,
                owner=owner,
                leaves_keys=reception.leaves_keys,
            )
        except BaseException as error:
            await to_the_end(self._settle(reception, project_id, error, resumable=resumable))
            raise
        finally:
            await reception.writer.close()

    async def _settle(
        self, reception: Reception, project_id: int, error: BaseException, *, resumable: bool = True
    ) -> None:
        """What becomes of the session after an error."""
        session = reception.session
        if resumable and isinstance(error, SizeInvalid) and reception.can_rewind:
            with suppress(LongshoreError):
                self._hashes.remember(session.id, session.received, reception.algorithm, await reception.rewind())
        elif resumable and (reception.survives(error) or not _ends(error)):
            try:
                if reception.may_go_on:
                    await self._release(reception, project_id)
                else:
                    await reception.abandon()
            except LongshoreError as failure:
                # What can't be recorded now lapses, and a takeover goes on from the last record.
                if reception.survives(failure):
                    with suppress(LongshoreError):
                        await reception.abandon()
                elif _ends(failure):
                    await self._discard(session.id, reception.owner)
        else:
            await self._discard(session.id, reception.owner)

    async def _commit_received(
        self, project_id: int, path: str, session: Session, digest: Digest, owner: str, body: AsyncIterator[bytes]
    ) -> None:
        """Finishes without touching the store: everything has arrived, and its digest is known already."""
        try:
            async for piece in body:
                if piece:
                    raise DigestInvalid(
                        f"The upload already held the {session.received} bytes of {digest}; the PUT brought more. Start again."
                    )
            await self._commit(project_id, path, session, digest, session.received, owner=owner)
        except BaseException as error:
            await to_the_end(self._discard(session.id, owner) if _ends(error) else self._give_back(session, owner))
            raise

    async def _commit(
        self,
        project_id: int,
        path: str,
        session: Session,
        digest: Digest,
        size: int,
        *,
        owner: str,
        leaves_keys: bool = False,
    ) -> None:
        repository = Repository(session.repository_id, project_id, path)

        async def run(transaction: Transaction) -> None:
            await commit(
                transaction,
                repository,
                session,
                digest,
                size,
                owner=owner,
                periods=self._periods,
                leaves_keys=leaves_keys,
            )

        await self._database.write(run)
        self._hashes.forget(session.id)

    async def _finished_before(self, project_id: int, path: str, session: Session, digest: Digest) -> None:
        """A repeated PUT: the answer may have been lost on its way. 201 as long as the blob is visible."""
        if session.verified_digest != str(digest):
            raise upload_rows.unknown()
        await self._blobs.find(project_id, path, digest)

    async def _look(self, project_id: int, path: str, session_id: str) -> Session:
        async def read(connection: Connection) -> Session:
            return await upload_rows.look(connection, project_id, path, session_id)

        return await self._database.read(read)

    async def _claim(
        self,
        project_id: int,
        path: str,
        session_id: str,
        content_range: ContentRange | None,
        *,
        owner: str,
        completing: bool,
    ) -> Session:
        """Waits until the session's owner finishes or lapses, then owns it, if the chunk begins where it ends."""

        async def run(transaction: Transaction) -> Session:
            session = await upload_rows.claim(
                transaction, project_id, path, session_id, owner=owner, completing=completing, periods=self._periods
            )
            if session.availability in {Availability.FREE, Availability.ABANDONED}:
                _check_offset(session, content_range)
            return session

        session = await self._database.write(run)
        pause = _WAIT_SECONDS
        while session.availability is Availability.BUSY:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_WAIT_SECONDS)
            if (await self._look(project_id, path, session_id)).availability is not Availability.BUSY:
                session = await self._database.write(run)
        return session

    async def _open(self, session: Session, owner: str, algorithm: Algorithm | None) -> Reception:
        """Goes on with a claimed session; one that can't be opened is as it was before."""
        try:
            return await self._opening.open(session, owner, algorithm)
        except BaseException:
            await to_the_end(self._give_back(session, owner))
            raise

    async def _release(self, reception: Reception, project_id: int) -> Upload:
        reached = await reception.release(project_id)
        self._hashes.remember(reception.session.id, reached.received, reception.algorithm, reception.hasher)
        return Upload(reception.session.id, reached.received)

    async def _give_back(self, session: Session, owner: str) -> None:
        """Frees a claimed session of which nothing was touched."""

        async def run(transaction: Transaction) -> None:
            await upload_rows.give_back(transaction, session, owner=owner, periods=self._periods)

        with suppress(LongshoreError):
            await self._database.write(run)

    async def _discard(self, session_id: str, owner: str) -> None:
        """Ends the session after an error that must not be answered by silence, whatever the database says to it."""
        self._hashes.forget(session_id)

        async def run(transaction: Transaction) -> bool:
            return await upload_rows.discard(transaction, session_id, owner=owner, periods=self._periods)

        try:
            await self._database.write(run)
        except LongshoreError as error:
            # It lapses by itself and E collects it.
            _log.warning("upload could not be discarded", session=session_id, error=error.message)


def _is_complete(session: Session, digest: Digest) -> bool:
    """Whether everything has arrived, durably, and is what the digest names."""
    return (
        session.received > 0
        and not session.is_unfinished
        and session.availability is Availability.FREE
        and session.digest_so_far == digest.hex
        and session.algorithm == digest.algorithm.value
    )


def _check_offset(session: Session, content_range: ContentRange | None) -> None:
    if content_range is not None and content_range.start != session.received:
        raise RangeInvalid(
            f"The chunk begins at byte {content_range.start}, but the upload has {session.received} bytes: send the chunk"
            f" that begins at {session.received}.",
            detail={"received": session.received},
        )


def _ends(error: BaseException) -> bool:
    """Whether the error ends an upload: a verdict on it, or trouble with its object.

    The database raises `ServiceUnavailable` itself, the store only what is derived from it.
    """
    return isinstance(error, LongshoreError) and type(error) is not ServiceUnavailable
