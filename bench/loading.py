# SPDX-License-Identifier: Apache-2.0
"""Writes the scale set straight into Longshore's database: pushing it would take an hour.

The rows are those that pushes would leave, without their events. `longshore verify` looks at all of them before anything is
measured, so a row that is wrong stops the run.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import asyncpg
from sqlalchemy import Table

from bench.asking import MANIFEST
from bench.scale import Artifact, Scale
from bench.servers import PROJECT
from longshore.oci.manifest import parse_manifest
from longshore.registry.facts import facts_of
from longshore.registry.tables import artifacts as artifact_rows
from longshore.registry.tables import (
    manifest_blobs,
    manifests,
    project_usage,
    repositories,
    repository_blobs,
    tag_journal,
    tags,
)

Rows = Iterable[tuple[Any, ...]]


class _Database(Protocol):
    """What loading needs of a database; everything happens in one transaction."""

    def query(self, statement: str) -> Sequence[Sequence[Any]]:
        """The rows of a statement."""

    def insert(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        """Inserts rows; that they fit together is checked afterwards."""

    def finish(self, tables: Sequence[str]) -> None:
        """Commits, and leaves the tables as a database that has run for a while does."""


class _SQLite:
    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("synchronous=OFF", "foreign_keys=OFF", "cache_size=-262144"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("BEGIN IMMEDIATE")

    def query(self, statement: str) -> Sequence[Sequence[Any]]:
        return self._connection.execute(statement).fetchall()

    def insert(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        places = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", rows)

    def finish(self, _tables: Sequence[str]) -> None:
        self._connection.execute("COMMIT")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.close()


class _PostgreSQL:
    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection: Any = self._wait(asyncpg.connect(url))
        # Foreign keys are triggers, and a replica's session has none.
        self._wait(self._connection.execute("SET session_replication_role = replica"))
        self._wait(self._connection.execute("BEGIN"))

    def query(self, statement: str) -> Sequence[Sequence[Any]]:
        found: Sequence[Sequence[Any]] = self._wait(self._connection.fetch(statement))
        return found

    def insert(self, table: str, columns: Sequence[str], rows: Rows) -> None:
        self._wait(self._connection.copy_records_to_table(table, columns=list(columns), records=rows))

    def finish(self, tables: Sequence[str]) -> None:
        for table in tables:
            sequence = self.query(f"SELECT pg_get_serial_sequence('{table}', 'id')")[0][0]
            self.query(f"SELECT setval('{sequence}', (SELECT max(id) FROM {table}))")
        self._wait(self._connection.execute("COMMIT"))
        self._wait(self._connection.execute("VACUUM (ANALYZE)"))
        self._wait(self._connection.execute("CHECKPOINT"))
        self._wait(self._connection.close())
        self._loop.close()

    def _wait(self, awaitable: Any) -> Any:
        return self._loop.run_until_complete(awaitable)


@dataclass(slots=True)
class _Numbers:
    """What the rows are numbered with, and the blobs that they name."""

    project: int
    repository: int
    manifest: int
    journal: int
    blobs: dict[str, int]
    repositories: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def read(database: _Database) -> _Numbers:
        """Behind what the database holds."""
        repository, manifest, journal = (
            database.query(f"SELECT coalesce(max(id), 0) + 1 FROM {table.name}")[0][0]
            for table in (repositories, manifests, tag_journal)
        )
        return _Numbers(
            project=database.query(f"SELECT id FROM projects WHERE name = '{PROJECT}'")[0][0],
            repository=repository,
            manifest=manifest,
            journal=journal,
            blobs={row[0]: row[1] for row in database.query("SELECT digest, id FROM blobs")},
        )


def load(where: Path | str, scale: Scale) -> None:
    """Writes the scale set into SQLite's file or the database of a URL; no server runs on it meanwhile."""
    database: _Database = _SQLite(where) if isinstance(where, Path) else _PostgreSQL(where)
    numbers = _Numbers.read(database)
    artifacts = list(scale.everything())
    for artifact in artifacts:
        numbers.repositories.setdefault(artifact.repository, numbers.repository + len(numbers.repositories))
    now = time.time_ns() // 1000
    for table, columns, rows in _tables(numbers, artifacts, now):
        if unknown := set(columns) - set(table.c.keys()):
            raise RuntimeError(f"{table.name} has no columns {unknown}: the generator of the scale set is out of date")
        database.insert(table.name, columns, rows)
    size = sum(len(artifact.payload) for artifact in artifacts)
    database.query(
        f"UPDATE {project_usage.name} SET used_bytes = used_bytes + {size}, stored_bytes = stored_bytes + {size},"
        f" repository_count = repository_count + {len(numbers.repositories)},"
        f" artifact_count = artifact_count + {len(artifacts)} WHERE project_id = {numbers.project}"
    )
    # The rows are there since the first start; PostgreSQL and SQLite agree on nothing shorter.
    for total, condition in (
        ("repositories", ""),
        ("repositories.public", f" AND EXISTS (SELECT 1 FROM projects WHERE id = {numbers.project} AND public)"),
    ):
        database.query(
            f"UPDATE list_totals SET total = total + {len(numbers.repositories)}"
            f" WHERE list = '{total}' AND scope_id = 0{condition}"
        )
    database.finish([table.name for table in (repositories, manifests, tag_journal)])


