# SPDX-License-Identifier: Apache-2.0
"""Writing the audit log: a reader of events that knows how far it has come.

Entries and cursor are written by one transaction, which holds the cursor's row: whatever is killed and whoever else reads,
each event is in the log exactly once, and in the order of events.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Final

from longshore.audit.entries import entries_of
from longshore.audit.models import Entry
from longshore.audit.running import run_steps
from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import Event
from longshore.events.service import read_events
from longshore.listing.totals import EVERYWHERE, change_total
from longshore.projects.queries import names_of
from longshore.system.configuration import Configuration, Configurations

TOTAL: Final = "audit_log"
"""The list that counts are kept for: of each project, and of all."""

_BATCH: Final = 500

_CURSOR = Statement("SELECT seq FROM audit_cursors WHERE name = 'log' FOR UPDATE")
# Begun here, so that each event is in the log, or forwarded, or both, whenever an administrator switches.
_FORWARD = Statement(
    "INSERT INTO audit_cursors (name, seq, holder, held_until) VALUES ('forward', :seq, '', 0)"
    " ON CONFLICT (name) DO NOTHING"
)
_ADVANCE = Statement("UPDATE audit_cursors SET seq = :seq WHERE name = 'log'")
_WAITING = Statement(
    "SELECT 1 FROM events WHERE seq > (SELECT seq FROM audit_cursors WHERE name = 'log') ORDER BY seq LIMIT 1"
)
_INSERT = Statement(
    """
    INSERT INTO audit_log
        (project_id, at, operation, resource_type, resource, username, description, success, source)
    VALUES
        (:project_id, :at, :operation, :resource_type, :resource, :username, :description, :success, :source)
    """
)


class Recorder:
    """Writes what events tell into the audit log. Any number may run; one at a time works."""

    def __init__(self, database: Database, configurations: Configurations) -> None:
        self._database = database
        self._configurations = configurations

    async def run(self, stop: asyncio.Event) -> None:
        """Writes until `stop` is set; a database that is away is asked again."""
        await run_steps(stop, self.run_once, problem="audit_log_not_written")

    async def run_once(self) -> int:
        """Writes what a batch of events tells, and returns how many events it was: 0 when there is nothing to do.

        Raises:
            ServiceUnavailable: the database is away.
        """
        if not await self._database.read(lambda connection: connection.value(_WAITING)):
            return 0
        configuration = await self._configurations.current()

        async def write(transaction: Transaction) -> int:
            seq = await transaction.value(_CURSOR)
            events = await read_events(transaction, seq, _BATCH)
            if not events:
                return 0
            if configuration.audit_log_forward_endpoint:
                await transaction.execute(_FORWARD, seq=seq)
            if not (configuration.skip_audit_log_database and configuration.audit_log_forward_endpoint):
                await _keep(transaction, await told(transaction, events, configuration))
            await transaction.execute(_ADVANCE, seq=events[-1].seq)
            return len(events)

        return await self._database.write(write)


async def told(connection: Connection, events: Iterable[Event], configuration: Configuration) -> list[Entry]:
    """What the audit log says of the events, without the types that administrators have switched off."""
    listed = list(events)
    left_out = frozenset(configuration.disabled_audit_log_event_types.split(","))
    names = await names_of(connection, {event.project_id for event in listed if event.project_id is not None})
    entries = (entry for event in listed for entry in entries_of(event, names.get(event.project_id or 0, "")))
    return [entry for entry in entries if entry.event_type not in left_out]


async def _keep(transaction: Transaction, entries: list[Entry]) -> None:
    for entry in entries:
        await transaction.execute(
            _INSERT,
            project_id=entry.project_id,
            at=entry.at,
            operation=entry.operation,
            resource_type=entry.resource_type,
            resource=entry.resource,
            username=entry.username,
            description=entry.description,
            success=entry.success,
            source=entry.source,
        )
    await change_total(transaction, TOTAL, EVERYWHERE, len(entries))
    for project_id, count in sorted(Counter(entry.project_id for entry in entries if entry.project_id).items()):
        await change_total(transaction, TOTAL, project_id, count)
