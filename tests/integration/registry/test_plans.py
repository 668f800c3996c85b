# SPDX-License-Identifier: Apache-2.0
"""Reclaim never searches: its queries cost what is due, not what waits."""

from __future__ import annotations

import asyncpg
import pytest

from longshore.artifacts import backlog, icons
from longshore.database.connection import Dialect
from longshore.database.sqlite import connect
from longshore.database.statement import Statement
from longshore.registry import artifacts, collect, expiry, purge, repository_purge, review, sweep
from tests.databases import Databases

_QUEUES = {
    "review": (review._DUE, "ix_manifests_review_after"),
    "purge": (purge._DUE, "ix_manifests_purge_after"),
    "collect": (collect._DUE, "ix_repository_blobs_lease_until"),
    "describe": (backlog._DUE, "ix_artifacts_describe_after"),
    "sweep": (sweep._DUE, "ix_trash_purge_after"),
    "expire": (expiry._EXPIRED, "ix_upload_sessions_expires_at"),
    "unlisted": (expiry._UNLISTED, "ix_repositories_unlisted"),
    "projects": (expiry._PURGED_PROJECTS, "ix_projects_purge_after"),
    "repositories": (repository_purge._DUE, "ix_repositories_purge_after"),
    "manifests of a repository": (repository_purge._MANIFESTS, "ix_manifests_repository_id_purge_after"),
}


def _parameters(statement: Statement) -> dict[str, int]:
    return dict.fromkeys(statement._names, 1)


@pytest.mark.parametrize("queue", _QUEUES)
async def test_a_queue_is_read_from_its_index_up_to_now(databases: Databases, queue: str) -> None:
    """The database compares the index with the time: what isn't due yet is not looked at."""
    statement, index = _QUEUES[queue]
    parameters = _parameters(statement)
    if databases.dialect is Dialect.SQLITE:
        assert databases.path is not None
        connection = connect(databases.path)
        rows = connection.execute(
            f"EXPLAIN QUERY PLAN {statement.sqlite}", statement.sqlite_arguments(parameters)
        ).fetchall()
        connection.close()
        plan = "\n".join(row[3] for row in rows)
        assert f"INDEX {index} (" in plan
        return
    server = await asyncpg.connect(databases.url)
    try:
        await server.execute("SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off")
        arguments = statement.postgresql_arguments(parameters)
        rows = await server.fetch(f"EXPLAIN (COSTS OFF) {statement.postgresql}", *arguments)
    finally:
        await server.close()
    lines = [row[0].strip() for row in rows]
    place = next(number for number, line in enumerate(lines) if index in line)
    assert lines[place + 1].startswith("Index Cond:"), "\n".join(lines)


_LOOKED_UP = {
    "listed": (artifacts._REFRESH, "artifacts"),
    "a tag less": (artifacts._UNTAG, "artifacts"),
    "sizes of indexes": (artifacts._GROW_PARENTS, "artifacts"),
    "icon": (icons._OWNER, "artifacts"),
}


@pytest.mark.parametrize("name", _LOOKED_UP)
async def test_what_a_push_says_of_artifacts_finds_its_rows_by_index(databases: Databases, name: str) -> None:
    """A push costs the same in a registry of a million artifacts: no table is scanned."""
    statement, table = _LOOKED_UP[name]
    parameters: dict[str, object] = dict.fromkeys(statement._names, 1)
    if "ids" in parameters:
        parameters["ids"] = [1]
    if "digest" in parameters:
        parameters["digest"] = "sha256:x"
    if databases.dialect is Dialect.SQLITE:
        assert databases.path is not None
        connection = connect(databases.path)
        rows = connection.execute(
            f"EXPLAIN QUERY PLAN {statement.sqlite}", statement.sqlite_arguments(parameters)
        ).fetchall()
        connection.close()
        plan = [row[3] for row in rows]
        assert any(line.startswith(f"SEARCH {table}") for line in plan), plan
        assert not [
            line for line in plan if line.startswith("SCAN") and "json_each" not in line and "SUBQUERY" not in line
        ]
        return
    server = await asyncpg.connect(databases.url)
    try:
        await server.execute("SET enable_seqscan = off")
        rows = await server.fetch(
            f"EXPLAIN (COSTS OFF) {statement.postgresql}", *statement.postgresql_arguments(parameters)
        )
    finally:
        await server.close()
    assert not [row[0] for row in rows if "Seq Scan" in row[0]]
