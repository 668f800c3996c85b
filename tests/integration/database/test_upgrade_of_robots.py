# SPDX-License-Identifier: Apache-2.0
"""The upgrade of a registry that has robots already: they are counted, and who made them is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from tests.upgrading import fill_first_schema, on_empty_database, upgrade

_FILL = """
INSERT INTO projects (id, name, created_at, updated_at) VALUES (7, 'team', 0, 0);
INSERT INTO robots (name, level, project_id, secret_hash, permissions, duration_days, creator, created_at, updated_at)
VALUES ('a', 'system', NULL, '!', '[]', -1, 'admin', 0, 0), ('b', 'system', NULL, '!', '[]', -1, 'robot$a', 0, 0),
       ('c', 'project', 7, '!', '[]', -1, 'maria', 0, 0);
"""


def _upgrade(connection: Connection) -> tuple[list[tuple[int, int]], list[tuple[str, str]]]:
    fill_first_schema(connection, _FILL)
    upgrade(connection)
    totals = connection.exec_driver_sql(
        "SELECT scope_id, total FROM list_totals WHERE list = 'robots' ORDER BY scope_id"
    ).all()
    creators = connection.exec_driver_sql("SELECT name, creator_type FROM robots ORDER BY name").all()
    return [(row[0], row[1]) for row in totals], [(row[0], row[1]) for row in creators]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_robots_are_counted(tmp_path: Path, postgresql_server: str, dialect: str) -> None:
    """Totals and makers of robots are right after the upgrade from the first release's schema."""
    found = await on_empty_database(dialect, tmp_path, postgresql_server, _upgrade)
    assert found == ([(0, 2), (7, 1)], [("a", "local"), ("b", "robot"), ("c", "local")])
