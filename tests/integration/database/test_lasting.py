# SPDX-License-Identifier: Apache-2.0
"""Rows that are kept until the database changes: nobody who knows of a change is given what was before it."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from longshore.database.connection import Transaction
from longshore.database.lasting import ChangeMark, LastingRows
from longshore.database.sqlite import SQLiteDatabase
from longshore.database.statement import Statement

_MAKE = "CREATE TABLE things (name TEXT PRIMARY KEY, value TEXT, until INTEGER)"
_READ = Statement("SELECT value FROM things WHERE name = :name")
_CLOCKED = Statement("SELECT value, until FROM things WHERE name = :name AND (until IS NULL OR until > {now})")
_LASTING = Statement(_CLOCKED.text, lasting="until")
_PUT = Statement(
    "INSERT INTO things (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_FAR = 2**62


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "things.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(_MAKE)
        connection.execute("INSERT INTO things (name, value) VALUES ('a', 'old')")
    connection.close()
    return path


@pytest_asyncio.fixture
async def database(path: Path) -> AsyncIterator[SQLiteDatabase]:
    database = SQLiteDatabase(path)
    yield database
    await database.close()


async def value(database: SQLiteDatabase, statement: Statement = _READ, name: str = "a") -> str | None:
    row = await database.one(statement, name=name)
    return None if row is None else str(row[0])


async def put(database: SQLiteDatabase, text: str, name: str = "a") -> None:
    async def run(transaction: Transaction) -> None:
        await transaction.execute(_PUT, name=name, value=text)

    await database.write(run)


def change_secretly(path: Path, text: str, until: int | None = None) -> None:
    """A change that comes past the program, which therefore isn't told of it."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE things SET value = ?, until = ?", (text, until))
    connection.close()


async def test_a_row_is_read_once(path: Path, database: SQLiteDatabase) -> None:
    """A row that was read isn't read again while nothing changes."""
    assert await value(database) == "old"
    change_secretly(path, "new")
    assert await value(database) == "old"


async def test_own_change_is_seen_at_once(database: SQLiteDatabase) -> None:
    """Whoever was answered after a change finds it."""
    for number in range(20):
        await put(database, str(number))
        assert await value(database) == str(number)
        assert await value(database) == str(number)


async def test_change_of_another_process_is_seen_at_once(path: Path, database: SQLiteDatabase) -> None:
    """A change that another process answered is found by this one, and what is gone is gone."""
    other = SQLiteDatabase(path)
    try:
        for number in range(20):
            await put(other, str(number))
            assert await value(database) == await value(other) == str(number)

        async def delete(transaction: Transaction) -> None:
            await transaction.execute(Statement("DELETE FROM things"))

        await other.write(delete)
        assert await value(database) is None
    finally:
        await other.close()


async def test_what_is_missing_is_asked_for_each_time(path: Path, database: SQLiteDatabase) -> None:
    """That there is no row isn't kept."""
    assert await value(database, name="b") is None
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO things (name, value) VALUES ('b', 'here')")
    connection.close()
    assert await value(database, name="b") == "here"


@pytest.mark.parametrize(("until", "kept"), [(None, True), (_FAR, False)])
async def test_the_clock_is_asked_each_time(path: Path, until: int | None, kept: bool) -> None:
    """A row that the clock can take away is read each time; one that it can't is not, if the statement says which."""
    change_secretly(path, "old", until)
    database = SQLiteDatabase(path)
    try:
        for statement in (_CLOCKED, _LASTING):
            assert await value(database, statement) == "old"
        change_secretly(path, "new", until)
        assert await value(database, _CLOCKED) == "new"
        assert await value(database, _LASTING) == ("old" if kept else "new")
    finally:
        await database.close()


