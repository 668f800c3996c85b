# SPDX-License-Identifier: Apache-2.0
"""The lists of projects: one for each kind of reader, so that nobody's list is looked for among what it doesn't show.

Administrators read an index of all projects, everybody else one of the public ones, into which the few private ones that
the reader belongs to are merged. How many there are is maintained, or as many as the reader belongs to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from longshore.database.connection import Connection, Row
from longshore.database.statement import Statement
from longshore.listing.columns import Column, Filterable, Kind, Where, like
from longshore.listing.models import AnyOf, Condition, Exact, Fuzzy, Order, Wanted
from longshore.listing.statements import List
from longshore.listing.totals import total_of
from longshore.oci.errors import BadRequest
from longshore.projects.models import Visibility
from longshore.registry.totals import PROJECTS, PUBLIC_PROJECTS

# Somebody else may have the name of an owner who was deleted: the number, as in Harbor, says who it was.
COLUMNS: Final = """
    SELECT p.id, p.name, p.owner_id,
           coalesce(CASE WHEN u.deleted_at IS NULL THEN u.username ELSE u.username || '#' || u.id END, '') AS owner_name,
           p.public, p.sparse, p.quota_bytes, s.used_bytes, s.repository_count, p.access_version, p.created_at, p.updated_at
"""
JOINED: Final = "JOIN project_usage s ON s.project_id = p.id LEFT JOIN users u ON u.id = p.owner_id"

_ALL = f"SELECT coalesce(({total_of(PROJECTS)}), 0)"
_PUBLIC = f"coalesce(({total_of(PUBLIC_PROJECTS)}), 0)"
_OWN = "id = ANY(:project_ids) AND deleted_at IS NULL"


class OwnerName:
    """The name of a project's owner. The user is found first: an index then has that owner's projects."""

    sortable: str | None = None
    unique = False

    def where(self, key: str, condition: Condition, name: str) -> Where:
        """The condition in SQL.

        Raises:
            BadRequest: it is neither exact, nor fuzzy, nor a list of names.
        """
        match condition:
            case Exact(text):
                return _owned(f"username = :{name}"), {name: text}
            case Fuzzy(text):
                return _owned(f"lower(username COLLATE \"C\") LIKE :{name} ESCAPE '!'"), {name: like(text)}
            case AnyOf(texts):
                return _owned(f"username = ANY(:{name})"), {name: list(texts)}
        raise BadRequest(f"q: {key} is a name: use {key}=name, {key}=~part or {key}={{a b}}.")


def _owned(condition: str) -> str:
    return f"p.owner_id IN (SELECT id FROM users WHERE deleted_at IS NULL AND {condition})"


_KEYS: Final[Mapping[str, Filterable]] = {
    "name": Column("p.name", unique=True),
    "project_id": Column("p.id", Kind.NUMBER, unique=True),
    "public": Column("p.public", Kind.FLAG),
    "owner_id": Column("p.owner_id", Kind.NUMBER, sorting="coalesce(p.owner_id, 0)"),
    "owner": OwnerName(),
    "creation_time": Column("p.created_at", Kind.TIME),
    "update_time": Column("p.updated_at", Kind.TIME),
}


_WHOLE: Final = f"{COLUMNS} FROM page JOIN projects p ON p.id = page.id {JOINED}"
_SORTED_BY: Final = {
    "name": "name",
    "project_id": "id",
    "public": "public",
    "owner_id": "owner_number",
    "creation_time": "created_at",
    "update_time": "updated_at",
}
_UNIQUE: Final = frozenset({"name", "project_id"})
_KEYS_ONLY: Final = """
    SELECT p.id, p.name, p.public, coalesce(p.owner_id, 0) AS owner_number, p.created_at, p.updated_at
    FROM page JOIN projects p ON p.id = page.id
