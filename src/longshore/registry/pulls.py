# SPDX-License-Identifier: Apache-2.0
"""Counting pulls: gathered in memory, written in batches, never on a request's path."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import structlog

from longshore.database.connection import Database, Transaction
from longshore.database.errors import ConstraintViolation
from longshore.database.statement import Statement
from longshore.registry.gathered import write_every
from longshore.system.configuration import Configurations

_log = structlog.get_logger("longshore.pulls")

# The lock waits for a purge that is under way and then finds nothing, where the foreign key would refuse the whole batch.
_MANIFEST = Statement(
    "INSERT INTO manifest_pulls (manifest_id, pull_count, pulled_at)"
    " SELECT id, :count, CASE WHEN :timed THEN {now} ELSE 0 END FROM manifests WHERE id = :id FOR KEY SHARE"
    " ON CONFLICT (manifest_id) DO UPDATE SET pull_count = manifest_pulls.pull_count + excluded.pull_count,"
    " pulled_at = CASE WHEN :timed THEN excluded.pulled_at ELSE manifest_pulls.pulled_at END"
)
_PARENTS = Statement(
    "INSERT INTO manifest_pulls (manifest_id, pull_count, pulled_at)"
    " SELECT m.id, :count, CASE WHEN :timed THEN {now} ELSE 0 END"
    " FROM manifest_children c JOIN manifests m ON m.id = c.parent_id WHERE c.child_id = :id FOR KEY SHARE OF m"
    " ON CONFLICT (manifest_id) DO UPDATE SET pull_count = manifest_pulls.pull_count + excluded.pull_count,"
    " pulled_at = CASE WHEN :timed THEN excluded.pulled_at ELSE manifest_pulls.pulled_at END"
)
_TAG = Statement(
    "UPDATE tags SET pull_count = pull_count + :count, pulled_at = CASE WHEN :timed THEN {now} ELSE pulled_at END"
    " WHERE manifest_id = :id AND name = :name"
)
_REPOSITORIES = Statement("SELECT id, repository_id FROM manifests WHERE id = ANY(:ids)")
# In a transaction of its own: it takes lock ① of repositories, and whoever has that may be waiting for the rows above.
_REPOSITORY = Statement("UPDATE repositories SET pull_count = pull_count + :count WHERE id = :id")
_BATCH = 200
_MOST_WAITING = 100_000


_Pull = tuple[tuple[int, str | None], int]


class PullCounter:
    """Pulls of this process that are not written yet. A process that is killed loses a few seconds of counting.

    Args:
        database: Where they are written.
        configurations: Tells whether pulls are counted, and whether their times are kept.
        flush_seconds: How long they gather.
    """

    def __init__(self, database: Database, configurations: Configurations, *, flush_seconds: float = 5.0) -> None:
        self._database = database
        self._configurations = configurations
        self._flush_seconds = flush_seconds
        self._waiting: Counter[tuple[int, str | None]] = Counter()
        self._of_repositories: Counter[int] = Counter()

    def add(self, manifest_id: int, tag: str | None) -> None:
        """Counts one pull of the manifest, by the tag if it was asked for by one."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting[manifest_id, tag] += 1

    async def run(self, stop: asyncio.Event) -> None:
        """Writes what has gathered every few seconds, and once more at the end."""
        await write_every(
            self._flush_seconds, self.flush, stop, late_as="pulls not written yet", waiting=lambda: len(self._waiting)
        )

    async def flush(self) -> None:
        """Writes what has gathered, in the order of ids so that two processes do not lock in a circle."""
        configuration = await self._configurations.current()
        counted, timed = not configuration.pull_count_update_disable, not configuration.pull_time_update_disable
        if not counted and not timed:
            self._waiting.clear()
            return
        waiting = sorted(self._waiting.items(), key=lambda pull: pull[0][0])
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            try:
                await self._write(batch, counted=counted, timed=timed)
            except ConstraintViolation:
                # One of the manifests is being purged at this moment: its pulls count no more, those of the others do.
                for pull in batch:
                    with suppress(ConstraintViolation):
                        await self._write([pull], counted=counted, timed=timed)
            for key, count in batch:
                self._waiting[key] -= count
                if not self._waiting[key]:
                    del self._waiting[key]
        await self._write_repositories()

    async def _write(self, batch: list[_Pull], *, counted: bool, timed: bool) -> None:
        async def run(transaction: Transaction) -> dict[int, int]:
            for (manifest_id, tag), pulls in batch:
                count = pulls if counted else 0
                await transaction.execute(_MANIFEST, id=manifest_id, count=count, timed=timed)
                await transaction.execute(_PARENTS, id=manifest_id, count=count, timed=timed)
                if tag is not None:
                    await transaction.execute(_TAG, id=manifest_id, name=tag, count=count, timed=timed)
            rows = await transaction.all(_REPOSITORIES, ids=sorted({manifest_id for (manifest_id, _), _ in batch}))
            return {row[0]: row[1] for row in rows}

        places = await self._database.write(run)
        for (manifest_id, _), count in batch:
            if counted and manifest_id in places:
                self._of_repositories[places[manifest_id]] += count

    async def _write_repositories(self) -> None:
        while self._of_repositories:
            batch = sorted(self._of_repositories.items())[:_BATCH]

            async def run(transaction: Transaction, batch: list[tuple[int, int]] = batch) -> None:
                for repository_id, count in batch:
                    await transaction.execute(_REPOSITORY, id=repository_id, count=count)

            await self._database.write(run)
            for repository_id, _ in batch:
                del self._of_repositories[repository_id]
