# SPDX-License-Identifier: Apache-2.0
"""Telling of pulls: gathered in memory, written as events in batches, never on a request's path.

The same caller that pulls the same thing by the same name many times within some seconds is told once, with how often.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final, NamedTuple

import structlog

from longshore.database.connection import Database, Transaction
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.registry.gathered import write_every
from longshore.system.configuration import Configurations

_log = structlog.get_logger("longshore.pulls")

_BATCH: Final = 500
MOST_WAITING: Final = 5_000
"""How many different pulls wait to be written at most; further ones are counted and not told."""


class Pull(NamedTuple):
    """Who pulled what; `tag` is empty for a pull by digest, `repository` is the path without the project."""

    project_id: int
    repository: str
    digest: str
    tag: str
    actor: str
    source: str


class PullLog:
    """Pulls of this process that aren't told yet. A process that is killed loses those of a few seconds."""

    def __init__(self, database: Database, configurations: Configurations, *, flush_seconds: float = 5.0) -> None:
        self._database = database
        self._configurations = configurations
        self._flush_seconds = flush_seconds
        self._waiting: Counter[Pull] = Counter()
        self._lost = 0

    def add(self, pull: Pull) -> None:
        """Remembers a pull."""
        if pull in self._waiting or len(self._waiting) < MOST_WAITING:
            self._waiting[pull] += 1
        else:
            self._lost += 1

    async def run(self, stop: asyncio.Event) -> None:
        """Writes what has gathered every few seconds, and once more at the end."""
        await write_every(
            self._flush_seconds, self.flush, stop, late_as="pulls not told yet", waiting=lambda: len(self._waiting)
        )

    async def flush(self) -> None:
        """Writes what has gathered.

        Raises:
            ServiceUnavailable: the database is away; what has gathered waits for the next time.
        """
        if not self._waiting:
            return
        if (await self._configurations.current()).pull_audit_log_disable:
            self._waiting.clear()
            return
        waiting = list(self._waiting.items())
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            await self._write(batch)
            # Some may have come again meanwhile.
            for pull, count in batch:
                self._waiting[pull] -= count
                if not self._waiting[pull]:
                    del self._waiting[pull]
        if self._lost:
            _log.warning("pulls not told", pulls=self._lost, reason="too many different ones at once")
            self._lost = 0

    async def _write(self, batch: list[tuple[Pull, int]]) -> None:
        async def write(transaction: Transaction) -> None:
            for pull, count in batch:
                payload = {**pull._asdict(), "count": count}
                project_id = payload.pop("project_id")
                await append(transaction, kind=EventKind.MANIFEST_PULLED, project_id=project_id, payload=payload)

        await self._database.write(write)