"""


def _list(scope: str, total: str | None, rows: str = _WHOLE) -> List:
    return List(source="projects p", scope=scope, key="p.id", columns=_KEYS, order="name", rows=rows, total=total)


_IS_PUBLIC: Final = "p.deleted_at IS NULL AND p.public = TRUE"
EVERY = _list("p.deleted_at IS NULL", _ALL)
PUBLIC = _list(_IS_PUBLIC, f"SELECT {_PUBLIC}")
PRIVATE = _list("p.deleted_at IS NULL AND p.public = FALSE", f"{_ALL} - {_PUBLIC}")
NAMED = _list(f"p.{_OWN}", None)
_PUBLIC_KEYS = _list(_IS_PUBLIC, f"SELECT {_PUBLIC}", _KEYS_ONLY)
# Not `public = FALSE`: SQLite would look for the numbers in the index of all private projects.
_OWN_KEYS = _list(f"p.{_OWN} AND NOT p.public", None, _KEYS_ONLY)
_BY_IDS = Statement(f"{COLUMNS} FROM projects p {JOINED} WHERE p.id = ANY(:ids)")
_EVERYTHING: Final = 2**62


async def read_page(
    connection: Connection, visibility: Visibility, wanted: Wanted, *, offset: int, limit: int
) -> tuple[list[Row], int]:
    """The rows behind the first `offset` that a reader sees, at most `limit`, and how many there are in all.

    Raises:
        BadRequest: a condition doesn't fit its key.
    """
    chosen = choose(visibility, wanted)
    if chosen is not None:
        return await chosen.projects.page(connection, chosen.wanted, offset=offset, limit=limit, **chosen.parameters)
    ids, total = await _merge(connection, visibility, wanted, offset=offset, limit=limit)
    rows = {row["id"]: row for row in await connection.all(_BY_IDS, ids=ids)} if ids else {}
    return [rows[project_id] for project_id in ids if project_id in rows], total


async def _merge(
    connection: Connection, visibility: Visibility, wanted: Wanted, *, offset: int, limit: int
) -> tuple[list[int], int]:
    """The numbers of the projects of a page of the public ones and the reader's own private ones.

    A public project stands as far behind its place among the public ones as there are own ones before it. So the page
    is made of the own ones, which are few, and of the public ones from so many before it to its end.
    """
    own, own_total = await _OWN_KEYS.page(
        connection, wanted, offset=0, limit=_EVERYTHING, project_ids=sorted(visibility.project_ids)
    )
    start = max(offset - own_total, 0)
    public, public_total = await _PUBLIC_KEYS.page(connection, wanted, offset=start, limit=limit + offset - start)
    merged = [(row, True) for row in public] + [(row, False) for row in own]
    for order in reversed(_orders(wanted)):
        column = _SORTED_BY[order.key]
        merged.sort(key=lambda item: item[0][column], reverse=order.descending)
    # Before and behind the window of the public ones this counts too few or too many, and stays outside of the page.
    placed = [(start + place, row["id"]) for place, (row, _) in enumerate(merged)]
    return [project_id for place, project_id in placed if offset <= place < offset + limit], own_total + public_total


def _orders(wanted: Wanted) -> list[Order]:
    """The keys that tell any two projects apart, as `List` chooses them."""
    chosen: list[Order] = []
    for order in [order for order in wanted.order if order.key in _SORTED_BY] or [Order("name")]:
        chosen.append(order)
        if order.key in _UNIQUE:
            return chosen
    return [*chosen, Order("project_id", chosen[-1].descending)]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A list, what is wanted of it, and its parameters."""

    projects: List
    wanted: Wanted
    parameters: Mapping[str, Any]


def choose(visibility: Visibility, wanted: Wanted) -> Chosen | None:
    """The list that has what a reader sees and little else; None when it has to be merged of two."""
    ids = {"project_ids": sorted(visibility.project_ids)}
    rest = {key: condition for key, condition in wanted.conditions.items() if key != "public"}
    public = _public(wanted)
    if public is True and (visibility.everything or visibility.public):
        return Chosen(PUBLIC, Wanted(rest, wanted.order), {})
    if visibility.everything:
        return Chosen(EVERY, wanted, {}) if public is None else Chosen(PRIVATE, Wanted(rest, wanted.order), {})
    if not visibility.public or public is False:
        return Chosen(NAMED, wanted, ids)
    return None if visibility.project_ids else Chosen(PUBLIC, wanted, {})


def _public(wanted: Wanted) -> bool | None:
    match wanted.conditions.get("public"):
        case Exact("true"):
            return True
        case Exact("false"):
            return False
    return None
