# SPDX-License-Identifier: Apache-2.0
"""Reading projects and members. Names of people come from `users`, which members refer to.

A page of a list is one statement, whichever page it is: what comes before it is skipped in an index, and only the rows of
the page are read (`docs/why/database.md`). What belongs to the rows of a page is read for all of them at once.
"""

from __future__ import annotations

from collections.abc import Collection

from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.listing.columns import Column, Kind
from longshore.listing.models import EVERYTHING, Wanted
from longshore.listing.statements import List
from longshore.oci.names import ProjectName
from longshore.projects.models import Member, Membership, Project, ProjectFacts, Role, Visibility

_FACTS = "SELECT id, name, public, sparse, access_version FROM projects WHERE deleted_at IS NULL"
_FACTS_BY_NAME = Statement(f"{_FACTS} AND name = :name")
_FACTS_BY_ID = Statement(f"{_FACTS} AND id = :id")
_ROLE = Statement("SELECT role FROM project_members WHERE project_id = :project_id AND user_id = :user_id")
_MEMBERSHIPS = Statement(
    "SELECT role, NULL AS by_group FROM project_members WHERE project_id = :project_id AND user_id = :user_id"
)
_ADMINISTERS = Statement(
    """
    SELECT 1 FROM project_members m JOIN projects p ON p.id = m.project_id AND p.deleted_at IS NULL
    WHERE m.user_id = :user_id AND m.role = :role LIMIT 1
    """
)
_PROJECTS_OF_MEMBER = Statement("SELECT project_id FROM project_members WHERE user_id = :user_id")

_COLUMNS = """
    SELECT p.id, p.name, p.owner_id, coalesce(u.username, '') AS owner_name, p.public, p.sparse, p.quota_bytes,
           s.used_bytes, s.repository_count, p.access_version, p.created_at, p.updated_at
"""
_JOINED = "JOIN project_usage s ON s.project_id = p.id LEFT JOIN users u ON u.id = p.owner_id"
_PROJECT = f"{_COLUMNS} FROM projects p {_JOINED} WHERE p.deleted_at IS NULL"
_PROJECT_BY_NAME = Statement(f"{_PROJECT} AND p.name = :name")
_PROJECT_BY_ID = Statement(f"{_PROJECT} AND p.id = :id")
# All that the list is filtered by, but the name of the owner, is in the index ix_projects_listing.
_LIST = List(
    source="projects p",
    scope="p.deleted_at IS NULL AND (:everything OR (:public_too AND p.public) OR p.id = ANY(:project_ids))",
    key="p.id",
    columns={
        "name": Column("p.name", unique=True),
        "project_id": Column("p.id", Kind.NUMBER, unique=True),
        "public": Column("p.public", Kind.FLAG),
        "owner_id": Column("coalesce(p.owner_id, 0)", Kind.NUMBER),
        "owner": Column(
            "coalesce((SELECT username FROM users WHERE id = p.owner_id AND deleted_at IS NULL), '')", sorts=False
        ),
        "creation_time": Column("p.created_at", Kind.TIME),
        "update_time": Column("p.updated_at", Kind.TIME),
    },
    order="name",
    rows=f"{_COLUMNS} FROM page JOIN projects p ON p.id = page.id {_JOINED}",
)

_MEMBER = """
    SELECT m.id, m.project_id, m.user_id, u.username, m.role, m.created_at
    FROM project_members m JOIN users u ON u.id = m.user_id WHERE m.project_id = :project_id
"""
_MEMBER_BY_ID = Statement(f"{_MEMBER} AND m.id = :id")
_MEMBER_PAGE = Statement(
    f"{_MEMBER} AND (:name = '' OR u.username = :name) ORDER BY u.username LIMIT :limit OFFSET :offset"
)
_MEMBER_COUNT = Statement("SELECT count(*) FROM project_members WHERE project_id = :project_id")
_COUNTS = Statement("SELECT role, count(*) FROM project_members WHERE project_id = :project_id GROUP BY role")
_ROLES = Statement("SELECT project_id, role FROM project_members WHERE user_id = :user_id AND project_id = ANY(:ids)")
_SETTINGS = Statement(
    "SELECT project_id, name, value FROM project_metadata WHERE project_id = ANY(:ids) ORDER BY project_id, name"
)


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
        """The user's role in the project; None for who isn't a member."""
        stored = await self._database.read(
            lambda connection: connection.value(_ROLE, project_id=project_id, user_id=user_id)
        )
        return None if stored is None else Role.from_stored(stored)

    async def projects_of_member(self, user_id: int) -> frozenset[int]:
        """The numbers of all projects the user is a member of."""
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
            rows, total = await _LIST.page(
                connection,
                wanted,
                offset=offset,
                limit=limit,
                everything=visibility.everything,
                public_too=visibility.public,
                project_ids=sorted(visibility.project_ids),
            )
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
        """The members behind the first `offset` by username, at most `limit`, and how many the project has in all.

        `name` selects one exactly and, as in Harbor, doesn't change the count.
        """

        async def read(connection: Connection) -> tuple[list[Member], int]:
            rows = await connection.all(_MEMBER_PAGE, project_id=project_id, name=name, offset=offset, limit=limit)
            return [_member(row) for row in rows], await connection.value(_MEMBER_COUNT, project_id=project_id)

        return await self._database.read(read)

    async def member_counts(self, project_id: int) -> dict[Role, int]:
        """How many members of the project have each role; roles that nobody has are left out."""
        rows = await self._database.read(lambda connection: connection.all(_COUNTS, project_id=project_id))
        return {Role.from_stored(row[0]): row[1] for row in rows}

    async def roles_of(self, user_id: int, project_ids: Collection[int]) -> dict[int, Role]:
        """The user's roles in those of the projects that it is a member of, by their numbers."""
        rows = await self._database.read(
            lambda connection: connection.all(_ROLES, user_id=user_id, ids=list(project_ids))
        )
        return {row[0]: Role.from_stored(row[1]) for row in rows}

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
        user_id=row["user_id"],
        username=row["username"],
        role=Role.from_stored(row["role"]),
        created_at=row["created_at"],
    )
