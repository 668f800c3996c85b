# SPDX-License-Identifier: Apache-2.0
"""SQL as SQL, written once for both dialects.

A statement is written in PostgreSQL's flavour with ``:name`` parameters and compiled once, when its module is imported,
into the text and the parameter order that each driver wants. What differs between the dialects is a short, closed list:

- ``{now}``: the database's clock in microseconds since 1970 (the clock, not the start of the transaction);
- lock clauses (``FOR NO KEY UPDATE``, ``FOR UPDATE SKIP LOCKED``, ``FOR KEY SHARE OF b`` …): SQLite has one writer and
  needs none, so they vanish;
- ``= ANY(:ids)``: SQLite reads the list with ``json_each``;
- ``{each:names}``: a table with the column ``value``, one row for each text of a list;
- ``json_agg``: SQLite calls it ``json_group_array``;
- ``greatest`` and ``least``: SQLite calls them ``max`` and ``min``;
- ``COLLATE "C"``: SQLite compares bytes, and changes the case of ASCII letters only, by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any

_PARAMETER = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")
_LOCK = re.compile(
    r"\bFOR\s+(?:NO\s+KEY\s+UPDATE|KEY\s+SHARE|UPDATE|SHARE)(?:\s+OF\s+\w+)?(?:\s+SKIP\s+LOCKED|\s+NOWAIT)?",
)
_ANY = re.compile(r"=\s*ANY\(\s*:([a-z_][a-z0-9_]*)\s*\)")
_EACH = re.compile(r"\{each:([a-z_][a-z0-9_]*)\}")
_SQLITE_NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
_POSTGRESQL_NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


class Statement:
    """One SQL statement, compiled for both dialects.

    ``sqlite`` and ``postgresql`` are the texts for the drivers; ``sqlite_arguments`` and ``postgresql_arguments`` turn the
    named parameters of a call into the positional ones of the driver. A parameter that is missing raises ``KeyError``.

    A statement that asks for ``{now}`` may name a column in ``lasting``: in a row where it is NULL, the clock has no say.
    """

    __slots__ = ("_clocked", "_gathered", "_lasting", "_lists", "_names", "_pick", "postgresql", "sqlite", "text")

    def __init__(self, text: str, *, lasting: str | None = None) -> None:
        self.text = text
        self._clocked = "{now}" in text
        self._lasting = lasting
        self._gathered: dict[tuple[str, ...], str] = {}
        # A placeholder that both dialects see, until each puts its own table there.
        marked = _EACH.sub(r"(:\1)", text)
        names: list[str] = []
        for name in _PARAMETER.findall(marked):
            if name not in names:
                names.append(name)
        self._names = tuple(names)
        self._pick = _picker(self._names)
        self._lists = frozenset(_ANY.findall(text)) | frozenset(_EACH.findall(text))
        numbers = {name: number for number, name in enumerate(names, start=1)}
        sqlite = _ANY.sub(r"IN (SELECT value FROM json_each(:\1))", _LOCK.sub("", text)).replace("{now}", _SQLITE_NOW)
        sqlite = _EACH.sub(r"json_each(:\1) AS each", sqlite)
        sqlite = re.sub(r"\bjson_agg\(", "json_group_array(", sqlite)
        sqlite = re.sub(r"\bgreatest\(", "max(", sqlite)
        sqlite = re.sub(r"\bleast\(", "min(", sqlite)
        sqlite = sqlite.replace(' COLLATE "C"', "")
        self.sqlite = _PARAMETER.sub(lambda match: f"?{numbers[match[1]]}", sqlite)
        postgresql = _EACH.sub(r"unnest(CAST(:\1 AS TEXT[])) AS each(value)", text.replace("{now}", _POSTGRESQL_NOW))
        self.postgresql = _PARAMETER.sub(lambda match: f"${numbers[match[1]]}", postgresql)

    def sqlite_arguments(self, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        """The positional arguments for sqlite3: lists become JSON."""
        if not self._lists:
            return self._pick(parameters)
        return tuple(
            json.dumps(list(parameters[name])) if name in self._lists else parameters[name] for name in self._names
        )

    def postgresql_arguments(self, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        """The positional arguments for asyncpg."""
        return self._pick(parameters)

    def gathered(self, types: tuple[str, ...]) -> str:
        """The text for PostgreSQL that brings the first row of the statement for each place of its arguments, which are arrays.

        Each row tells in its last column, `number_of_read`, for which place it is, beginning with 1.
        """
        text = self._gathered.get(types)
        if text is None:
            arrays = ", ".join(f"CAST(${number} AS {kind}[])" for number, kind in enumerate(types, start=1))
            each = _PARAMETER.sub(r"asked.\1", self.text.replace("{now}", _POSTGRESQL_NOW))
            # LIMIT keeps the planner from joining all places at once, which it does by reading whole tables and repositories.
            text = (
                f"SELECT found.*, asked.number_of_read FROM unnest({arrays})"
                f" WITH ORDINALITY AS asked({', '.join(self._names)}, number_of_read) CROSS JOIN LATERAL"
                f" (SELECT * FROM ({each}) AS every LIMIT 1) AS found"
            )
            self._gathered[types] = text
        return text

    def lasts(self, row: Any) -> bool:
        """Whether the statement brings this row for as long as the database doesn't change."""
        return not self._clocked or (self._lasting is not None and row[self._lasting] is None)

    def __repr__(self) -> str:
        return f"Statement({' '.join(self.text.split())!r})"


def _picker(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """What takes the values of these names out of a mapping; in C where it can, since every statement of a pull does it."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda parameters: tuple(parameters[name] for name in names)
