# SPDX-License-Identifier: Apache-2.0
"""No list of the product reads more than its page.

Every `List` is found by walking the modules, so that a new one is looked at without being named here. Each is asked for its
first page, for the page behind it and for its total, in its own order, over tables with thousands of rows and statistics of
them; the database tells how, and how many rows it touched.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import asyncpg
from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, Table

import longshore
import longshore.tables
from longshore.audit.queries import newest_of
from longshore.database.connection import Dialect
from longshore.database.sqlite import connect
from longshore.database.statement import Statement
from longshore.listing.models import EVERYTHING
from longshore.listing.statements import List
from tests.databases import Databases

ROWS = 6_000
# A parent has so many children: enough that reading all of them shows, few of all there are.
CHILDREN = 80
# What a page of ten may touch in one table: the rows, and what is joined to each.
MOST_TOUCHED = 60
# Steps of SQLite's virtual machine for a page of ten; a scan of a table takes ten times as many.
MOST_STEPS = 6_000
# Lists whose whole number is counted still, and why that is right.
COUNTED = {
    "identity.queries._LIST": "people are few, and only administrators see them",
    "projects.lists.NAMED": "those that somebody names by number are looked up one by one",
    "projects.lists._OWN_KEYS": "so are the private projects of a member",
    "artifacts.lists.ALL_OF_PROJECT": "with `base=*` it is a filter, within one project",
    "artifacts.lists.ALL_OF_REPOSITORY": "with `base=*` it is a filter, within one repository",
    "artifacts.repository_queries.EVERYWHERE": "the sum over the numbers of all projects, for administrators",
    "artifacts.repository_queries.FEW_IN_SIGHT": "the sum over the projects that the caller sees",
    "artifacts.repository_queries.MANY_IN_SIGHT": "the sum over the projects that the caller sees",
    "quotas.queries._LIST": "projects are counted in an index, for administrators",
    "robots.queries._PROJECT_LIST": "the robots of one project are few",
    "robots.queries._SYSTEM_LIST": "robots of the system are few",
}
# Lists that are never asked for unfiltered in their own order, and what is asked instead.
ASKED_OTHERWISE = {
    "audit.queries.IN_PROJECTS": "the newest of several projects are read by a statement of their own, tested below",
}

# Lists whose pages pass over more than they show, and why.
WALKED = {
    "artifacts.lists.ALL_OF_PROJECT": "with `base=*` it is a filter, within one project",
    "artifacts.lists.ALL_OF_REPOSITORY": "with `base=*` it is a filter, within one repository",
    "artifacts.lists.TAGS": "the tags of one artifact are few",
    "artifacts.repository_queries.FEW_IN_SIGHT": "it is taken where few projects are in sight, here there are thousands",
    "audit.queries.IN_PROJECTS": "the log of several projects is read by time, past what belongs to others",
}


def _lists() -> dict[str, List]:
    """Every list of the product, by its module and name."""
    found: dict[str, List] = {}
    for module in pkgutil.walk_packages(longshore.__path__, "longshore."):
        if ".migrations" not in module.name and not module.name.startswith("longshore.cli"):
            for name, value in vars(importlib.import_module(module.name)).items():
                for suffix, each in _within(value):
                    if each not in found.values():
                        found[f"{module.name.removeprefix('longshore.')}.{name}{suffix}"] = each
    return found


def _within(value: object) -> Iterator[tuple[str, List]]:
    if isinstance(value, List):
        yield "", value
    elif isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, List):
                yield f"[{key}]", each
    elif isinstance(value, tuple | list):
        for number, each in enumerate(value):
            if isinstance(each, List):
                yield f"[{number}]", each


LISTS = _lists()


def test_lists_are_found() -> None:
    """Those that were there from the beginning are among them."""
    assert {name.partition(".")[0] for name in LISTS} >= {"identity", "projects", "robots"}


# --- thousands of rows in every table, of which the database checks nothing but that they are unique


def _fill(table: Table, dialect: Dialect) -> str:
    references = [column for column in table.columns if column.foreign_keys]
    names, values = [], []
    for column in table.columns:
        names.append(f'"{column.name}"')
        values.append(_value(table, column, references, dialect))
    ignoring = "INSERT OR IGNORE" if dialect is Dialect.SQLITE else "INSERT"
    ending = "" if dialect is Dialect.SQLITE else " ON CONFLICT DO NOTHING"
    return (
        f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {ROWS})"
        f' {ignoring} INTO "{table.name}" ({", ".join(names)}) SELECT {", ".join(values)} FROM numbers WHERE true{ending}'
    )


def _value(table: Table, column: Column[Any], references: list[Column[Any]], dialect: Dialect) -> str:
    alone = len(table.primary_key) == 1 and column.primary_key
    if column in references and not alone:
        # Pairs of parents differ, and each parent has some children; of a third kind there is none.
        parents = ROWS // CHILDREN
        if references.index(column) > 1:
            return "NULL" if column.nullable else "n"
        return f"n % {parents} + 1" if references.index(column) % 2 == 0 else f"n / {parents} + 1"
    if alone:
        return "n" if isinstance(column.type, BigInteger | Integer) else "'x' || n"
    if column.nullable:
        return "NULL"
    if isinstance(column.type, Boolean):
        return "n % 2 = 0"
    if isinstance(column.type, BigInteger | Integer):
        return "n"
    if isinstance(column.type, LargeBinary):
        return "zeroblob(8)" if dialect is Dialect.SQLITE else "'\\x00'"
    default = "" if column.server_default is None else str(getattr(column.server_default, "arg", ""))
    return "'{}'" if "{}" in default else "'[]'" if "[]" in default else "'x' || n"


def _fill_sqlite(databases: Databases) -> None:
    assert databases.path is not None
    with closing(connect(databases.path)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("BEGIN")
        for table in longshore.tables.metadata.sorted_tables:
            connection.execute(_fill(table, Dialect.SQLITE))
        connection.execute("COMMIT")
        connection.execute("ANALYZE")


async def _fill_postgresql(server: Any) -> None:
    checks = await server.fetch(
        "SELECT conrelid::regclass AS relation, conname FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0"
    )
    for relation, name in checks:
        await server.execute(f'ALTER TABLE {relation} DROP CONSTRAINT "{name}"')
    await server.execute("SET session_replication_role = replica")
    for table in longshore.tables.metadata.sorted_tables:
        await server.execute(_fill(table, Dialect.POSTGRESQL))
    await server.execute("VACUUM ANALYZE")


# --- what a statement costs


def _steps(connection: sqlite3.Connection, statement: Statement, parameters: dict[str, Any]) -> int:
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(step, 1)
    try:
        connection.execute(statement.sqlite, statement.sqlite_arguments(parameters)).fetchall()
    finally:
        connection.set_progress_handler(None, 0)
    return count


def _sqlite_plan(connection: sqlite3.Connection, statement: Statement, parameters: dict[str, Any]) -> str:
    arguments = statement.sqlite_arguments(parameters)
    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement.sqlite}", arguments).fetchall()
    return ", ".join(row[3] for row in rows)


def _nodes(node: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
    yield node, above
    for child in node.get("Plans", ()):
        yield from _nodes(child, (*above, node["Node Type"]))


def _touched(node: dict[str, Any]) -> float:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


async def _postgresql_faults(server: Any, statement: Statement, parameters: dict[str, Any]) -> list[str]:
    arguments = statement.postgresql_arguments(parameters)
    text = await server.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.postgresql}", *arguments)
    faults = []
    for node, above in _nodes(json.loads(text)[0]["Plan"]):
        relation = node.get("Relation Name")
        if relation is not None and _touched(node) > MOST_TOUCHED:
            faults.append(f"{node['Node Type']} of {relation} touches {_touched(node):.0f} rows")
        if node["Node Type"] == "Seq Scan" and relation is not None and node["Actual Rows"] > CHILDREN:
            faults.append(f"{relation} is scanned")
        if "Sort" in node["Node Type"] and "Limit" in above and node["Actual Rows"] > MOST_TOUCHED:
            faults.append(f"the list is sorted by {node.get('Sort Key')} for each page")
    return faults


# --- values for the parameters of a scope, which only the statement knows


def _invented(statement: Statement, kinds: Iterable[str]) -> dict[str, Any]:
    """A value for each parameter: PostgreSQL tells their types, and parents are those with the number 1."""
    values = {
        "int8": 1,
        "int4": 1,
        "bool": True,
        "text": "x1",
        "varchar": "x1",
        "int8[]": [1],
        "_int8": [1],
        "int4[]": [1],
        "_int4": [1],
        "text[]": ["x1"],
        "_text": ["x1"],
    }
    return {name: values[kind] for name, kind in zip(statement._names, kinds, strict=True)}


@asynccontextmanager
async def _server(url: str) -> AsyncIterator[Any]:
    server = await asyncpg.connect(url)
    try:
        yield server
    finally:
        await server.close()


async def _parameters(url: str, statement: Statement) -> dict[str, Any]:
    async with _server(url) as server:
        prepared = await server.prepare(statement.postgresql)
        return _invented(statement, [kind.name for kind in prepared.get_parameters()])


async def _faults(databases: Databases, name: str, statement: Statement, parameters: dict[str, Any]) -> list[str]:
    if databases.path is not None:
        with closing(connect(databases.path)) as connection:
            steps = _steps(connection, statement, parameters)
            return [f"{name}: {steps} steps; {_sqlite_plan(connection, statement, parameters)}"] * (steps > MOST_STEPS)
    async with _server(databases.url) as server:
        faults = await _postgresql_faults(server, statement, parameters)
        if faults:
            # A table of so few rows is read as fast as an index of it: is there an index that leads to the page?
            await server.execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_bitmapscan = off")
            faults = await _postgresql_faults(server, statement, parameters)
        return [f"{name}: {fault}" for fault in faults]


async def test_unfiltered_lists_read_their_page_only(databases: Databases, postgresql_server: str) -> None:
    """First page, second page by its keys and total of every list in its own order, as the database tells it."""
    if databases.path is not None:
        _fill_sqlite(databases)
    else:
        async with _server(databases.url) as server:
            await _fill_postgresql(server)
    faults = []
    for name, items in LISTS.items():
        if name in ASKED_OTHERWISE:
            continue
        first, total, _ = items.statements(EVERYTHING)
        statements = {"first page": first, "total": total}
        if items.continues:
            statements["next page"] = items.statements(EVERYTHING, behind=True)[0]
        for which, statement in statements.items():
            known = await _parameters(f"{postgresql_server}/longshore_template", statement)
            known |= {key: value for key, value in (("skipped", 0), ("length", 10)) if key in known}
            if name not in (COUNTED if which == "total" else WALKED):
                faults += await _faults(databases, f"{name}, {which}", statement, known)
    newest = {f"project_{number}": number + 1 for number in range(3)}
    newest |= {"at": 2**62, "id": 2**62, "most": 10, "length": 10, "skipped": 0}
    found = await _faults(databases, "the newest of several projects", newest_of(3), newest)
    # What was read of each project is looked through, which isn't a table.
    faults += [fault for fault in found if "SCAN newest" not in fault]
    assert not faults, "\n".join(faults)