async def test_without_a_mark_every_row_is_read(path: Path) -> None:
    """Where there can't be a file beside the database everything works, and nothing is kept."""
    (path.parent / "things.db-changes").mkdir()
    database = SQLiteDatabase(path)
    try:
        assert await value(database) == "old"
        change_secretly(path, "new")
        assert await value(database) == "new"
        await put(database, "newer")
        assert await value(database) == "newer"
    finally:
        await database.close()


async def test_own_change_is_seen_although_nobody_can_be_told(
    path: Path, database: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the mark can't be written the process that changes keeps nothing, until it can be written again."""

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert await value(database) == "old"
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", fail)
        await put(database, "new")
        for text in ("newer", "newest"):
            assert await value(database) != "old"
            change_secretly(path, text)
            assert await value(database) == text
    await put(database, "last")
    assert await value(database) == "last"
    change_secretly(path, "secret")
    assert await value(database) == "last"


async def test_a_mark_that_could_not_be_opened_is_tried_again(path: Path) -> None:
    """With each commit: then other processes are told again, and rows are kept."""
    mark = path.parent / "things.db-changes"
    mark.mkdir()
    late = SQLiteDatabase(path)
    mark.rmdir()
    other = SQLiteDatabase(path)
    try:
        assert await value(other) == "old"
        await put(late, "new")
        assert await value(other) == "new"
        assert await value(late) == "new"
        change_secretly(path, "secret")
        assert await value(late) == "new"
    finally:
        await late.close()
        await other.close()


class Rows:
    """`LastingRows` with a clock that stands still until it is moved."""

    def __init__(self, path: Path, limit: int) -> None:
        self.now = 0.0
        self.mark = ChangeMark(path)
        self.rows = LastingRows(self.mark, limit=limit, clock=lambda: self.now)
        connection = sqlite3.connect(":memory:")
        connection.row_factory = sqlite3.Row
        self.large, self.small = (
            connection.execute("SELECT ? AS payload", (b"x" * size,)).fetchone() for size in (70_000, 1_000)
        )
        connection.close()


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Rows]:
    rows = Rows(tmp_path / "mark", limit=10_000)
    yield rows
    rows.mark.close()


def test_rows_are_forgotten_after_two_seconds(rows: Rows) -> None:
    """Nothing lasts longer than two seconds, whatever the mark says."""
    assert rows.rows.get("a") is None
    rows.rows.keep("a", rows.small)
    rows.now = 1.9
    assert rows.rows.get("a") is rows.small
    rows.now = 2.0
    assert rows.rows.get("a") is None


def test_rows_are_forgotten_when_the_mark_changes(rows: Rows, tmp_path: Path) -> None:
    """A change that another process tells of ends all rows, and the process that changed has its own changes too."""
    other = ChangeMark(tmp_path / "mark")
    for mark in (other, rows.mark):
        assert rows.rows.get("a") is None
        rows.rows.keep("a", rows.small)
        assert rows.rows.get("a") is rows.small
        mark.change()
        assert rows.rows.get("a") is None
    other.close()


def test_a_change_between_asking_and_keeping_is_seen(rows: Rows) -> None:
    """A row that was read before a change isn't found after it, even if it was kept after it."""
    assert rows.rows.get("a") is None
    rows.mark.change()
    rows.rows.keep("a", rows.small)
    assert rows.rows.get("a") is None


def test_rows_have_a_limit(rows: Rows) -> None:
    """Large rows aren't kept, and all together never have more bytes than they may."""
    rows.rows.get("a")
    rows.rows.keep("a", rows.large)
    assert rows.rows.get("a") is None
    for number in range(100):
        rows.rows.keep(number, rows.small)
        assert rows.rows.get(number) is rows.small
    assert sum(rows.rows.get(number) is not None for number in range(100)) <= 5


def test_a_new_process_keeps_the_mark(tmp_path: Path) -> None:
    """Opening the database is no change."""
    first = ChangeMark(tmp_path / "mark")
    second = ChangeMark(tmp_path / "mark")
    assert first.read() == second.read() != bytes(16)
    first.close()
    assert second.read()
    second.close()