def _tables(
    numbers: _Numbers, artifacts: Sequence[Artifact], now: int
) -> Iterator[tuple[Table, tuple[str, ...], Rows]]:
    """Each table with its rows, what is referred to before what refers to it."""
    ids, blobs, project = numbers.repositories, numbers.blobs, numbers.project
    counts = Counter(one.repository for one in artifacts)
    yield (
        repositories,
        ("id", "project_id", "name", "created_at", "listed_at", "updated_at", "artifact_count"),
        (
            (number, project, name.removeprefix(f"{PROJECT}/"), now, now, now, counts[name])
            for name, number in ids.items()
        ),
    )
    members = dict.fromkeys((ids[one.repository], blobs[blob]) for one in artifacts for blob in one.blobs)
    yield (
        repository_blobs,
        ("repository_id", "blob_id", "project_id"),
        ((repository, blob, project) for repository, blob in members),
    )
    numbered = list(enumerate(artifacts, numbers.manifest))
    yield (
        manifests,
        ("id", "repository_id", "digest", "media_type", "size", "annotations", "pushed_at", "payload"),
        (
            (number, ids[one.repository], one.digest, MANIFEST, len(one.payload), one.annotations, now, one.payload)
            for number, one in numbered
        ),
    )
    yield (
        artifact_rows,
        ("manifest_id", "repository_id", "project_id", "pushed_at", "listed", "tag_count", *_DESCRIPTION),
        (
            (number, ids[one.repository], project, now + number, True, len(one.tags), *_described(one, now))
            for number, one in numbered
        ),
    )
    yield (
        manifest_blobs,
        ("manifest_id", "repository_id", "blob_id"),
        ((number, ids[one.repository], blobs[blob]) for number, one in numbered for blob in one.blobs),
    )
    lines = [(number, one, tag) for number, one in numbered for tag in one.tags]
    yield (
        tags,
        ("id", "repository_id", "name", "manifest_id", "pushed_at"),
        (
            (line, ids[one.repository], tag, number, now)
            for line, (number, one, tag) in enumerate(lines, numbers.journal)
        ),
    )
    yield (
        tag_journal,
        ("id", "repository_id", "name", "digest", "action", "actor", "reason", "at"),
        (
            (line, ids[one.repository], tag, one.digest, "created", "bench", "push", now)
            for line, (_, one, tag) in enumerate(lines, numbers.journal)
        ),
    )


_DESCRIPTION = ("type", "config_media_type", "size", "additions", "extra_attributes", "described_at")


def _described(artifact: Artifact, now: int) -> tuple[object, ...]:
    """What lists show of an image, as its push would have written it."""
    facts = facts_of(parse_manifest(artifact.payload, MANIFEST))
    attributes = '{"architecture":"amd64","os":"linux","created":"2026-01-01T00:00:00Z"}'
    return facts.type, facts.config_media_type, facts.size, json.dumps(facts.additions), attributes, now
