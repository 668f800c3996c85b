# SPDX-License-Identifier: Apache-2.0
"""Full projects and large trashes are looked at through indexes: never more than the project at hand."""

from __future__ import annotations

import re

import asyncpg
import pytest

from longshore.database.connection import Dialect
from longshore.database.sqlite import connect
from longshore.database.statement import Statement
from longshore.labels.queries import HasLabels
from longshore.listing.models import AllOf
from longshore.registry import quota, trim
from tests.databases import Databases

_LABELLED, _ = HasLabels("m.id").where("labels", AllOf(("1", "2")), "q_labels")
_STATEMENTS = {
    "what could go": quota._RECLAIMABLE,
    "what is too much": trim._CUT,
    "where it is": trim._REPOSITORIES,
    "artifacts by labels": Statement(f"SELECT m.id FROM manifests m WHERE m.repository_id = :r AND {_LABELLED}"),
}
# Subqueries and the rows of a page, which are few.
_SMALL = {"SCAN a", "SCAN gone", "SCAN held", "SCAN deletions", "SCAN summed", "SCAN trashed"}


@pytest.mark.parametrize("name", _STATEMENTS)
async def test_no_table_is_scanned(databases: Databases, name: str) -> None:
    """Every table is reached by an index."""
    statement = _STATEMENTS[name]
    parameters = dict.fromkeys(statement._names, 1)
    if databases.dialect is Dialect.SQLITE:
        assert databases.path is not None
        connection = connect(databases.path)
        arguments = statement.sqlite_arguments(parameters)
        lines = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", arguments)]
        connection.close()
        scanned = {line for line in lines if line.startswith("SCAN ") and "(subquery-" not in line}
        assert scanned - {"SCAN CONSTANT ROW"} <= _SMALL, "\n".join(lines)
        return
    server = await asyncpg.connect(databases.url)
    try:
        await server.execute("SET enable_seqscan = off")
        rows = await server.fetch(
            f"EXPLAIN (COSTS OFF) {statement.postgresql}", *statement.postgresql_arguments(parameters)
        )
    finally:
        await server.close()
    plan = "\n".join(row[0] for row in rows)
    assert not re.search(r"Seq Scan on (?!.*trashed)", plan), plan
