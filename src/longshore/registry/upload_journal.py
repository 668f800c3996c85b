# SPDX-License-Identifier: Apache-2.0
"""What the writer of an object store has recorded of one upload: its keys, and how far the object has come.

The rows are changed only while the request owns the session, so a writer whose session was taken over ends at its next
step, before it does anything that nobody would know of.
"""

from __future__ import annotations

from longshore.database.connection import Database, Transaction
from longshore.registry import upload_rows
from longshore.registry.periods import Periods
from longshore.registry.upload_rows import Session
from longshore.storage.port import NO_STATE, Checkpoint, ObjectKey


class UploadJournal:
    """The journal of one request's upload; see `longshore.storage.port.Journal`.

    Attributes:
        dirty: Whether rows of the session may say something that a later checkpoint replaces: a state, or helpers' keys.
    """

    def __init__(self, database: Database, periods: Periods, session: Session, owner: str) -> None:
        self._database = database
        self._periods = periods
        self._session_id = session.id
        self._owner = owner
        self.dirty = session.is_unfinished

    def to_record(self, checkpoint: Checkpoint) -> Checkpoint | None:
        """What of a checkpoint the rows don't say already."""
        if checkpoint.state == NO_STATE and not self.dirty:
            return None
        self.dirty = True
        return checkpoint

    async def helper(self) -> ObjectKey:
        """A fresh key of the session, whose row is there when this returns.

        Raises:
            BlobUploadUnknown: another request has taken over.
        """
        key = ObjectKey.fresh()

        async def run(transaction: Transaction) -> None:
            await upload_rows.keep(transaction, self._session_id, owner=self._owner, periods=self._periods)
            await upload_rows.add_key(transaction, self._session_id, key, role="tail")

        self.dirty = True
        await self._database.write(run)
        return key

    async def record(self, checkpoint: Checkpoint) -> None:
        """Keeps the state of a step that is about to begin.

        Raises:
            BlobUploadUnknown: another request has taken over.
        """

        async def run(transaction: Transaction) -> None:
            await upload_rows.keep(transaction, self._session_id, owner=self._owner, periods=self._periods)
            await upload_rows.record(transaction, self._session_id, checkpoint, periods=self._periods)

        self.dirty = True
        await self._database.write(run)

    async def replace(self, checkpoint: Checkpoint) -> ObjectKey:
        """Gives the object a fresh key; the former one stays if the checkpoint names it.

        Raises:
            BlobUploadUnknown: another request has taken over.
        """
        key = ObjectKey.fresh()

        async def run(transaction: Transaction) -> None:
            await upload_rows.keep(transaction, self._session_id, owner=self._owner, periods=self._periods)
            await upload_rows.replace_body(transaction, self._session_id, key)
            await upload_rows.record(transaction, self._session_id, checkpoint, periods=self._periods)

        self.dirty = True
        await self._database.write(run)
        return key
