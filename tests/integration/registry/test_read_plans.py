# SPDX-License-Identifier: Apache-2.0
"""What every pull reads costs a few rows, alone and together with others, whatever the statistics say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from longshore.database.connection import Dialect
from longshore.database.sqlite import connect
from longshore.database.statement import Statement
from longshore.registry import blobs, manifests
from tests.databases import Databases

_STATEMENTS = {
    "manifest by tag": (manifests._BY_TAG, "reference", "build-{}"),
    "manifest by digest": (manifests._BY_DIGEST, "reference", "sha256:{}"),
    "blob": (blobs._FIND, "digest", "sha256:{}"),
    "promise": (blobs._PROMISE, "digest", "sha256:{}"),
}
# Two thousand repositories with a manifest and a blob each, and one with as many of everything and four tags for each manifest.
_MANY = 2_000
_NUMBERS = f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {_MANY})"
_FILL = f"""
INSERT INTO projects (name, public, created_at, updated_at) VALUES ('team', false, 0, 0);
INSERT INTO repositories (project_id, name, created_at)
{_NUMBERS} SELECT p.id, 'app' || n, 0 FROM numbers, projects p WHERE p.name = 'team';
INSERT INTO blobs (digest, size, key, location) {_NUMBERS} SELECT 'sha256:' || n, 1, 'key' || n, '' FROM numbers;
INSERT INTO project_blobs (project_id, blob_id, size) SELECT p.id, b.id, 1 FROM projects p, blobs b WHERE p.name = 'team';
INSERT INTO repository_blobs (repository_id, blob_id, project_id)
SELECT r.id, b.id, r.project_id FROM repositories r JOIN blobs b
ON r.name = 'app1' OR b.digest = 'sha256:' || substr(r.name, 4);
INSERT INTO manifests (repository_id, digest, media_type, size, pushed_at, payload)
SELECT r.id, b.digest, 'm', 1, 0, CAST('' AS PAYLOAD) FROM repositories r JOIN blobs b
ON r.name = 'app1' OR b.digest = 'sha256:' || substr(r.name, 4);
INSERT INTO tags (repository_id, name, manifest_id, pushed_at)
SELECT repository_id, 'build-' || substr(digest, 8), id, 0 FROM manifests;
INSERT INTO tags (repository_id, name, manifest_id, pushed_at)
SELECT m.repository_id, 'v' || n || '-' || m.id, m.id, 0 FROM manifests m JOIN repositories r ON r.id = m.repository_id
AND r.name = 'app1', ({_NUMBERS} SELECT n FROM numbers WHERE n <= 4) AS few;
"""
_PLACES = 20


def _rows_read(plan: dict[str, Any]) -> Iterator[float]:
    """How many rows each step of a plan has looked at."""
    looked = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Join Filter", 0)
    yield (looked + plan.get("Rows Removed by Index Recheck", 0)) * plan["Actual Loops"]
    for part in plan.get("Plans", ()):
        yield from _rows_read(part)


def _arguments(name: str, project_id: int, count: int) -> list[dict[str, Any]]:
    _, key, pattern = _STATEMENTS[name]
    asked: list[dict[str, Any]] = [
        {"project_id": project_id, "path": "app1", key: pattern.format(number * 90 + 1)} for number in range(count)
    ]
    return [{**each, "half": 1, "grace": 1} for each in asked]


@pytest.mark.parametrize("statistics", [False, True], ids=["without statistics", "with statistics"])
@pytest.mark.parametrize("name", _STATEMENTS)
async def test_a_read_looks_at_a_few_rows(databases: Databases, name: str, statistics: bool) -> None:
    """Twenty reads of one statement, alone and at once, look at some rows each in a repository that has thousands."""
    statement = _STATEMENTS[name][0]
    if databases.dialect is Dialect.SQLITE:
        _check_sqlite(databases, statement, name, statistics=statistics)
        return
    server = await asyncpg.connect(databases.url)
    try:
        await server.execute(_FILL.replace("PAYLOAD", "BYTEA"))
        if statistics:
            await server.execute("ANALYZE")
        project_id = await server.fetchval("SELECT id FROM projects WHERE name = 'team'")
        places = [statement.postgresql_arguments(each) for each in _arguments(name, project_id, _PLACES)]
        types = tuple("BIGINT" if isinstance(value, int) else "TEXT" for value in places[0])
        together = await _plan(
            server, statement.gathered(types), [list(column) for column in zip(*places, strict=True)]
        )
        assert together["Actual Rows"] == _PLACES
        assert max(_rows_read(together)) <= _PLACES * 4, json.dumps(together, indent=1)
        alone = await _plan(server, statement.postgresql, list(places[3]))
        assert alone["Actual Rows"] == 1
        assert max(_rows_read(alone)) <= 4, json.dumps(alone, indent=1)
    finally:
        await server.close()


async def _plan(server: Any, text: str, arguments: list[Any]) -> dict[str, Any]:
    found = await server.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {text}", *arguments)
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


def _check_sqlite(databases: Databases, statement: Statement, name: str, *, statistics: bool) -> None:
    assert databases.path is not None
    connection = connect(databases.path)
    try:
        connection.executescript(_FILL.replace("PAYLOAD", "BLOB"))
        if statistics:
            connection.execute("ANALYZE")
        (project_id,) = connection.execute("SELECT id FROM projects WHERE name = 'team'").fetchone()
        arguments = statement.sqlite_arguments(_arguments(name, project_id, 1)[0])
        assert connection.execute(statement.sqlite, arguments).fetchone() is not None
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", arguments)]
        assert not [step for step in steps if "SCAN" in step and "CONSTANT" not in step], steps
        tags = [step for step in steps if step.startswith(("SEARCH t ", "SEARCH m ", "SEARCH rb "))]
        assert all(step.count("=?") >= 2 or "INTEGER PRIMARY KEY" in step for step in tags), steps
    finally:
        connection.close()
