# SPDX-License-Identifier: Apache-2.0
"""The audit log at a real syslog server, over TCP and UDP: complete, in order, and from where it stopped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from longshore.audit import syslog
from longshore.audit.forwarding import Forwarder
from longshore.audit.models import Entry
from longshore.audit.service import Recorder
from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.sequencer import Sequencer
from longshore.events.service import append
from longshore.oci.errors import ServiceUnavailable
from longshore.system.configuration import Configurations

_SET = Statement("INSERT INTO configuration (name, value, updated_at) VALUES (:name, :value, 0)")
_CLEAR = Statement("DELETE FROM configuration")
_KEPT = Statement("SELECT resource FROM audit_log ORDER BY id")
_CURSORS = Statement("SELECT name FROM audit_cursors ORDER BY name")


class Server:
    """A syslog server that remembers its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.endpoint = ""

    @property
    def resources(self) -> list[str]:
        return [line.partition('resource="')[2].partition('"')[0] for line in self.lines]

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                self.lines.append(line.decode().rstrip("\n"))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", port)
        self.endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()


class Log:
    """Events, and those who read them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.configurations = Configurations(database)
        self.recorder = Recorder(database, self.configurations)
        self.forwarder = Forwarder(database, self.configurations)

    async def tell(self, *names: str) -> None:
        """Something happens to users of these names."""

        async def write(transaction: Transaction) -> None:
            for name in names:
                payload = {"username": name, "actor": "admin"}
                await append(transaction, kind=EventKind.USER_UPDATED, project_id=None, payload=payload)

        await self.database.write(write)
        while await Sequencer(self.database).run_once():
            pass

    async def set(self, **items: Any) -> None:
        """The configuration is these items and nothing else."""

        async def write(transaction: Transaction) -> None:
            await transaction.execute(_CLEAR)
            for name, value in items.items():
                await transaction.execute(_SET, name=name, value=json.dumps(value))

        await self.database.write(write)
        self.configurations.forget()

    async def record(self) -> None:
        while await self.recorder.run_once():
            pass

    async def forward(self) -> None:
        while await self.forwarder.run_once():
            pass

    async def rows(self, statement: Statement) -> list[str]:
        async def read(connection: Connection) -> list[str]:
            return [row[0] for row in await connection.all(statement)]

        return await self.database.read(read)


async def test_everything_since_it_was_set_arrives_once(database: Database) -> None:
    """The server gets what happens from then on, in order and once; when the item is emptied it gets nothing more."""
    log, server = Log(database), Server()
    await log.tell("before")
    await log.record()
    async with server.listening():
        await log.set(audit_log_forward_endpoint=server.endpoint)
        names = [f"user{number}" for number in range(450)]
        await log.tell(*names)
        await log.record()
        await log.forward()
        assert server.resources == names
        assert await log.rows(_KEPT) == ["before", *names]
        await log.set()
        await log.tell("after")
        await log.record()
        await log.forward()
        assert server.resources == names
        assert await log.rows(_CURSORS) == ["log"]


async def test_server_that_was_away_gets_the_rest(database: Database) -> None:
    """What happened while it was away comes when it is back; the log itself never waited."""
    log, server = Log(database), Server()
    async with server.listening():
        await log.set(audit_log_forward_endpoint=server.endpoint)
        await log.tell("one")
        await log.record()
        await log.forward()
    await log.tell("two", "three")
    await log.record()
    with pytest.raises(ServiceUnavailable, match="can't be reached"):
        await log.forwarder.run_once()
    assert await log.rows(_KEPT) == ["one", "two", "three"]
    async with server.listening(int(server.endpoint.rpartition(":")[2])):
        await log.forward()
    assert server.resources == ["one", "two", "three"]


async def test_only_forwarded(database: Database) -> None:
    """With the database left out each entry is in one place at least, whatever the moment of the switch."""
    log, server = Log(database), Server()
    async with server.listening():
        await log.tell("kept")
        await log.record()
        await log.tell("between")
        await log.set(audit_log_forward_endpoint=server.endpoint, skip_audit_log_database=True)
        await log.tell("forwarded")
        await log.record()
        await log.forward()
    assert await log.rows(_KEPT) == ["kept"]
    assert server.resources == ["between", "forwarded"]


async def test_one_forwards_at_a_time(database: Database) -> None:
    """While one worker sends, another one leaves it alone; nothing is sent twice."""
    log = Log(database)
    await log.set(audit_log_forward_endpoint="127.0.0.1:1")
    await log.tell("one")
    await log.record()
    sent: list[str] = []
    other = Forwarder(database, log.configurations)

    async def send(_endpoint: str, entries: Iterable[Entry]) -> None:
        assert await other.run_once() == 0
        sent.extend(entry.resource for entry in entries)

    await Forwarder(database, log.configurations, send=send).run_once()
    assert sent == ["one"]


async def test_killed_while_sending(database: Database) -> None:
    """What a worker was sending when it was killed is sent again, by the next one when the hold is over."""
    log = Log(database)
    await log.set(audit_log_forward_endpoint="127.0.0.1:1")
    await log.tell("one")
    await log.record()
    sent: list[str] = []

    async def killed(_endpoint: str, _entries: Iterable[Entry]) -> None:
        raise asyncio.CancelledError

    async def send(_endpoint: str, entries: Iterable[Entry]) -> None:
        sent.extend(entry.resource for entry in entries)

    with pytest.raises(asyncio.CancelledError):
        await Forwarder(database, log.configurations, send=killed).run_once()
    later = Forwarder(database, log.configurations, send=send)
    assert await later.run_once() == 0
    over = Statement("UPDATE audit_cursors SET held_until = 0 WHERE name = 'forward'")
    await database.write(lambda transaction: transaction.execute(over))
    assert await later.run_once() == 1
    assert sent == ["one"]


async def test_types_that_are_switched_off_are_not_forwarded(database: Database) -> None:
    """Neither the log nor the server has them, and the cursor moves on."""
    log, server = Log(database), Server()
    async with server.listening():
        await log.set(audit_log_forward_endpoint=server.endpoint, disabled_audit_log_event_types="update_user")
        await log.tell("one")
        await log.record()
        await log.forward()
    assert server.lines == []
    assert await log.rows(_KEPT) == []


async def test_udp() -> None:
    """Over UDP each entry is a datagram."""
    received: asyncio.Queue[bytes] = asyncio.Queue()

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _address: Any) -> None:
            received.put_nowait(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
    try:
        port = transport.get_extra_info("sockname")[1]
        await syslog.send(f"udp://127.0.0.1:{port}", [_entry("one"), _entry("two")])
        async with asyncio.timeout(5):
            lines = [await received.get(), await received.get()]
    finally:
        transport.close()
    assert b'resource="one"' in lines[0]
    assert b'resource="two"' in lines[1]


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::]", "224.0.0.1"])
async def test_addresses_that_are_refused(host: str) -> None:
    """Where a cloud tells machines their secrets, and other places where no server is, nothing is sent."""
    with pytest.raises(ServiceUnavailable, match="unusable"):
        await syslog.send(f"{host}:80", [_entry("one")])


def test_line() -> None:
    """A line is RFC 5424, with Harbor's names in its text, and nothing that somebody wrote ends it."""
    line = syslog.syslog_line(_entry('a"b\nc\\'), "host")
    assert line == (
        "<109>1 1970-01-01T00:00:01.500Z host longshore - audit -"
        ' operator="admin" time="1970-01-01T00:00:01.500Z" resourceType="user" action="update"'
        ' resource="a\\"b c\\\\" operationResult="true" description="d" clientIP="10.0.0.1"'
    )


def _entry(resource: str) -> Entry:
    return Entry(
        operation="update",
        resource_type="user",
        resource=resource,
        username="admin",
        description="d",
        success=True,
        source="10.0.0.1",
        project_id=None,
        at=1_500_000,
    )
