# SPDX-License-Identifier: Apache-2.0
"""Which of the servers take part in a workload: those that would only repeat another one's figures don't."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from bench.longshore import Longshore
from bench.servers import Server


def direct(servers: Sequence[Server]) -> list[Server]:
    """Those that clients talk to themselves. A front server helps with blobs only."""
    return [server for server in servers if not isinstance(server, Longshore) or not server.configuration.front]


def pushable(servers: Sequence[Server]) -> list[Server]:
    """Those of them that clients can push to."""
    return [server for server in direct(servers) if server.pushable]


def with_files(servers: Sequence[Server]) -> list[Server]:
    """Those that serve plain files."""
    return [server for server in servers if not server.pushable]


def ours(servers: Sequence[Server]) -> list[Longshore]:
    """Longshore, without a front server."""
    return [server for server in direct(servers) if isinstance(server, Longshore)]


def one_of_each_database(servers: Sequence[Server]) -> list[Server]:
    """Without a Longshore that differs from another one only in where the bytes of blobs are."""
    return _first(direct(servers), lambda server: server.configuration.database)


def one_of_each_store(servers: Sequence[Server]) -> list[Server]:
    """Without a Longshore that differs from another one only in where its metadata is."""
    return _first(direct(servers), lambda server: server.configuration.storage)


def senders_of_blobs(servers: Sequence[Server]) -> list[Server]:
    """One Longshore of each way to send a blob."""
    return _first(servers, lambda server: (server.configuration.storage, server.configuration.front))


def _first(servers: Sequence[Server], what: Callable[[Longshore], Hashable]) -> list[Server]:
    found: dict[Hashable, Server] = {}
    for server in servers:
        found.setdefault(what(server) if isinstance(server, Longshore) else server.name, server)
    return list(found.values())
