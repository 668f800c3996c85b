# SPDX-License-Identifier: Apache-2.0
"""Reading projects and members. Names of people come from `users`, which members refer to.

A page of a list is one statement, whichever page it is: what comes before it is skipped in an index, and only the rows of
the page are read (`docs/why/database.md`). What belongs to the rows of a page is read for all of them at once.
"""

from __future__ import annotations

from collections.abc import Collection

from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.listing.columns import Column
from longshore.listing.models import EVERYTHING, Exact, Wanted
from longshore.listing.statements import List
from longshore.oci.names import ProjectName
from longshore.projects.lists import COLUMNS, JOINED, read_page
from longshore.projects.members import total_name
from longshore.projects.models import Entity, Member, Membership, Project, ProjectFacts, Role, Visibility

_FACTS = "SELECT id, name, public, sparse, access_version FROM projects WHERE deleted_at IS NULL"
_FACTS_BY_NAME = Statement(f"{_FACTS} AND name = :name")
_FACTS_BY_ID = Statement(f"{_FACTS} AND id = :id")
_NAMES = Statement("SELECT id, name FROM projects WHERE id = ANY(:ids)")
_LIVING_NAMES = Statement("SELECT id, name FROM projects WHERE id = ANY(:ids) AND deleted_at IS NULL")
# What a user may do comes from its own membership and from those of its groups.
_ROLE = Statement(
    """
    SELECT role FROM project_members WHERE project_id = :project_id AND user_id = :user_id
    UNION ALL SELECT m.role FROM user_group_members g
    JOIN project_members m ON m.group_id = g.group_id AND m.project_id = :project_id WHERE g.user_id = :user_id
    """
)
_MEMBERSHIPS = Statement(
    """
    SELECT role, NULL AS by_group FROM project_members WHERE project_id = :project_id AND user_id = :user_id
    UNION ALL SELECT m.role, m.name FROM user_group_members g
    JOIN project_members m ON m.group_id = g.group_id AND m.project_id = :project_id WHERE g.user_id = :user_id
    """
)
_ADMINISTERS = Statement(
    """
    SELECT m.id FROM project_members m JOIN projects p ON p.id = m.project_id AND p.deleted_at IS NULL
    WHERE m.user_id = :user_id AND m.role = :role
    UNION ALL SELECT m.id FROM user_group_members g JOIN project_members m ON m.group_id = g.group_id AND m.role = :role
    JOIN projects p ON p.id = m.project_id AND p.deleted_at IS NULL WHERE g.user_id = :user_id
    LIMIT 1
    """
)
_PROJECTS_OF_MEMBER = Statement(
    """
    SELECT project_id FROM project_members WHERE user_id = :user_id
    UNION SELECT m.project_id FROM user_group_members g JOIN project_members m ON m.group_id = g.group_id
    WHERE g.user_id = :user_id
    """
)

_PROJECT = f"{COLUMNS} FROM projects p {JOINED} WHERE p.deleted_at IS NULL"
_PROJECT_BY_NAME = Statement(f"{_PROJECT} AND p.name = :name")
_PROJECT_BY_ID = Statement(f"{_PROJECT} AND p.id = :id")

_MEMBER = "SELECT m.id, m.project_id, m.user_id, m.group_id, m.name, m.role, m.created_at"
_MEMBER_BY_ID = Statement(f"{_MEMBER} FROM project_members m WHERE m.project_id = :project_id AND m.id = :id")
_MEMBER_OF = Statement(
    f"{_MEMBER} FROM project_members m WHERE m.project_id = :project_id AND m.user_id = :user_id"
    f" UNION ALL {_MEMBER} FROM project_members m WHERE m.project_id = :project_id AND m.group_id = :group_id"
)
_TOTALS = ", ".join(f"'{total_name(role)}'" for role in Role)
_NUMBERS = f"FROM list_totals WHERE scope_id = :project_id AND list IN ({_TOTALS})"
_MEMBERS = List(
    source="project_members m",
    scope="m.project_id = :project_id",
    key="m.id",
    columns={"entity_name": Column("m.name")},
    order="entity_name",
    rows=f"{_MEMBER} FROM page JOIN project_members m ON m.id = page.id",
    total=f"SELECT CAST(coalesce(sum(total), 0) AS BIGINT) {_NUMBERS}",
)
_COUNTS = Statement(f"SELECT list, total {_NUMBERS}")
_ROLES = Statement(
    """
    SELECT project_id, role FROM project_members WHERE user_id = :user_id AND project_id = ANY(:ids)
    UNION SELECT m.project_id, m.role FROM user_group_members g
    JOIN project_members m ON m.group_id = g.group_id AND m.project_id = ANY(:ids) WHERE g.user_id = :user_id
    """
)
_SETTINGS = Statement(
    "SELECT project_id, name, value FROM project_metadata WHERE project_id = ANY(:ids) ORDER BY project_id, name"
)


