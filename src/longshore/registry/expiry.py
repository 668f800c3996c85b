# SPDX-License-Identifier: Apache-2.0
"""What ends by itself: uploads that nobody goes on with (E of `docs/why/metadata.md`), empty repositories, purged projects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.errors import ForeignKeyViolation
from longshore.database.statement import Statement
from longshore.registry import totals
from longshore.registry.locking import lock_by_id
from longshore.registry.periods import Periods
from longshore.registry.step import MINUTE, Progress, QueueStep, Step, count_due

_DAY = 24 * 60 * MINUTE
# A session whose owner is alive is not idle, whatever its expiry says; a finished one has no owner.
_EXPIRED = Statement(
    """
    SELECT id FROM upload_sessions
    WHERE expires_at < (SELECT {now}) AND (owner_until IS NULL OR owner_until < {now})
    ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)
_DEPTH = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM upload_sessions"
    " WHERE expires_at < (SELECT {now}) AND (owner_until IS NULL OR owner_until < {now}) LIMIT :limit) AS due"
)
_KEYS_TO_TRASH = Statement(
    "INSERT INTO trash (key, backend, purge_after)"
    " SELECT key, backend, {now} + :delay FROM upload_keys WHERE session_id = ANY(:session_ids)"
)
_DROP_KEYS = Statement("DELETE FROM upload_keys WHERE session_id = ANY(:session_ids)")
_DROP_SESSIONS = Statement("DELETE FROM upload_sessions WHERE id = ANY(:session_ids)")
_OF_REPOSITORIES = Statement(
    "SELECT id FROM upload_sessions WHERE repository_id = ANY(:repository_ids) ORDER BY id FOR UPDATE"
)

_EMPTY = """
    NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = repositories.id)
    AND NOT EXISTS (SELECT 1 FROM repository_blobs rb WHERE rb.repository_id = repositories.id)
    AND NOT EXISTS (SELECT 1 FROM upload_sessions s WHERE s.repository_id = repositories.id)
"""
_UNLISTED = Statement(
    f"""
    SELECT id, created_at, {_EMPTY} AS empty FROM repositories
    WHERE listed_at IS NULL AND deleted_at IS NULL AND (created_at, id) > (:after_at, :after_id)
    AND created_at < (SELECT {{now}}) - :age
    ORDER BY created_at, id LIMIT :limit
    """
)
_UNLISTED_DEPTH = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM repositories"
    " WHERE listed_at IS NULL AND deleted_at IS NULL AND created_at < (SELECT {now}) - :age"
    f" AND {_EMPTY} LIMIT :limit) AS due"
)
_DROP_REPOSITORY = Statement(
    f"DELETE FROM repositories WHERE id = :repository_id AND listed_at IS NULL AND deleted_at IS NULL AND {_EMPTY}"
)

_PURGED = """
    purge_after IS NOT NULL AND purge_after < (SELECT {now}) AND deleted_at IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM repositories r WHERE r.project_id = projects.id)
    AND NOT EXISTS (SELECT 1 FROM project_blobs pb WHERE pb.project_id = projects.id)
"""
_PURGED_PROJECTS = Statement(f"SELECT id FROM projects WHERE {_PURGED} ORDER BY purge_after LIMIT :limit")
_PURGED_DEPTH = Statement(f"SELECT count(*) FROM (SELECT 1 FROM projects WHERE {_PURGED} LIMIT :limit) AS due")
# The totals of the lists below a project (`longshore.listing.totals`), whose items go with it.
_DROP_PROJECT = Statement(f"DELETE FROM projects WHERE id = :project_id AND {_PURGED}")


async def expire_sessions(transaction: Transaction, session_ids: Sequence[str], *, delay: int) -> None:
    """E: the sessions, which the caller has locked, are over, and their keys go into the trash."""
    if session_ids:
        await transaction.execute(_KEYS_TO_TRASH, session_ids=session_ids, delay=delay)
        await transaction.execute(_DROP_KEYS, session_ids=session_ids)
        await transaction.execute(_DROP_SESSIONS, session_ids=session_ids)


