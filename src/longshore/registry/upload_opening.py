# SPDX-License-Identifier: Apache-2.0
"""Going on with an upload: the writer behind what is durable, and the state of the hash if this process knows it."""

from __future__ import annotations

from collections import OrderedDict

from longshore.database.connection import Database, Transaction
from longshore.oci.digest import Algorithm, Hasher
from longshore.registry import upload_rows
from longshore.registry.periods import Periods
from longshore.registry.reception import KeptLease, NoHasher, Reception, copy_received
from longshore.registry.upload_journal import UploadJournal
from longshore.registry.upload_rows import Availability, Session
from longshore.storage.port import BlobStore, BlobWriter, ObjectExists, ObjectKey

_REMEMBERED_HASHERS = 4096


class HashMemory:
    """The hash states of uploads that this process received lately: the only thing of an upload that isn't in a row."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, tuple[int, Algorithm, Hasher]] = OrderedDict()

    def remember(self, session_id: str, received: int, algorithm: Algorithm, hasher: Hasher) -> None:
        """Keeps the state of a hash that has seen `received` bytes; the oldest goes when there are too many."""
        if isinstance(hasher, NoHasher):
            return
        self._states[session_id] = (received, algorithm, hasher)
        if len(self._states) > _REMEMBERED_HASHERS:
            self._states.popitem(last=False)

    def take(self, session: Session) -> tuple[Algorithm, Hasher] | None:
        """The state that covers what the session has received; it is the caller's now."""
        state = self._states.pop(session.id, None)
        return None if state is None or state[0] != session.received else state[1:]

    def forget(self, session_id: str) -> None:
        """The upload is over."""
        self._states.pop(session_id, None)


class UploadOpening:
    """Opens the object of a session that a request has claimed."""

    def __init__(self, database: Database, store: BlobStore, periods: Periods, hashes: HashMemory) -> None:
        self._database = database
        self._store = store
        self._periods = periods
        self._hashes = hashes

    async def open(self, session: Session, owner: str, algorithm: Algorithm | None) -> Reception:
        """The reception of a request's body, at the end of what is durable.

        Raises:
            BlobUploadUnknown: the session has no object, or another request has taken over.
            ServiceUnavailable: the store is away, or its object is gone.
        """
        if session.key is None:
            raise upload_rows.unknown()
        journal = None if self._store.appends else UploadJournal(self._database, self._periods, session, owner)
        abandoned = session.availability is Availability.ABANDONED
        if abandoned and journal is None:
            return await self._copy(session, owner, session.key, algorithm)
        if session.received == 0 and not session.is_unfinished and not abandoned:
            writer = await self._begin(session.key, journal)
        else:
            writer = await self._store.resume(
                session.key, session.received, session.backend, journal, contested=abandoned
            )
        chosen, hasher = self._hasher(session, algorithm)
        return Reception(self._database, self._periods, session, owner, writer, journal, hasher, chosen)

    def _hasher(self, session: Session, algorithm: Algorithm | None) -> tuple[Algorithm, Hasher]:
        if session.received == 0:
            fresh = algorithm or Algorithm.SHA256
            return fresh, fresh.hasher()
        remembered = self._hashes.take(session)
        return remembered if remembered is not None else (Algorithm(session.algorithm), NoHasher())

    async def _begin(self, key: ObjectKey, journal: UploadJournal | None) -> BlobWriter:
        try:
            return await self._store.create(key, journal)
        except ObjectExists:
            # An earlier request made it and brought nothing.
            return await self._store.resume(key, 0, journal=journal)

    async def _copy(self, session: Session, owner: str, old: ObjectKey, algorithm: Algorithm | None) -> Reception:
        """Goes on after a crash, never on the file that a zombie may still write to: copies what is recorded of it."""
        fresh = ObjectKey.fresh()

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
                lease = KeptLease(self._database, self._periods, session.id, owner)
                await copy_received(self._store, session, old, writer, hasher, lease)
            await writer.sync()
            await self._database.write(promote)
        except BaseException:
            await writer.close()
            raise
        taken = upload_rows.taken_over(session, fresh, chosen)
        return Reception(self._database, self._periods, taken, owner, writer, None, hasher, chosen)
