# SPDX-License-Identifier: Apache-2.0
"""Statements are written once and compiled for both dialects."""

from __future__ import annotations

import pytest

from longshore.database.statement import Statement


def test_parameters_are_numbered_in_the_order_of_their_first_use() -> None:
    """A name that is used twice is one parameter."""
    statement = Statement("SELECT :b, :a, :b")
    assert statement.sqlite == "SELECT ?1, ?2, ?1"
    assert statement.postgresql == "SELECT $1, $2, $1"
    assert statement.postgresql_arguments({"a": 1, "b": 2}) == (2, 1)
    assert statement.sqlite_arguments({"a": 1, "b": 2}) == (2, 1)


def test_casts_are_no_parameters() -> None:
    """`::bigint` has a colon too."""
    assert Statement("SELECT x::bigint").postgresql == "SELECT x::bigint"


@pytest.mark.parametrize(
    "clause",
    ["FOR NO KEY UPDATE", "FOR UPDATE", "FOR UPDATE SKIP LOCKED", "FOR KEY SHARE", "FOR KEY SHARE OF b", "FOR SHARE"],
)
def test_sqlite_needs_no_locks(clause: str) -> None:
    """SQLite has one writer, so lock clauses vanish there and stay in PostgreSQL."""
    statement = Statement(f"SELECT 1 FROM b WHERE id = :id {clause}")
    assert statement.sqlite.strip() == "SELECT 1 FROM b WHERE id = ?1"
    assert statement.postgresql.endswith(clause)


def test_sqlite_needs_no_collation() -> None:
    """Texts are bytes in SQLite anyway."""
    statement = Statement('SELECT lower((a) COLLATE "C")')
    assert statement.sqlite == "SELECT lower((a))"
    assert statement.postgresql == statement.text


def test_lists_become_json_in_sqlite() -> None:
    """`= ANY(:ids)` takes a list in both dialects."""
    statement = Statement("SELECT 1 WHERE id = ANY(:ids) AND x = :x")
    assert statement.sqlite == "SELECT 1 WHERE id IN (SELECT value FROM json_each(?1)) AND x = ?2"
    assert statement.postgresql == "SELECT 1 WHERE id = ANY($1) AND x = $2"
    assert statement.sqlite_arguments({"ids": [1, 2], "x": "y"}) == ("[1, 2]", "y")
    assert statement.postgresql_arguments({"ids": [1, 2], "x": "y"}) == ([1, 2], "y")


def test_a_missing_parameter_is_an_error() -> None:
    """A call that forgets a parameter must not run with NULL instead."""
    with pytest.raises(KeyError):
        Statement("SELECT :a").sqlite_arguments({})


def test_the_clock_and_functions_have_their_dialects() -> None:
    """The clock is the database's; `greatest` and `least` have other names in SQLite."""
    statement = Statement("SELECT {now}, greatest(a, least(b, c))")
    assert "julianday('now')" in statement.sqlite
    assert "max(a, min(b, c))" in statement.sqlite
    assert "clock_timestamp()" in statement.postgresql


def test_a_list_of_texts_is_a_table() -> None:
    """Many rows are inserted by one statement, from a list."""
    statement = Statement("INSERT INTO t SELECT :id, each.value FROM {each:names}")
    assert statement.sqlite == "INSERT INTO t SELECT ?1, each.value FROM json_each(?2) AS each"
    assert statement.postgresql == "INSERT INTO t SELECT $1, each.value FROM unnest(CAST($2 AS TEXT[])) AS each(value)"
    assert statement.sqlite_arguments({"id": 1, "names": ["a", "b"]}) == (1, '["a", "b"]')
    assert statement.postgresql_arguments({"id": 1, "names": ["a", "b"]}) == (1, ["a", "b"])


def test_a_statement_runs_for_many_arguments_at_once() -> None:
    """Gathered for PostgreSQL, each parameter is an array, and every row tells for which place of them it is."""
    statement = Statement("SELECT a FROM t WHERE b = :name AND c > :least AND d = :name AND e > {now}")
    text = statement.gathered(("TEXT", "BIGINT"))
    assert (
        "unnest(CAST($1 AS TEXT[]), CAST($2 AS BIGINT[])) WITH ORDINALITY AS asked(name, least, number_of_read)" in text
    )
    assert "WHERE b = asked.name AND c > asked.least AND d = asked.name AND e > CAST(extract" in text
    assert statement.gathered(("TEXT", "BIGINT")) is text


@pytest.mark.parametrize(
    ("text", "lasting", "until", "lasts"),
    [
        ("SELECT 1", None, 5, True),
        ("SELECT {now}", None, None, False),
        ("SELECT until FROM t WHERE until > {now}", "until", 5, False),
        ("SELECT until FROM t WHERE until > {now}", "until", None, True),
    ],
)
def test_what_the_clock_can_take_away_does_not_last(
    text: str, lasting: str | None, until: int | None, lasts: bool
) -> None:
    """A row lasts when its statement doesn't ask for the time, or names the column that is NULL in it."""
    assert Statement(text, lasting=lasting).lasts({"until": until}) is lasts
