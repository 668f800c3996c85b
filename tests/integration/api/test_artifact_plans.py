# SPDX-License-Identifier: Apache-2.0
"""Pages of repositories, artifacts and tags: skipped to in an index, and never a look at what isn't below the parent."""

from __future__ import annotations

import re
from typing import Any

import asyncpg
import pytest

from longshore.artifacts import lists, repository_queries
from longshore.artifacts.models import Latest
from longshore.database.connection import Dialect
from longshore.database.sqlite import connect
from longshore.database.statement import Statement
from longshore.listing.models import EVERYTHING, AllOf, Condition, Exact, Fuzzy, Order, Range, Wanted
from longshore.listing.statements import List
from tests.databases import Databases

_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000)"
_FILL = """
INSERT INTO projects (name, created_at, updated_at) NUMBERS SELECT 'project' || n, 0, 0 FROM numbers WHERE n <= 100;
INSERT INTO project_usage (project_id) NUMBERS SELECT n FROM numbers WHERE n <= 100;
INSERT INTO repositories (project_id, name, created_at, listed_at)
NUMBERS SELECT n % 100 + 1, 'repository' || n, n, n FROM numbers;
INSERT INTO manifests (repository_id, digest, media_type, size, pushed_at, payload)
NUMBERS SELECT n % 50 + 1, 'sha256:' || n, 'application/json', 1, n, 'a payload that makes the row long' FROM numbers;
INSERT INTO artifacts (manifest_id, repository_id, project_id, pushed_at, listed, tag_count)
NUMBERS SELECT n, n % 50 + 1, n % 50 + 2, n, n % 10 <> 0, 1 FROM numbers;
INSERT INTO tags (repository_id, name, manifest_id, pushed_at, id)
NUMBERS SELECT n % 50 + 1, 'v' || n, n, n, n FROM numbers;
""".replace("NUMBERS", _NUMBERS)
_PARAMETERS: dict[str, Any] = {
    "repository_id": 1,
    "project_id": 1,
    "manifest_id": 1,
    "latest": "application/json",
    "public_too": True,
    "project_ids": [1],
    "ids": [1, 2, 3],
    "reference": "v1",
}
_OWN: dict[str, tuple[List, str]] = {
    "artifacts": (lists.OF_REPOSITORY, "ix_artifacts_listing"),
    "artifacts of a project": (lists.OF_PROJECT, "ix_artifacts_project_listing"),
    "repositories": (repository_queries.OF_PROJECT, "ix_repositories_listing"),
    "many repositories in sight": (repository_queries.MANY_IN_SIGHT, "ix_repositories_newest"),
    "all repositories": (repository_queries.EVERYWHERE, "ix_repositories_newest"),
}
_OTHERS: dict[str, List] = {
    "artifacts with children": lists.ALL_OF_REPOSITORY,
    "artifacts of a project with children": lists.ALL_OF_PROJECT,
    "latest by media type": lists.LATEST[Latest.MEDIA_TYPE],
    "latest by artifact type": lists.LATEST[Latest.ARTIFACT_TYPE],
    "few repositories in sight": repository_queries.FEW_IN_SIGHT,
    "tags": lists.TAGS,
    "accessories": lists.ACCESSORIES,
}
_CONDITIONS: dict[str, Condition] = {
    "tags": Exact("v1"),
    "labels": AllOf(("1", "2")),
    "digest": Exact("sha256:1"),
    "type": Fuzzy("image"),
    "push_time": Range("2026-01-01", None),
    "pull_time": Range(None, "2026-01-01"),
}
_STATEMENTS = {
    "by digest": lists.BY_DIGEST,
    "by tag": lists.BY_TAG,
    "tags of": lists.TAGS_OF,
    "accessories of": lists.ACCESSORIES_OF,
    "inherited by": lists.INHERITED_BY,
    "children of": lists.CHILDREN_OF,
    "payloads of": lists.PAYLOADS_OF,
}


async def _plan(databases: Databases, statement: Statement, values: dict[str, Any]) -> str:
    """How the database would run the statement over a few thousand rows."""
    parameters = {**_PARAMETERS, **values}
    if databases.path is not None:
        connection = connect(databases.path)
        connection.executescript(_FILL)
        connection.execute("ANALYZE")
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", statement.sqlite_arguments(parameters))
        plan = "\n".join(row[3] for row in rows)
        connection.close()
        return plan
    server = await asyncpg.connect(databases.url)
    try:
        await server.execute(_FILL.replace("'a payload that makes the row long'", "'\\x00'"))
        await server.execute("VACUUM ANALYZE")
        # So few rows are read as fast from the table itself.
        await server.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        rows = await server.fetch(
            f"EXPLAIN (COSTS OFF) {statement.postgresql}", *statement.postgresql_arguments(parameters)
        )
        return "\n".join(row[0] for row in rows)
    finally:
        await server.close()


def _scanned(plan: str) -> list[str]:
    """What the plan reads whole: tables or indexes of tables."""
    lines = [line for line in plan.splitlines() if re.search(r"\bSCAN\b|Seq Scan", line)]
    return [line for line in lines if not re.search(r"SCAN page\b|VIRTUAL TABLE", line)]


@pytest.mark.parametrize("name", _OWN)
async def test_a_page_in_its_own_order_is_skipped_to_in_an_index(databases: Databases, name: str) -> None:
    """No row is read for what isn't on the page, and the number of items is a number that is kept."""
    items, index = _OWN[name]
    page, number, values = items.statements(EVERYTHING)
    plan = await _plan(databases, page, values)
    assert all(index in line or "ix_projects_" in line for line in _scanned(plan)), plan
    if databases.dialect is Dialect.SQLITE:
        assert f"USING COVERING INDEX {index}" in plan, plan
        assert plan.count("TEMP B-TREE") <= 1, plan
    elif items is not repository_queries.MANY_IN_SIGHT:
        # Of that list PostgreSQL knows by itself how many there are, and here they are few.
        assert re.search(f"Index Only Scan (Backward )?using {index}", plan), plan
    assert "count(*)" not in number.text


@pytest.mark.parametrize("name", _OTHERS)
@pytest.mark.parametrize("which", ["page", "number"])
async def test_other_lists_look_below_their_parent_only(databases: Databases, name: str, which: str) -> None:
    """No table is read whole."""
    page, number, values = _OTHERS[name].statements(EVERYTHING)
    plan = await _plan(databases, page if which == "page" else number, values)
    # Whose projects are in sight is looked up as the list of projects does it.
    assert all("ix_projects_" in line for line in _scanned(plan)), plan


@pytest.mark.parametrize("key", _CONDITIONS)
@pytest.mark.parametrize("items", [lists.OF_REPOSITORY, lists.OF_PROJECT], ids=["repository", "project"])
async def test_conditions_and_orders_look_below_the_parent_only(databases: Databases, key: str, items: List) -> None:
    """Neither does a condition, or another order, read a table whole."""
    wanted = Wanted({key: _CONDITIONS[key]}, (Order("pull_time", descending=True),))
    page, _, values = items.statements(wanted)
    plan = await _plan(databases, page, values)
    assert not _scanned(plan), plan


@pytest.mark.parametrize("name", _STATEMENTS)
async def test_what_belongs_to_a_page_is_looked_up(databases: Databases, name: str) -> None:
    """By keys alone."""
    plan = await _plan(databases, _STATEMENTS[name], {})
    assert not _scanned(plan), plan
