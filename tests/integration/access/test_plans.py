# SPDX-License-Identifier: Apache-2.0
"""Pages of lists skip what comes before them in an index alone, and totals are counted there."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from longshore.audit import queries as audit
from longshore.database.connection import Dialect
from longshore.database.sqlite import connect
from longshore.database.statement import Statement
from longshore.groups import queries as groups
from longshore.groups.models import GroupType
from longshore.identity import queries as users
from longshore.labels import queries as labels
from longshore.listing.models import EVERYTHING
from longshore.listing.statements import List
from longshore.projects import lists as project_lists
from longshore.projects import queries as projects
from longshore.quotas import queries as quotas
from longshore.robots import queries as robots
from tests.databases import Databases

_SCOPES: dict[str, dict[str, Any]] = {
    "all projects": {},
    "public projects": {},
    "private projects": {},
    "own private projects": {"project_ids": [1, 3, 5]},
    "groups of a type": {},
    "members": {"project_id": 1},
    "users": {},
    "labels": {},
    "labels of a project": {"project_id": 1},
    "robots": {},
    "robots of a project": {"project_id": 1},
    "audit log": {},
    "audit log of a project": {"project_id": 1},
}
# A list, and the index of its own order: SQLite's and PostgreSQL's.
_LISTS: dict[str, tuple[List, str, str]] = {
    "all projects": (project_lists.EVERY, "ix_projects_listing", "ix_projects_listing"),
    "public projects": (project_lists.PUBLIC, "ix_projects_public_listing", "ix_projects_public_listing"),
    "private projects": (project_lists.PRIVATE, "ix_projects_public_listing", "ix_projects_public_listing"),
    "own private projects": (project_lists._OWN_KEYS, "", "pk_projects"),
    "groups of a type": (groups._OF_TYPE[GroupType.OIDC], "ix_user_groups_type", "ix_user_groups_type"),
    "members": (projects._MEMBERS, "ix_project_members_name", "ix_project_members_name"),
    "users": (users._LIST, "ix_users_listing", "ix_users_listing"),
    "labels": (labels._GLOBAL_LIST, "ix_labels_project_id_id", "ix_labels_project_id_id"),
    "labels of a project": (labels._PROJECT_LIST, "ix_labels_project_id_id", "ix_labels_project_id_id"),
    "robots": (robots._SYSTEM_LIST, "uq_robots_project_name", "uq_robots_system_name"),
    "robots of a project": (robots._PROJECT_LIST, "uq_robots_project_name", "uq_robots_project_name"),
    "audit log": (audit.EVERYWHERE, "ix_audit_log_listing", "ix_audit_log_listing"),
    "audit log of a project": (audit.IN_PROJECT, "ix_audit_log_project", "ix_audit_log_project"),
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
INSERT INTO audit_log (project_id, at, operation, resource_type, resource, username, description, success, source)
NUMBERS SELECT n % 3, n, 'pull', 'artifact', 'project/app:1', 'admin', 'pull artifact project/app:1', true, '' FROM numbers;
INSERT INTO labels (name, created_at, updated_at) NUMBERS SELECT 'label' || n, 0, 0 FROM numbers WHERE n <= 100;
INSERT INTO labels (project_id, name, created_at, updated_at)
NUMBERS SELECT n % 10 + 1, 'label' || n, 0, 0 FROM numbers;
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
@pytest.mark.parametrize("which", ["page", "number"])
async def test_a_page_is_skipped_to_in_an_index(databases: Databases, name: str, which: str) -> None:
    """The index has all that the filter needs, in the order of the list: no row is read for what isn't on the page."""
    items, sqlite, postgresql = _LISTS[name]
    page, number, values = items.statements(EVERYTHING)
    statement = page if which == "page" else number
    plan = await _plan(databases, statement, {**values, **_SCOPES[name]})
    if "FROM list_totals" in statement.text:
        assert "sqlite_autoindex_list_totals_1" in plan or "pk_list_totals" in plan, plan
        return
    if databases.dialect is Dialect.SQLITE:
        # The numbers that somebody names are looked up one by one.
        found = f"USING COVERING INDEX {sqlite}" if sqlite else "SEARCH p USING INTEGER PRIMARY KEY"
        assert found in plan, plan
    else:
        assert f"using {postgresql}" in plan, plan
        assert "Seq Scan" not in plan, plan


async def test_quotas_come_in_the_order_of_projects(databases: Databases) -> None:
    """A page of quotas is read from the newest project on, without sorting all of them."""
    page, _, values = quotas._LIST.statements(EVERYTHING)
    plan = await _plan(databases, page, values)
    if databases.dialect is Dialect.SQLITE:
        # What is sorted is the page, behind it.
        first = ["MATERIALIZE page", "SEARCH p USING INTEGER PRIMARY KEY (rowid>?)", "SCAN page"]
        assert plan.splitlines()[:3] == first, plan
    else:
        assert "Index Scan Backward using pk_projects" in plan, plan
        assert "Sort" not in plan.partition("Limit")[2].partition("Join")[0], plan