async def names_of(connection: Connection, project_ids: Collection[int]) -> dict[int, str]:
    """The names of projects by their numbers, also of deleted ones; those that are purged are left out."""
    if not project_ids:
        return {}
    return {row[0]: row[1] for row in await connection.all(_NAMES, ids=sorted(project_ids))}


class ProjectQueries:
    """Reads projects, members and settings, each call from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def facts(self, name: str) -> ProjectFacts | None:
        """What requests need to know of the project of that name; None when there is none."""
        row = await self._database.read(lambda connection: connection.one(_FACTS_BY_NAME, name=name))
        return None if row is None else _facts(row)

    async def facts_by_id(self, project_id: int) -> ProjectFacts | None:
        """The same by the project's number."""
        row = await self._database.read(lambda connection: connection.one(_FACTS_BY_ID, id=project_id))
        return None if row is None else _facts(row)

    async def role(self, project_id: int, user_id: int) -> Role | None:
        """The strongest role that the user has in the project, itself or by its groups; None for who isn't a member."""
        rows = await self._database.read(
            lambda connection: connection.all(_ROLE, project_id=project_id, user_id=user_id)
        )
        return Role.strongest(Role.from_stored(row[0]) for row in rows)

    async def projects_of_member(self, user_id: int) -> frozenset[int]:
        """The numbers of all projects the user is a member of, itself or by its groups."""
        rows = await self._database.read(lambda connection: connection.all(_PROJECTS_OF_MEMBER, user_id=user_id))
        return frozenset(row[0] for row in rows)

    async def memberships(self, project_id: int, user_id: int) -> tuple[Membership, ...]:
        """Every role that the user has in the project, and by what."""
        rows = await self._database.read(
            lambda connection: connection.all(_MEMBERSHIPS, project_id=project_id, user_id=user_id)
        )
        return tuple(Membership(Role.from_stored(row[0]), row[1]) for row in rows)

    async def administers(self, user_id: int) -> bool:
        """Whether the user is an administrator of some project, itself or by its groups."""
        found = await self._database.read(
            lambda connection: connection.value(_ADMINISTERS, user_id=user_id, role=Role.PROJECT_ADMIN.stored)
        )
        return found is not None

    async def project(self, name_or_id: ProjectName | int) -> Project | None:
        """A project as its page shows it; None when there is none."""
        if isinstance(name_or_id, int):
            row = await self._database.read(lambda connection: connection.one(_PROJECT_BY_ID, id=name_or_id))
        else:
            name = name_or_id.value
            row = await self._database.read(lambda connection: connection.one(_PROJECT_BY_NAME, name=name))
        return None if row is None else _project(row)

    async def page(
        self, visibility: Visibility, wanted: Wanted = EVERYTHING, *, offset: int = 0, limit: int = 100
    ) -> tuple[list[Project], int]:
        """The projects behind the first `offset`, at most `limit`, and how many there are on all pages together.

        Args:
            visibility: Which ones the reader may see.
            wanted: Conditions and order; by name unless it says otherwise.
            offset: How many come before the page.
            limit: The length of the page.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """

        async def read(connection: Connection) -> tuple[list[Project], int]:
            rows, total = await read_page(connection, visibility, wanted, offset=offset, limit=limit)
            return [_project(row) for row in rows], total

        return await self._database.read(read)

    async def member(self, project_id: int, member_id: int) -> Member | None:
        """A member by the number of its membership; None when there is none."""
        row = await self._database.read(
            lambda connection: connection.one(_MEMBER_BY_ID, project_id=project_id, id=member_id)
        )
        return None if row is None else _member(row)

    async def members(
        self, project_id: int, *, name: str = "", offset: int = 0, limit: int = 100
    ) -> tuple[list[Member], int]:
        """The members behind the first `offset` by name, at most `limit`, and how many the project has in all.

        `name` selects those of exactly that name and, as in Harbor, doesn't change the count.
        """
        wanted = Wanted({"entity_name": Exact(name)}) if name else EVERYTHING

        async def read(connection: Connection) -> tuple[list[Member], int]:
            rows, total = await _MEMBERS.page(connection, wanted, offset=offset, limit=limit, project_id=project_id)
            if name:
                total = await _MEMBERS.total(connection, EVERYTHING, project_id=project_id)
            return [_member(row) for row in rows], total

        return await self._database.read(read)

    async def membership(self, project_id: int, entity: Entity) -> Member | None:
        """The membership of that very user or group; None when it has none of its own."""
        row = await self._database.read(
            lambda connection: connection.one(
                _MEMBER_OF, project_id=project_id, user_id=entity.user_id or 0, group_id=entity.group_id or 0
            )
        )
        return None if row is None else _member(row)

    async def member_counts(self, project_id: int) -> dict[Role, int]:
        """How many members of the project have each role; roles that nobody has are left out."""
        rows = await self._database.read(lambda connection: connection.all(_COUNTS, project_id=project_id))
        totals = {row[0]: row[1] for row in rows}
        return {role: totals[total_name(role)] for role in Role if totals.get(total_name(role))}

    async def roles_of(self, user_id: int, project_ids: Collection[int]) -> dict[int, tuple[Role, ...]]:
        """The user's roles, the strongest first, in those of the projects that it is a member of, by their numbers."""
        rows = await self._database.read(
            lambda connection: connection.all(_ROLES, user_id=user_id, ids=list(project_ids))
        )
        roles: dict[int, list[Role]] = {}
        for row in rows:
            roles.setdefault(row[0], []).append(Role.from_stored(row[1]))
        return {
            project_id: tuple(sorted(found, key=lambda role: -role.strength)) for project_id, found in roles.items()
        }

    async def living_names(self, project_ids: Collection[int]) -> dict[int, str]:
        """The names of those of the projects that exist, by their numbers."""
        if not project_ids:
            return {}
        rows = await self._database.read(lambda connection: connection.all(_LIVING_NAMES, ids=list(project_ids)))
        return {row[0]: row[1] for row in rows}

    async def settings_of(self, project_ids: Collection[int]) -> dict[int, dict[str, str]]:
        """The string settings that were ever set, by name, of each of the projects that has any, by its number.

        `public` isn't among them: it is a column of the project itself.
        """
        rows = await self._database.read(lambda connection: connection.all(_SETTINGS, ids=list(project_ids)))
        settings: dict[int, dict[str, str]] = {}
        for row in rows:
            settings.setdefault(row[0], {})[row[1]] = row[2]
        return settings

    async def settings(self, project_id: int) -> dict[str, str]:
        """The same of one project."""
        return (await self.settings_of([project_id])).get(project_id, {})


def _facts(row: Row) -> ProjectFacts:
    # The name was parsed when the project was made.
    return ProjectFacts(row[0], ProjectName(row[1]), bool(row[2]), row[3], row[4])


def _project(row: Row) -> Project:
    return Project(
        id=row["id"],
        name=ProjectName(row["name"]),
        owner_id=row["owner_id"],
        owner_name=row["owner_name"],
        public=bool(row["public"]),
        sparse=row["sparse"],
        quota_bytes=row["quota_bytes"],
        used_bytes=row["used_bytes"],
        repository_count=row["repository_count"],
        access_version=row["access_version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _member(row: Row) -> Member:
    return Member(
        id=row["id"],
        project_id=row["project_id"],
        entity=Entity(row["user_id"]) if row["group_id"] is None else Entity(row["group_id"], is_group=True),
        name=row["name"],
        role=Role.from_stored(row["role"]),
        created_at=row["created_at"],
    )
