# SPDX-License-Identifier: Apache-2.0
"""How many connections the servers on one PostgreSQL may open together, and whether it has room for them.

A process opens its connections when it needs them, so counting the open ones says little. Every connection is named after the
share that its processes may take, `longshore api 5f0c21aa 4x4`, and one that is open makes the whole share visible to others.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Self

from longshore.config import Settings
from longshore.database.connection import Connection, Database
from longshore.database.statement import Statement

Kind = Literal["api", "worker"]

_NAME = re.compile(r"longshore (api|worker) ([0-9a-f]{8}) (\d{1,2})x(\d{1,2})")
_ALLOWED = Statement(
    "SELECT CAST(current_setting('max_connections') AS INTEGER)"
    " - CAST(current_setting('superuser_reserved_connections') AS INTEGER)"
    " - CAST(coalesce(current_setting('reserved_connections', true), '0') AS INTEGER)"
)
_OPEN = Statement(
    "SELECT coalesce(application_name, '') AS name, count(*) AS connections FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1"
)


@dataclass(frozen=True, slots=True)
class Share:
    """The connections that the processes of one kind may open in one server: each of them its whole pool.

    Attributes:
        server: Tells servers apart; the same after a restart, so that a server doesn't meet its own former self.
    """

    kind: Kind
    server: str
    processes: int
    pool: int

    @classmethod
    def of(cls, settings: Settings, kind: Kind) -> Self:
        """The share of this server."""
        place = f"{socket.gethostname()}:{settings.data_dir.resolve()}:{settings.port}"
        server = hashlib.sha256(place.encode()).hexdigest()[:8]
        return cls(kind, server, settings.worker_processes if kind == "api" else 1, settings.database_pool)

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The share that a connection is named after; None when it isn't one of a server's."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        return cls("api" if match[1] == "api" else "worker", match[2], int(match[3]), int(match[4]))

    @property
    def name(self) -> str:
        """What the connections are named."""
        return f"longshore {self.kind} {self.server} {self.processes}x{self.pool}"

    @property
    def connections(self) -> int:
        """How many they may be."""
        return self.processes * self.pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What the database server is asked for.

    Attributes:
        allowed: How many connections it allows to those who are no superusers.
        own: What this server may open.
        replicas: What the other servers of this registry may open.
        others: What everybody else has open.
    """

    allowed: int
    own: int
    replicas: int
    others: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.own + self.replicas + self.others


async def measure_demand(database: Database, own: Collection[Share]) -> Demand:
    """Adds up what this server, its replicas and everybody else may need."""

    async def read(connection: Connection) -> tuple[int, list[tuple[str, int]]]:
        allowed = await connection.value(_ALLOWED)
        return allowed, [(row[0], row[1]) for row in await connection.all(_OPEN)]

    allowed, opened = await database.read(read)
    mine = {(share.kind, share.server) for share in own}
    replicas: dict[tuple[str, str], int] = {}
    others = 0
    for name, connections in opened:
        share = Share.parse(name)
        if share is None:
            others += connections
        elif (key := (share.kind, share.server)) not in mine:
            replicas[key] = max(replicas.get(key, 0), share.connections)
    return Demand(
        allowed=allowed, own=sum(share.connections for share in own), replicas=sum(replicas.values()), others=others
    )
