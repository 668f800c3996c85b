# SPDX-License-Identifier: Apache-2.0
"""The upgrade of a registry that has people already: they are counted, and nobody is disabled."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
import sqlalchemy
from alembic import command
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from longshore.database.migrate import configuration

_FILL = """
INSERT INTO users (id, username, password_hash, sysadmin, created_at, updated_at) VALUES (1, 'admin', '!', true, 0, 0);
INSERT INTO users (id, username, password_hash, created_at, updated_at, deleted_at) VALUES (2, 'anonymous', '!', 0, 0, 0);
INSERT INTO users (id, username, password_hash, created_at, updated_at, deleted_at)
VALUES (3, 'dora', '!', 0, 0, NULL), (4, 'erik', '!', 0, 0, NULL), (5, 'gone', '!', 0, 0, 0);
"""


def _upgrade(connection: Connection) -> tuple[int, int]:
    command.upgrade(configuration(connection), "0001")
    for statement in _FILL.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
    command.upgrade(configuration(connection), "head")
    total = connection.exec_driver_sql(
        "SELECT total FROM list_totals WHERE list = 'users' AND scope_id = 0"
    ).scalar_one()
    enabled = connection.exec_driver_sql("SELECT count(*) FROM users WHERE NOT disabled").scalar_one()
    return total, enabled


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_people_are_counted(tmp_path: Path, postgresql_server: str, dialect: str) -> None:
    """The total of people is right after the upgrade from the first release's schema, and everybody may log in as before."""
    if dialect == "sqlite":
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
        with engine.connect() as connection:
            found = _upgrade(connection)
        engine.dispose()
    else:
        server = await asyncpg.connect(f"{postgresql_server}/postgres")
        await server.execute("CREATE DATABASE people")
        await server.close()
        url = sqlalchemy.make_url(f"{postgresql_server}/people").set(drivername="postgresql+asyncpg")
        async_engine = create_async_engine(url)
        async with async_engine.connect() as async_connection:
            found = await async_connection.run_sync(_upgrade)
        await async_engine.dispose()
    assert found == (2, 5)
