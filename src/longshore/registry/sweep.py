# SPDX-License-Identifier: Apache-2.0
"""Removing bytes from the store (Z of `docs/why/metadata.md`).

No transaction is open while the store works. Each key is deleted twice, a request timeout apart: a request that was slow to
notice that it lost its key may have written to it after the first time. Only then does its row go, so that a key is owned for
as long as anything may be stored under it.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

import structlog

from longshore.database.connection import Connection, Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.registry.periods import Periods
from longshore.registry.step import MINUTE, Progress, Step, count_due
from longshore.storage.port import NO_STATE, BlobStore, InvalidObjectKey, NotDeleted, ObjectKey, StoreUnavailable

_log = structlog.get_logger("longshore.reclaim")

_DUE = Statement(
    "SELECT key, swept_at, backend FROM trash WHERE purge_after < (SELECT {now}) AND location = ''"
    " ORDER BY purge_after LIMIT :limit"
)
_DEPTH = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM trash WHERE purge_after < (SELECT {now}) AND location = '' LIMIT :limit) AS due"
)
_SWEPT = Statement(
    "UPDATE trash SET swept_at = {now}, purge_after = {now} + :request_timeout"
    " WHERE key = ANY(:keys) AND swept_at IS NULL"
)
_FORGET = Statement("DELETE FROM trash WHERE key = ANY(:keys) AND swept_at IS NOT NULL AND purge_after < {now}")
_POSTPONE = Statement("UPDATE trash SET purge_after = {now} + :delay WHERE key = ANY(:keys) AND purge_after < {now}")


class Sweep(Step):
    """Deletes the objects of keys in the trash."""

    name = "sweep"

    def __init__(self, database: Database, store: BlobStore, periods: Periods) -> None:
        self._database = database
        self._store = store
        self._periods = periods

    async def depth(self) -> int:
        """How many keys are due."""
        return await count_due(self._database, _DEPTH)

    async def run(self, limit: int) -> Progress:
        """Deletes one batch of objects, then says so in the database.

        What the store couldn't delete is postponed by a minute or two.

        Raises:
            ServiceUnavailable: the database is away.
        """

        async def read(connection: Connection) -> list[Row]:
            return await connection.all(_DUE, limit=limit)

        rows = await self._database.read(read)
        if not rows:
            return Progress()
        keys = await self._parse(rows)
        left = await self._delete(rows, keys)
        gone = [row for row in rows if row["key"] in keys and row["key"] not in left]
        if not gone:
            return Progress()
        first = [row["key"] for row in gone if row["swept_at"] is None]
        second = [row["key"] for row in gone if row["swept_at"] is not None]

        async def record(transaction: Transaction) -> int:
            swept = await transaction.execute(_SWEPT, keys=first, request_timeout=self._periods.request_timeout)
            return swept + await transaction.execute(_FORGET, keys=second)

        # Two workers may have had the same batch; each key counts for who came first.
        handled = await self._database.write(record)
        return Progress(handled=handled, more=len(rows) == limit)

    async def _delete(self, rows: Sequence[Row], keys: Mapping[str, ObjectKey]) -> set[str]:
        """Deletes the objects; returns the keys of those that may still be there, which are postponed."""
        try:
            await self._store.delete(list(keys.values()), unfinished=_unfinished(rows, keys))
        except StoreUnavailable as error:
            left = {str(key) for key in error.keys} if isinstance(error, NotDeleted) else set(keys)
            _log.warning("sweep_failed", keys=len(left), error=error.message)
            await self._postpone(left)
            return left
        return set()

    async def _parse(self, rows: Sequence[Row]) -> dict[str, ObjectKey]:
        keys, strange = {}, []
        for row in rows:
            try:
                keys[row["key"]] = ObjectKey.parse(row["key"])
            except InvalidObjectKey:
                strange.append(row["key"])
        if strange:
            _log.error("sweep_cannot_read_keys", keys=strange[:10], count=len(strange))
            await self._postpone(strange)
        return keys

    async def _postpone(self, keys: Collection[str]) -> None:
        async def run(transaction: Transaction) -> int:
            # Not all to the same moment: what fails would for ever come back together.
            delay = MINUTE + random.randrange(MINUTE)  # noqa: S311 - no secret
            return await transaction.execute(_POSTPONE, keys=list(keys), delay=delay)

        await self._database.write(run)


def _unfinished(rows: Sequence[Row], keys: Mapping[str, ObjectKey]) -> frozenset[ObjectKey]:
    """The keys under which there may be parts that never became an object."""
    return frozenset(keys[row["key"]] for row in rows if row["key"] in keys and row["backend"] != NO_STATE)
