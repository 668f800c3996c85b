# SPDX-License-Identifier: Apache-2.0
"""Removing objects that nothing owns: the only place where Longshore deletes what no row names.

Orphans come from a database that was restored from an older backup, or from somebody else's hands; our own crashes leave none.
The rules make a mistake harmless: the store must carry this database's mark, what is younger than the reclaim delay stays (a
snapshot of the database that young may still name it), and many orphans at once need a person to insist.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from longshore.database.connection import Database
from longshore.oci.errors import PreconditionFailed
from longshore.registry.findings import OrphanReport
from longshore.registry.periods import Periods
from longshore.registry.stored_keys import StoredKeys
from longshore.storage.port import BlobStore, ForeignPath, InstanceMark, ObjectKey, StoredObject

_log = structlog.get_logger("longshore.verify")

_BATCH = 500
_MANY_PERCENT = 1


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some of the listing: how many objects it had, and those of them that nothing owns and that are old enough."""

    objects: int
    orphans: tuple[StoredObject, ...]


class Orphans:
    """Finds and removes objects that nothing owns."""

    def __init__(self, database: Database, store: BlobStore, periods: Periods) -> None:
        self._store = store
        self._periods = periods
        self._keys = StoredKeys(database)

    async def delete(self, *, database_id: str, yes_really: bool = False) -> OrphanReport:
        """Removes the orphans that are older than the reclaim delay.

        Args:
            database_id: the id of this database, which the store must carry.
            yes_really: remove them even when they are more than one in a hundred objects.

        Raises:
            PreconditionFailed: the store belongs to another database, or there are too many orphans to be believed.
            ServiceUnavailable: the database or the store is away; what was removed stays removed.
        """
        await self._check_mark(database_id)
        objects = orphans = 0
        async with aclosing(self._batches()) as batches:
            async for batch in batches:
                objects += batch.objects
                orphans += len(batch.orphans)
        if orphans * 100 > objects * _MANY_PERCENT and not yes_really:
            raise PreconditionFailed(
                f"{orphans} of {objects} objects in the store have no owner, more than {_MANY_PERCENT} %: this looks like the"
                " wrong database or an old backup of it. If you are sure, say --yes-really.",
                detail={"objects": objects, "orphans": orphans},
            )
        deleted = size = 0
        async with aclosing(self._batches()) as batches:
            async for batch in batches:
                keys = [stored.key for stored in batch.orphans if isinstance(stored.key, ObjectKey)]
                if not keys:
                    continue
                await self._store.delete(keys)
                _log.info("orphans_deleted", keys=[str(key) for key in keys])
                deleted += len(keys)
                size += sum(stored.size for stored in batch.orphans)
        return OrphanReport(objects=objects, deleted=deleted, size=size)

    async def _check_mark(self, database_id: str) -> None:
        mark = await self._store.read_instance() if isinstance(self._store, InstanceMark) else None
        if mark != database_id:
            raise PreconditionFailed(
                f"The store carries the mark of {'no database' if mark is None else f'the database {mark}'}, this database is"
                f" {database_id}. Nothing is deleted from a store that isn't this database's: check LONGSHORE_STORAGE_URL and"
                " LONGSHORE_DATABASE_URL."
            )

    async def _batches(self) -> AsyncGenerator[_Batch, None]:
        """The whole listing: first the objects are listed, then their keys are looked up."""
        before = await self._keys.now() - self._periods.delay
        objects = 0
        old: list[StoredObject] = []
        async for stored in self._store.listing():
            if isinstance(stored.key, ForeignPath):
                continue
            objects += 1
            if stored.modified_at < before:
                old.append(stored)
            if objects == _BATCH:
                yield _Batch(objects, await self._unowned(old))
                objects, old = 0, []
        yield _Batch(objects, await self._unowned(old))

    async def _unowned(self, old: list[StoredObject]) -> tuple[StoredObject, ...]:
        unowned = set(await self._keys.unowned([str(stored.key) for stored in old]))
        return tuple(stored for stored in old if str(stored.key) in unowned)
