# SPDX-License-Identifier: Apache-2.0
"""The upgrade of a registry that has people already: they are counted, and nobody is disabled."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from tests.upgrading import fill_first_schema, on_empty_database, upgrade

_FILL = """
INSERT INTO users (id, username, password_hash, sysadmin, created_at, updated_at) VALUES (1, 'admin', '!', true, 0, 0);
INSERT INTO users (id, username, password_hash, created_at, updated_at, deleted_at) VALUES (2, 'anonymous', '!', 0, 0, 0);
INSERT INTO users (id, username, password_hash, created_at, updated_at, deleted_at)
VALUES (3, 'dora', '!', 0, 0, NULL), (4, 'erik', '!', 0, 0, NULL), (5, 'gone', '!', 0, 0, 0);
"""


def _upgrade(connection: Connection) -> tuple[int, int]:
    fill_first_schema(connection, _FILL)
    upgrade(connection)
    total = connection.exec_driver_sql(
        "SELECT total FROM list_totals WHERE list = 'users' AND scope_id = 0"
    ).scalar_one()
    enabled = connection.exec_driver_sql("SELECT count(*) FROM users WHERE NOT disabled").scalar_one()
    return total, enabled


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_people_are_counted(tmp_path: Path, postgresql_server: str, dialect: str) -> None:
    """The total of people is right after the upgrade from the first release's schema, and everybody may log in as before."""
    found = await on_empty_database(dialect, tmp_path, postgresql_server, _upgrade)
    assert found == (2, 5)
