# SPDX-License-Identifier: Apache-2.0
"""Reading groups of users."""

from __future__ import annotations

from typing import Final

from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.groups.models import Group, GroupType, NewGroup
from longshore.listing.columns import Column, Kind, like
from longshore.listing.models import EVERYTHING, Wanted
from longshore.listing.statements import List
from longshore.oci.errors import BadRequest
from longshore.projects.models import Entity

COLUMNS: Final = "SELECT id, type, name, ldap_dn FROM user_groups"
_BY_ID = Statement(f"{COLUMNS} WHERE id = :id")
_BY_KEY = Statement(f"{COLUMNS} WHERE type = :type AND key = :key")
_BY_NAME = Statement(f"{COLUMNS} WHERE name = :name ORDER BY id LIMIT 2")
_MATCHING = "lower(name COLLATE \"C\") LIKE :name ESCAPE '!'"
_SEARCH = Statement(f"{COLUMNS} WHERE {_MATCHING} ORDER BY length(name), name, id LIMIT :limit")
_SEARCH_COUNT = Statement(f"SELECT count(*) FROM user_groups WHERE {_MATCHING}")


def total_name(group_type: GroupType) -> str:
    """The name of the maintained number of groups of that type."""
    return f"user_groups.{group_type.stored}"


def _list(scope: str, types: tuple[GroupType, ...]) -> List:
    names = ", ".join(f"'{total_name(kind)}'" for kind in types)
    return List(
        source="user_groups g",
        scope=scope,
        key="g.id",
        columns={
            "id": Column("g.id", Kind.NUMBER, unique=True),
            "group_name": Column("g.name"),
            "ldap_group_dn": Column("g.key", reading=str.lower),
        },
        order="id",
        rows="SELECT g.id, g.type, g.name, g.ldap_dn FROM page JOIN user_groups g ON g.id = page.id",
        total=f"SELECT CAST(coalesce(sum(total), 0) AS BIGINT) FROM list_totals WHERE scope_id = 0 AND list IN ({names})",
    )


_ALL = _list("g.id > 0", tuple(GroupType))
_OF_TYPE: Final = {kind: _list(f"g.type = '{kind.stored}'", (kind,)) for kind in GroupType}


class GroupQueries:
    """Reads groups, each call from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def group(self, group_id: int) -> Group | None:
        """A group by number; None when there is none."""
        row = await self._database.read(lambda connection: connection.one(_BY_ID, id=group_id))
        return None if row is None else group_of(row)

    async def entity(self, group: NewGroup) -> Entity | None:
        """The group as a member of projects; None when there is none of that type and name, or of that DN."""
        row = await self._database.read(
            lambda connection: connection.one(_BY_KEY, type=group.type.stored, key=group.key)
        )
        return None if row is None else Entity(row["id"], is_group=True)

    async def entity_by_name(self, name: str) -> Entity:
        """The only group of that name, whatever its type, as a member of projects.

        Raises:
            BadRequest: there is none or more than one, so that the type has to be told.
        """
        rows = await self._database.read(lambda connection: connection.all(_BY_NAME, name=name))
        if len(rows) != 1:
            count = "no group" if not rows else "more than one group"
            raise BadRequest(f"There is {count} named {name[:100]!a}: give group_type too, 2 for HTTP or 3 for OIDC.")
        return Entity(rows[0]["id"], is_group=True)

    async def page(
        self,
        wanted: Wanted = EVERYTHING,
        *,
        only: GroupType | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[list[Group], int]:
        """The groups behind the first `offset` by number, at most `limit`, and how many there are in all.

        Args:
            wanted: Conditions and order.
            only: Groups of that type only.
            offset: How many come before the page.
            limit: The length of the page.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """
        groups = _ALL if only is None else _OF_TYPE[only]

        async def read(connection: Connection) -> tuple[list[Group], int]:
            rows, total = await groups.page(connection, wanted, offset=offset, limit=limit)
            return [group_of(row) for row in rows], total

        return await self._database.read(read)

    async def search(self, part: str, limit: int) -> tuple[list[Group], int]:
        """At most `limit` groups with that in their name, the shortest names first; and how many there are in all."""

        async def read(connection: Connection) -> tuple[list[Group], int]:
            pattern = like(part)
            rows = await connection.all(_SEARCH, name=pattern, limit=limit)
            total: int = await connection.value(_SEARCH_COUNT, name=pattern)
            return [group_of(row) for row in rows], total

        return await self._database.read(read)


def group_of(row: Row) -> Group:
    """The group that a row of `COLUMNS` is."""
    return Group(id=row["id"], type=GroupType.from_stored(row["type"]), name=row["name"], ldap_dn=row["ldap_dn"])
