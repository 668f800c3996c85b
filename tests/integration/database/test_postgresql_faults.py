# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL servers that hang, refuse writes or are many: what the driver makes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from longshore.config import SettingsError, load_settings
from longshore.database import postgresql
from longshore.database.connection import Connection, Transaction
from longshore.database.postgresql import PostgreSQLDatabase, servers_of
from longshore.database.statement import Statement
from longshore.oci.errors import ServiceUnavailable
from tests.postgresql import Cluster, PostgreSQLMissingError, cluster

_ONE = Statement("SELECT 1")
_WAIT = Statement("SELECT pg_sleep(3)")
_PORT = Statement("SELECT CAST(current_setting('port') AS INTEGER)")
_MAKE = Statement("CREATE TABLE IF NOT EXISTS marks (mark BIGINT)")
_READ_ONLY = Statement("SET default_transaction_read_only = on")


@pytest.fixture(scope="module")
def clusters() -> Iterator[tuple[Cluster, Cluster]]:
    """Two servers that know nothing of each other."""
    try:
        with cluster() as first, cluster() as second:
            yield first, second
    except PostgreSQLMissingError as missing:
        pytest.skip(str(missing))


def _url(*servers: Cluster) -> str:
    return f"postgresql://postgres@{','.join(f'127.0.0.1:{server.port}' for server in servers)}/postgres"


async def _port(database: PostgreSQLDatabase) -> int:
    port: int = await database.read(lambda connection: connection.value(_PORT))
    return port


def test_a_url_of_several_servers_is_one_url_for_each() -> None:
    """Login, database and options belong to every server; commas elsewhere mean nothing."""
    assert servers_of("postgresql://u:p%2C@a:1,[::1]:2,c/db?options=-c%20a%3D1,2") == [
        "postgresql://u:p%2C@a:1/db?options=-c%20a%3D1,2",
        "postgresql://u:p%2C@[::1]:2/db?options=-c%20a%3D1,2",
        "postgresql://u:p%2C@c/db?options=-c%20a%3D1,2",
    ]
    assert servers_of("postgresql://localhost") == ["postgresql://localhost"]
    assert servers_of("postgresql:///db?host=/run,1") == ["postgresql:///db?host=/run,1"]