async def expire_sessions_of(transaction: Transaction, repository_ids: Sequence[int], *, delay: int) -> None:
    """E for every session of these repositories, also one that somebody is sending to: its commit finds it gone."""
    rows = await transaction.all(_OF_REPOSITORIES, repository_ids=repository_ids)
    await expire_sessions(transaction, [row[0] for row in rows], delay=delay)


class Expire(Step):
    """Ends uploads that are idle or long finished."""

    name = "expire"

    def __init__(self, database: Database, periods: Periods) -> None:
        self._database = database
        self._periods = periods

    async def depth(self) -> int:
        """How many uploads are due."""
        return await count_due(self._database, _DEPTH)

    async def run(self, limit: int) -> Progress:
        """Ends one batch in one transaction."""

        async def write(transaction: Transaction) -> int:
            rows = await transaction.all(_EXPIRED, limit=limit)
            await expire_sessions(transaction, [row[0] for row in rows], delay=self._periods.delay)
            return len(rows)

        # Most of the time nothing is due: asking needs no transaction.
        if not await self.depth():
            return Progress()
        ended = await self._database.write(write)
        return Progress(handled=ended, more=ended == limit)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a walk over unlisted repositories is."""

    created_at: int = 0
    repository_id: int = 0


class EmptyRepositories(QueueStep[int]):
    """Removes rows of repositories that are a day old and have nothing in them.

    The walk remembers its place: young content in old rows must not hide those behind them.
    """

    name = "empty_repositories"

    def __init__(self, database: Database, *, age: int = _DAY) -> None:
        super().__init__(database)
        self._age = age
        self._place = _Place()

    async def depth(self) -> int:
        """How many are due."""

        async def run(connection: Connection) -> int:
            depth: int = await connection.value(_UNLISTED_DEPTH, age=self._age, limit=1000)
            return depth

        return await self._database.read(run)

    async def due(self, limit: int) -> list[int]:
        """Empty ones among the next `limit` that aren't listed."""
        place = self._place

        async def run(connection: Connection) -> tuple[list[int], _Place]:
            rows = await connection.all(
                _UNLISTED, after_at=place.created_at, after_id=place.repository_id, age=self._age, limit=limit
            )
            last = _Place(rows[-1]["created_at"], rows[-1]["id"]) if len(rows) == limit else _Place()
            return [row["id"] for row in rows if row["empty"]], last

        found, self._place = await self._database.read(run)
        return found

    async def settle(self, item: int) -> Progress:
        """Removes one row, unless something came in the meantime."""

        async def run(transaction: Transaction) -> int:
            if await lock_by_id(transaction, item) is None:
                return 0
            return await transaction.execute(_DROP_REPOSITORY, repository_id=item)

        try:
            return Progress(handled=await self._database.write(run))
        except ForeignKeyViolation:
            # Something came in while we waited for the row: that is what the walk is to find out.
            return Progress()

    async def postpone(self, item: int) -> None:
        """The walk comes by again."""


class PurgedProjects(QueueStep[int]):
    """Removes rows of deleted projects whose time to be restored is over and that nothing is left of."""

    name = "projects"

    async def depth(self) -> int:
        """How many are due."""
        return await count_due(self._database, _PURGED_DEPTH)

    async def due(self, limit: int) -> list[int]:
        """Projects of which only the row is left."""

        async def run(connection: Connection) -> list[int]:
            return [row[0] for row in await connection.all(_PURGED_PROJECTS, limit=limit)]

        return await self._database.read(run)

    async def settle(self, item: int) -> Progress:
        """Removes one row, with its members and settings and all that belongs to it."""

        async def run(transaction: Transaction) -> int:
            dropped = await transaction.execute(_DROP_PROJECT, project_id=item)
            if dropped:
                await totals.forget_project(transaction, item)
            return dropped

        return Progress(handled=await self._database.write(run))

    async def postpone(self, item: int) -> None:
        """There is nothing to move: a project that something still names waits until that is gone."""
