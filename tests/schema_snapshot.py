# SPDX-License-Identifier: Apache-2.0
"""The schema as text, read from a migrated database: one file per dialect is checked in, so that a review shows the change.

`python -m tests.schema_snapshot` writes both files anew.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path

import asyncpg

import longshore.database
from longshore.database.migrate import migrate_postgresql, migrate_sqlite
from tests.postgresql import server

SNAPSHOTS = Path(longshore.database.__file__).with_name("snapshots")

_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) || CASE WHEN co.collname IS NOT NULL
        AND co.collname <> 'default' THEN ' COLLATE "' || co.collname || '"' ELSE '' END
        || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
        || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN pg_collation co ON co.oid = a.attcollation
    WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""
_CONSTRAINTS = """
    SELECT c.relname, k.conname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = 'public'::regnamespace ORDER BY c.relname, k.conname
"""
_INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"


def sqlite_snapshot(path: Path) -> str:
    """The statements that make the tables and indexes of a SQLite file."""
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY tbl_name, type DESC, name"
    ).fetchall()
    connection.close()
    return "\n".join("\n".join(line.rstrip() for line in row[0].splitlines()) + ";" for row in rows) + "\n"


async def postgresql_snapshot(url: str) -> str:
    """Columns, constraints and indexes of every table of a PostgreSQL database."""
    connection = await asyncpg.connect(url)
    try:
        tables: dict[str, list[str]] = {}
        for table, name, definition in await connection.fetch(_COLUMNS):
            tables.setdefault(table, []).append(f"    {name} {definition}")
        for query in (_CONSTRAINTS, _INDEXES):
            for table, name, definition in await connection.fetch(query):
                tables[table].append(f"    {name}: {definition}")
        return "\n".join(f"{table}\n" + "\n".join(lines) for table, lines in sorted(tables.items())) + "\n"
    finally:
        await connection.close()


def main() -> None:
    """Writes both snapshots."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "longshore.db")
        migrate_sqlite(path)
        (SNAPSHOTS / "sqlite.sql").write_text(sqlite_snapshot(path), encoding="utf-8")
    with server() as url:
        migrate_postgresql(f"{url}/postgres")
        (SNAPSHOTS / "postgresql.txt").write_text(asyncio.run(postgresql_snapshot(f"{url}/postgres")), encoding="utf-8")


if __name__ == "__main__":
    main()
