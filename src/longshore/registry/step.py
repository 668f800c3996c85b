# SPDX-License-Identifier: Apache-2.0
"""What every step of reclaim is: a queue in the database, worked off in small batches by any number of workers.

A step never searches: it takes what is due from a partial index. Its queries say `(SELECT {now})`, since PostgreSQL's planner
doesn't compare an index with a clock that may change from row to row, and would look at everything that waits. What fails moves
its own time forward, so that one bad row never blocks those behind it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from longshore.database.connection import Connection, Database
from longshore.database.statement import Statement
from longshore.oci.errors import ServiceUnavailable, StorageFull

_log = structlog.get_logger("longshore.reclaim")

DEPTH_LIMIT = 10_001
"""A queue is counted up to here: more is too many to matter how many."""

SECOND = 1_000_000
MINUTE = 60 * SECOND

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Progress:
    """What one batch did: how many things it settled, how many bytes that gave back, and whether more is waiting."""

    handled: int = 0
    bytes: int = 0
    more: bool = False

    def __add__(self, other: Progress) -> Progress:
        return Progress(self.handled + other.handled, self.bytes + other.bytes, self.more or other.more)


class Step(ABC):
    """One kind of background work.

    Attributes:
        name: how people and metrics call it.
    """

    name: str

    @abstractmethod
    async def run(self, limit: int) -> Progress:
        """Works off one batch of at most `limit`.

        Raises:
            ServiceUnavailable, StorageFull: the database or the store is away or full; nothing is lost, try again later.
        """

    @abstractmethod
    async def depth(self) -> int:
        """How much is due now, counted up to `DEPTH_LIMIT`."""


class QueueStep(Step, Generic[Item]):
    """A step that settles one item per transaction, a few side by side."""

    def __init__(self, database: Database, *, concurrency: int = 2) -> None:
        self._database = database
        self._concurrency = concurrency

    @abstractmethod
    async def due(self, limit: int) -> Sequence[Item]:
        """At most `limit` items that are due."""

    @abstractmethod
    async def settle(self, item: Item) -> Progress:
        """Settles one; raises what makes it fail."""

    @abstractmethod
    async def postpone(self, item: Item) -> None:
        """Moves the item's own time forward after a failure."""

    async def run(self, limit: int) -> Progress:
        """Works off one batch; an item that fails is logged, postponed, and doesn't stop the others."""
        items = await self.due(limit)
        waiting = iter(items)

        async def work() -> Progress:
            done = Progress()
            for item in waiting:
                done += await self._attempt(item)
            return done

        total = Progress(more=len(items) == limit)
        for done in await asyncio.gather(*(work() for _ in range(min(self._concurrency, len(items))))):
            total += done
        # A full batch that settled nothing must not be asked for again at once.
        return Progress(total.handled, total.bytes, total.more and total.handled > 0)

    async def _attempt(self, item: Item) -> Progress:
        try:
            return await self.settle(item)
        except (ServiceUnavailable, StorageFull):
            raise
        except Exception:  # noqa: BLE001 - one bad row must not stop those behind it; the log has all of it
            _log.exception("reclaim_failed", step=self.name, item=str(item))
            await self.postpone(item)
            return Progress()


async def count_due(database: Database, statement: Statement) -> int:
    """How many rows a bounded `SELECT count(*) FROM (SELECT 1 … LIMIT :limit)` finds."""

    async def run(connection: Connection) -> int:
        depth: int = await connection.value(statement, limit=DEPTH_LIMIT)
        return depth

    return await database.read(run)
