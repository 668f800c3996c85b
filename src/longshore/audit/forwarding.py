# SPDX-License-Identifier: Apache-2.0
"""Forwarding the audit log to a syslog server: beside everything else, and from where it stopped.

It reads events by its own cursor, which moves on only when the server has what they tell. So a server that is away for a
night gets the night's entries in the morning; whatever is sent when a worker is killed is sent again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from longshore.audit.models import Entry
from longshore.audit.running import run_steps
from longshore.audit.service import told
from longshore.audit.syslog import send
from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import Event
from longshore.events.service import read_events
from longshore.system.configuration import Configuration, Configurations

_BATCH: Final = 200
_HELD_MICROSECONDS: Final = 60_000_000

_END = Statement("DELETE FROM audit_cursors WHERE name = 'forward'")
_HOLD = Statement(
    "UPDATE audit_cursors SET holder = :holder, held_until = {now} + :microseconds"
    " WHERE name = 'forward' AND (holder = :holder OR held_until < {now})"
)
_CURSOR = Statement("SELECT seq FROM audit_cursors WHERE name = 'forward'")
_ADVANCE = Statement("UPDATE audit_cursors SET seq = :seq WHERE name = 'forward' AND holder = :holder AND seq < :seq")

Send = Callable[[str, Iterable[Entry]], Awaitable[None]]


class Forwarder:
    """Sends what events tell to the endpoint of the configuration. Any number may run; one at a time works."""

    def __init__(self, database: Database, configurations: Configurations, *, send: Send = send) -> None:
        self._database = database
        self._configurations = configurations
        self._send = send
        self._holder = secrets.token_hex(8)

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until `stop` is set; a server that is away is tried again every two seconds."""
        await run_steps(stop, self.run_once, problem="audit_log_not_forwarded")

    async def run_once(self) -> int:
        """Sends what a batch of events tells, and returns how many events it was: 0 when there is nothing to do.

        Raises:
            ServiceUnavailable: the syslog server or the database is away.
        """
        configuration = await self._configurations.current()
        cursor = await self._database.read(lambda connection: connection.value(_CURSOR))
        if not configuration.audit_log_forward_endpoint:
            if cursor is not None:
                await self._database.write(lambda transaction: transaction.execute(_END))
            return 0
        # It is begun by whoever writes the log, with the first event after an endpoint was set.
        if cursor is None or not await self._database.read(lambda connection: read_events(connection, cursor, 1)):
            return 0
        return await self._forward(configuration)

    async def _forward(self, configuration: Configuration) -> int:
        async def hold(transaction: Transaction) -> int | None:
            held = await transaction.execute(_HOLD, holder=self._holder, microseconds=_HELD_MICROSECONDS)
            seq: int | None = await transaction.value(_CURSOR) if held else None
            return seq

        seq = await self._database.write(hold)
        if seq is None:
            return 0

        async def read(connection: Connection) -> tuple[list[Event], list[Entry]]:
            events = await read_events(connection, seq, _BATCH)
            return events, await told(connection, events, configuration)

        events, entries = await self._database.read(read)
        if not events:
            return 0
        if entries:
            await self._send(configuration.audit_log_forward_endpoint, entries)
        last = events[-1].seq
        await self._database.write(lambda transaction: transaction.execute(_ADVANCE, seq=last, holder=self._holder))
        return len(events)