@pytest.mark.parametrize("hosts", ["a:1,b:2", "a,[::1]:2", "[::1]:1,[::2]"])
def test_the_setting_takes_several_servers(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    """Each has a port of its own, or none."""
    monkeypatch.setenv("LONGSHORE_DATABASE_URL", f"postgresql://u:p@{hosts}/db")
    assert load_settings().database_url is not None
    monkeypatch.setenv("LONGSHORE_DATABASE_URL", f"postgresql://u:hunter2@{hosts},c:x/db")
    with pytest.raises(SettingsError, match="LONGSHORE_DATABASE_URL") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


async def test_a_server_that_hangs_is_given_up_for_the_next(
    clusters: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement finds out; then every connection is made anew, to the server that answers."""
    monkeypatch.setattr(postgresql, "_CONNECT_SECONDS", 0.5)
    first, second = clusters
    database = await PostgreSQLDatabase.open(_url(first, second), pool_size=3, command_seconds=1)
    assert await asyncio.gather(*(_port(database) for _ in range(3))) == [first.port] * 3
    with first.frozen():
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            await database.write(lambda transaction: transaction.execute(_MAKE))
        assert time.monotonic() - began < 2
        assert await _port(database) == second.port
        assert await asyncio.gather(*(_port(database) for _ in range(3))) == [second.port] * 3
        assert time.monotonic() - began < 5
    # The connections to the first are closed beside all else, which takes an answer.
    await asyncio.sleep(0.5)
    await database.close()


@asynccontextmanager
async def _refusing_writes(cluster: Cluster) -> AsyncIterator[None]:
    """As a standby does, it refuses writes on the connections that are there."""
    connection = await asyncpg.connect(_url(cluster))
    try:
        await connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        await connection.execute("SELECT pg_reload_conf()")
        yield
    finally:
        await connection.execute("SET transaction_read_only = off")
        await connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()


async def test_a_server_that_stopped_taking_writes_is_left(clusters: tuple[Cluster, Cluster]) -> None:
    """A primary that came back as a standby refuses one write; the next one goes to the server that takes it."""
    first, second = clusters
    database = await PostgreSQLDatabase.open(_url(first, second), pool_size=1)
    await database.read(lambda connection: connection.execute(_READ_ONLY))
    try:
        async with _refusing_writes(first):
            with pytest.raises(ServiceUnavailable):
                await database.write(lambda transaction: transaction.execute(_MAKE))
            await database.write(lambda transaction: transaction.execute(_MAKE))
            assert await _port(database) == second.port
    finally:
        await database.close()


async def test_a_process_that_only_reads_leaves_it_too(clusters: tuple[Cluster, Cluster]) -> None:
    """What asks for its health finds out, all its connections are given up, and nothing was unready."""
    first, second = clusters
    database = await PostgreSQLDatabase.open(_url(first, second), pool_size=2)
    try:
        assert await _port(database) == first.port
        await database.leave_standby()
        await database.read(lambda connection: connection.execute(_READ_ONLY))
        async with _refusing_writes(first):
            await database.leave_standby()
            assert await _port(database) == second.port
    finally:
        await database.close()


async def test_a_server_without_another_that_takes_writes_is_not_well(clusters: tuple[Cluster, Cluster]) -> None:
    """Until it takes them again."""
    database = await PostgreSQLDatabase.open(_url(clusters[0]), pool_size=1)
    try:
        await database.read(lambda connection: connection.execute(_READ_ONLY))
        async with _refusing_writes(clusters[0]):
            with pytest.raises(ServiceUnavailable):
                await database.leave_standby()
        await database.leave_standby()
    finally:
        await database.close()


async def test_a_server_that_takes_no_writes_is_never_used(clusters: tuple[Cluster, Cluster]) -> None:
    """Alone it is as good as away."""
    database = await PostgreSQLDatabase.open(
        f"{clusters[0].url}/postgres?options=-c%20default_transaction_read_only%3Don", pool_size=1
    )
    with pytest.raises(ServiceUnavailable):
        await database.read(lambda connection: connection.value(_ONE))
    await database.close()


async def test_a_connection_that_is_being_ended_is_503_and_given_up(clusters: tuple[Cluster, Cluster]) -> None:
    """A statement that meets the server's goodbye is refused by the driver in words of its own; the next one works."""
    database = await PostgreSQLDatabase.open(_url(clusters[0]), pool_size=1)

    async def meet(connection: Connection) -> None:
        await connection.value(_ONE)
        raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")

    with pytest.raises(ServiceUnavailable):
        await database.write(meet)
    with pytest.raises(ServiceUnavailable):
        await database.read(meet)
    assert await _port(database) == clusters[0].port
    await database.close()


async def test_writers_leave_a_connection_to_readers(clusters: tuple[Cluster, Cluster]) -> None:
    """However many wait for a lock, a read is answered at once."""
    database = await PostgreSQLDatabase.open(_url(clusters[0]), pool_size=3)

    async def wait(transaction: Transaction) -> None:
        await transaction.value(_WAIT)

    writing = [asyncio.create_task(database.write(wait)) for _ in range(6)]
    await asyncio.sleep(0.5)
    began = time.monotonic()
    assert await _port(database) == clusters[0].port
    assert time.monotonic() - began < 1
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    await database.close()


async def test_requests_do_not_pile_up_before_the_pool(
    clusters: tuple[Cluster, Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a number of those who wait the next one is told so at once."""
    monkeypatch.setattr(postgresql, "_MOST_WAITING", 2)
    database = await PostgreSQLDatabase.open(_url(clusters[0]), pool_size=1)
    reading = []
    for _ in range(3):
        reading.append(asyncio.create_task(database.read(lambda connection: connection.value(_WAIT))))
        await asyncio.sleep(0.3)
    with pytest.raises(ServiceUnavailable, match="Too many requests"):
        await database.read(lambda connection: connection.value(_ONE))
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    assert await _port(database) == clusters[0].port
    await database.close()
