# SPDX-License-Identifier: Apache-2.0
"""Writing events and reading them.

An event is written by the transaction that causes it, so that it exists exactly when the change does. It has no place in the
order yet: ids are given out before the commit, and an id may become visible after a larger one. The sequencer
(`longshore.events.sequencer`) numbers committed events; consumers read by that number only and therefore miss nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import Event

_INSERT = Statement("INSERT INTO events (kind, project_id, payload, at) VALUES (:kind, :project_id, :payload, {now})")
_READ = Statement(
    "SELECT seq, kind, project_id, payload, at FROM events WHERE seq > :after_seq ORDER BY seq LIMIT :limit"
)
_LAST = Statement("SELECT coalesce(max(seq), 0) FROM events")


async def append(transaction: Transaction, *, kind: str, project_id: int | None, payload: Mapping[str, object]) -> None:
    """Writes an event that exists if and only if `transaction` commits.

    Args:
        transaction: the change that the event tells of.
        kind: one of `EventKind`.
        project_id: whose event it is; None for the whole registry's.
        payload: anything that JSON can say.
    """
    text = json.dumps(payload, separators=(",", ":"), sort_keys=True)
    await transaction.execute(_INSERT, kind=str(kind), project_id=project_id, payload=text)


async def read_events(connection: Connection, after_seq: int, limit: int) -> list[Event]:
    """At most `limit` events behind `after_seq`, in order, read inside a caller's transaction."""
    rows = await connection.all(_READ, after_seq=after_seq, limit=limit)
    return [Event(seq=row[0], kind=row[1], project_id=row[2], payload=_payload(row[3]), at=row[4]) for row in rows]


class Events:
    """The log of numbered events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, after_seq: int, limit: int) -> list[Event]:
        """At most `limit` events behind `after_seq`, in order. A consumer that remembers the last `seq` misses none."""
        return await self._database.read(lambda connection: read_events(connection, after_seq, limit))

    async def last_seq(self) -> int:
        """The number of the newest event, 0 when there is none: where a new consumer begins that wants no history."""

        async def run(connection: Connection) -> int:
            last: int = await connection.value(_LAST)
            return last

        return await self._database.read(run)


def _payload(text: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(text)
    return payload
