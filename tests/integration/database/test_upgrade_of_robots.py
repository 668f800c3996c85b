# SPDX-License-Identifier: Apache-2.0
"""The upgrade of a registry that has robots already: they are counted, and who made them is known."""

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
INSERT INTO projects (id, name, created_at, updated_at) VALUES (7, 'team', 0, 0);
INSERT INTO robots (name, level, project_id, secret_hash, permissions, duration_days, creator, created_at, updated_at)
VALUES ('a', 'system', NULL, '!', '[]', -1, 'admin', 0, 0), ('b', 'system', NULL, '!', '[]', -1, 'robot$a', 0, 0),
       ('c', 'project', 7, '!', '[]', -1, 'maria', 0, 0);
"""


def _upgrade(connection: Connection) -> tuple[list[tuple[int, int]], list[tuple[str, str]]]:
    command.upgrade(configuration(connection), "0001")
    for statement in _FILL.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
    command.upgrade(configuration(connection), "head")
    totals = connection.exec_driver_sql(
        "SELECT scope_id, total FROM list_totals WHERE list = 'robots' ORDER BY scope_id"
    ).all()
    creators = connection.exec_driver_sql("SELECT name, creator_type FROM robots ORDER BY name").all()
    return [(row[0], row[1]) for row in totals], [(row[0], row[1]) for row in creators]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_robots_are_counted(tmp_path: Path, postgresql_server: str, dialect: str) -> None:
    """Totals and makers of robots are right after the upgrade from the first release's schema."""
    if dialect == "sqlite":
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
        with engine.connect() as connection:
            found = _upgrade(connection)
        engine.dispose()
    else:
        server = await asyncpg.connect(f"{postgresql_server}/postgres")
        await server.execute("CREATE DATABASE robots")
        await server.close()
        url = sqlalchemy.make_url(f"{postgresql_server}/robots").set(drivername="postgresql+asyncpg")
        async_engine = create_async_engine(url)
        async with async_engine.connect() as async_connection:
            found = await async_connection.run_sync(_upgrade)
        await async_engine.dispose()
    assert found == ([(0, 2), (7, 1)], [("a", "local"), ("b", "robot"), ("c", "local")])
