# SPDX-License-Identifier: Apache-2.0
"""A server that starts knows how many connections its replicas may open, although most of them aren't open yet."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from longshore.config import Settings, SettingsError
from longshore.preparation import prepare
from longshore.system.connections import Kind, Share
from tests.conftest import _TEMPLATE, server_with_template
from tests.databases import postgresql_database

KEY = b"k" * 32
KINDS: tuple[Kind, ...] = ("api", "worker")
# What the server of the tests allows: 100, of which 3 are kept for superusers.
ALLOWED = 97


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[str]:
    """A server of these tests' own: what other tests have open isn't counted here."""
    yield from server_with_template()


@asynccontextmanager
async def _connected(url: str, *names: str) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for name in names:
            connection = await asyncpg.connect(url, server_settings={"application_name": name})
            stack.push_async_callback(connection.close)
        yield


def _settings(folder: Path, url: str, *, workers: int, pool: int) -> Settings:
    given = {"data_dir": folder, "database_url": url, "workers": workers, "database_pool": pool}
    return Settings.model_validate(given | {"secret_key": "k" * 32, "admin_password": "Harbor12345"})


async def _warnings(settings: Settings) -> list[dict[str, object]]:
    with capture_logs() as logs:
        await prepare(settings, KEY, KINDS)
    return [dict(line) for line in logs if str(line["event"]).startswith("database connections may run out")]


async def _others(url: str) -> int:
    """What servers of other tests may need that run on the same PostgreSQL."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT DISTINCT application_name AS name FROM pg_stat_activity")
    finally:
        await connection.close()
    shares = [re.fullmatch(r"longshore \w+ \w+ (\d+)x(\d+)", row["name"] or "") for row in rows]
    return sum(int(share[1]) * int(share[2]) for share in shares if share is not None)


async def test_one_connection_of_a_replica_stands_for_its_whole_share(tmp_path: Path, postgresql_server: str) -> None:
    """A start that would exceed the limit with the replicas that run says so, and with which numbers."""
    async with postgresql_database(postgresql_server, _TEMPLATE) as database:
        settings = _settings(tmp_path, database.url, workers=4, pool=4)
        others = await _others(database.url)
        assert await _warnings(settings) == []
        async with _connected(database.url, "longshore api 0123abcd 16x4", "longshore api 0123abcd 16x4"):
            assert await _warnings(settings) == []
            async with _connected(database.url, "longshore worker 0123abcd 1x4", "longshore api 4567abcd 4x4"):
                (warning,) = await _warnings(settings)
    assert warning["allowed"] == ALLOWED
    assert warning["needed_here"] == 5 * 4
    assert warning["needed_by_replicas"] == (16 + 1 + 4) * 4 + others


async def test_a_server_does_not_count_its_former_self(tmp_path: Path, postgresql_server: str) -> None:
    """Connections that the same server left behind at a restart are its own share."""
    async with postgresql_database(postgresql_server, _TEMPLATE) as database:
        settings = _settings(tmp_path, database.url, workers=16, pool=5)
        own = Share.of(settings, "api")
        assert own.connections == 80
        async with _connected(database.url, own.name, own.name, Share.of(settings, "worker").name):
            assert await _warnings(settings) == []
        other = Share("api", "0" * 8, own.processes, own.pool)
        assert other.server != own.server
        async with _connected(database.url, other.name):
            assert len(await _warnings(settings)) == 1


async def test_others_count_by_what_they_have_open(tmp_path: Path, postgresql_server: str) -> None:
    """Connections of anybody else promise nothing: each is one."""
    async with postgresql_database(postgresql_server, _TEMPLATE) as database:
        settings = _settings(tmp_path, database.url, workers=19, pool=4)
        before = ALLOWED - 80
        async with _connected(database.url, *["psql"] * (before + 1)):
            (warning,) = await _warnings(settings)
    assert int(str(warning["used_by_others"])) > before


async def test_too_many_for_one_server_are_refused(tmp_path: Path, postgresql_server: str) -> None:
    """A server that could never open its pools doesn't start."""
    async with postgresql_database(postgresql_server, _TEMPLATE) as database:
        settings = _settings(tmp_path, database.url, workers=24, pool=4)
        with pytest.raises(
            SettingsError, match=r"LONGSHORE_DATABASE_POOL: 25 processes .* need 100, but the server allows 97"
        ):
            await prepare(settings, KEY, KINDS)
        # Without the worker it just fits.
        await prepare(settings, KEY, KINDS[:1])


def test_a_name_tells_what_it_was_made_of(tmp_path: Path) -> None:
    """Names go there and back, and fit into PostgreSQL's 63 bytes; other names are nobody's share."""
    settings = _settings(tmp_path, "postgresql://nowhere/x", workers=64, pool=64)
    for share in (Share.of(settings, "api"), Share.of(settings, "worker")):
        assert Share.parse(share.name) == share
        assert len(share.name) < 64
    for name in ("longshore", "psql", "longshore api 0123abcd 4x4 ", "longshore web 0123abcd 4x4"):
        assert Share.parse(name) is None
