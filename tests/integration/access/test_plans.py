# SPDX-License-Identifier: Apache-2.0
"""Pages of lists skip what comes before them in an index alone, and totals are counted there."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from longshore.database.connection import Dialect
from longshore.database.sqlite import connect
from longshore.database.statement import Statement
from longshore.identity import queries as users
from longshore.projects import queries as projects
from longshore.robots import queries as robots
from tests.databases import Databases

_PROJECTS: dict[str, Any] = {
    "everything": False,
    "public_too": True,
    "project_ids": [1],
    "like": "",
    "public": -1,
    "owner": "",
    "offset": 0,
    "limit": 10,
}
_USERS: dict[str, Any] = {"username": "", "email": "", "offset": 0, "limit": 10}
_ROBOTS: dict[str, Any] = {"project_id": 1, "name": "", "offset": 0, "limit": 10}
# A statement, its parameters, and the index: SQLite's and PostgreSQL's.
_LISTS: dict[str, tuple[Statement, dict[str, Any], str, str]] = {
    "projects": (projects._PAGE, _PROJECTS, "ix_projects_listing", "ix_projects_listing"),
    "count of projects": (projects._TOTAL, _PROJECTS, "ix_projects_listing", "ix_projects_listing"),
    "users": (users._PAGE, _USERS, "ix_users_listing", "ix_users_listing"),
    "count of users": (users._TOTAL, _USERS, "ix_users_listing", "ix_users_listing"),
    "robots": (robots._SYSTEM_PAGE, _ROBOTS, "uq_robots_project_name", "uq_robots_system_name"),
    "count of robots": (robots._SYSTEM_TOTAL, _ROBOTS, "uq_robots_project_name", "uq_robots_system_name"),
    "robots of a project": (robots._PROJECT_PAGE, _ROBOTS, "uq_robots_project_name", "uq_robots_project_name"),
    "count of robots of a project": (
        robots._PROJECT_TOTAL,
        _ROBOTS,
        "uq_robots_project_name",
        "uq_robots_project_name",
    ),
}
_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000)"
_FILL = """
INSERT INTO users (username, password_hash, comment, created_at, updated_at)
NUMBERS SELECT 'user' || n, '!', 'a comment that makes the row longer than what the index has of it', 0, 0 FROM numbers;
INSERT INTO projects (name, public, owner_id, created_at, updated_at)
NUMBERS SELECT 'project' || n, n % 2 = 0, 1, 0, 0 FROM numbers;
INSERT INTO project_usage (project_id) NUMBERS SELECT n FROM numbers;
INSERT INTO robots (name, level, secret_hash, permissions, duration_days, creator, created_at, updated_at)
NUMBERS SELECT 'robot' || n, 'system', '!', '[]', -1, 'admin', 0, 0 FROM numbers;
INSERT INTO robots (name, level, project_id, secret_hash, permissions, duration_days, creator, created_at, updated_at)
NUMBERS SELECT 'robot' || n, 'project', 1, '!', '[]', -1, 'admin', 0, 0 FROM numbers;
""".replace("NUMBERS", _NUMBERS)


async def _plan(databases: Databases, statement: Statement, parameters: dict[str, Any]) -> str:
    """How the database would run the statement over a few thousand rows."""
    if databases.path is not None:
        connection = connect(databases.path)
        connection.executescript(_FILL)
        arguments = statement.sqlite_arguments(parameters)
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", arguments).fetchall()
        connection.close()
        return "\n".join(row[3] for row in rows)
    server = await asyncpg.connect(databases.url)
    try:
        await server.execute(_FILL)
        await server.execute("VACUUM ANALYZE")
        # So few rows are counted as fast in the table itself.
        await server.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        arguments = statement.postgresql_arguments(parameters)
        return "\n".join(
            row[0] for row in await server.fetch(f"EXPLAIN (COSTS OFF) {statement.postgresql}", *arguments)
        )
    finally:
        await server.close()


@pytest.mark.parametrize("name", _LISTS)
async def test_a_page_is_skipped_to_in_an_index(databases: Databases, name: str) -> None:
    """The index has all that the filter needs, in the order of the list: no row is read for what isn't on the page."""
    statement, parameters, sqlite, postgresql = _LISTS[name]
    plan = await _plan(databases, statement, parameters)
    if databases.dialect is Dialect.SQLITE:
        assert f"USING COVERING INDEX {sqlite}" in plan, plan
    else:
        assert f"Index Only Scan using {postgresql}" in plan, plan
