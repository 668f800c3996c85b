# SPDX-License-Identifier: Apache-2.0
"""The upgrade of a registry that has projects and members already: all are there, counted, and members have their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from tests.upgrading import fill_first_schema, on_empty_database, upgrade

_FILL = """
INSERT INTO users (id, username, password_hash, created_at, updated_at) VALUES (5, 'maria', '!', 0, 0);
INSERT INTO users (id, username, password_hash, created_at, updated_at) VALUES (6, 'ben', '!', 0, 0);
INSERT INTO projects (id, name, public, created_at, updated_at) VALUES (7, 'team', false, 0, 0);
INSERT INTO projects (id, name, public, created_at, updated_at) VALUES (8, 'open', true, 0, 0);
INSERT INTO projects (id, name, public, created_at, updated_at, deleted_at) VALUES (9, 'gone', true, 0, 0, 1);
INSERT INTO project_usage (project_id, repository_count) VALUES (7, 3), (8, 2), (9, 0);
INSERT INTO project_members (id, project_id, user_id, role, created_at) VALUES (20, 7, 5, 'guest', 0);
INSERT INTO project_members (id, project_id, user_id, role, created_at) VALUES (21, 7, 6, 'guest', 0);
INSERT INTO project_members (id, project_id, user_id, role, created_at) VALUES (22, 8, 5, 'maintainer', 0);
DELETE FROM project_members WHERE id = 22;
"""
_TOTALS = """
SELECT list, scope_id, total FROM list_totals
WHERE list LIKE 'members%' OR list LIKE 'projects%' OR list LIKE 'repositories%' ORDER BY list, scope_id
"""
_MEMBERS = "SELECT id, project_id, user_id, group_id, name, role FROM project_members ORDER BY id"


def _upgrade(connection: Connection) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    fill_first_schema(connection, _FILL)
    if connection.dialect.name == "sqlite":
        upgrade(connection)
        connection.exec_driver_sql(
            "INSERT INTO project_members (project_id, user_id, role, created_at) VALUES (8, 6, 'guest', 0)"
        )
        # A number that was given out once isn't given out again, also by the table that was made anew.
        assert connection.exec_driver_sql("SELECT max(id) FROM project_members").scalar() == 23
        connection.exec_driver_sql("DELETE FROM project_members WHERE id = 23")
    upgrade(connection)
    totals, members = connection.exec_driver_sql(_TOTALS).all(), connection.exec_driver_sql(_MEMBERS).all()
    return [tuple(row) for row in totals], [tuple(row) for row in members]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_projects_and_members_are_counted(tmp_path: Path, postgresql_server: str, dialect: str) -> None:
    """Totals and names of members are right after the upgrade from the first release's schema."""
    found = await on_empty_database(dialect, tmp_path, postgresql_server, _upgrade)
    assert found == (
        [
            ("members.guest", 7, 2),
            ("projects", 0, 2),
            ("projects.public", 0, 1),
            ("repositories", 0, 5),
            ("repositories.public", 0, 2),
        ],
        [(20, 7, 5, None, "maria", "guest"), (21, 7, 6, None, "ben", "guest")],
    )
