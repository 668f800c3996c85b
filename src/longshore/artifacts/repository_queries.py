# SPDX-License-Identifier: Apache-2.0
"""Reading repositories, as lists show them: those that a manifest was ever pushed to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from longshore.artifacts.models import ListedRepository
from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.listing.columns import Column, Filterable, Kind, Where
from longshore.listing.models import EVERYTHING, Condition, Exact, Wanted
from longshore.listing.statements import List
from longshore.oci.errors import BadRequest, NotFound
from longshore.projects.models import Visibility

_FULL_NAME: Final = "p.name || '/' || r.name"
_COLUMNS = """
    SELECT r.id, r.project_id, p.name AS project, r.name AS path, r.description, r.artifact_count, r.pull_count,
        r.created_at, r.updated_at
"""
_ALIVE = "r.listed_at IS NOT NULL AND r.deleted_at IS NULL"
_VISIBLE = "v.deleted_at IS NULL AND ((:public_too AND v.public) OR v.id = ANY(:project_ids))"


@dataclass(frozen=True, slots=True)
class _FullName:
    """`name`: always the whole name; a whole name finds its row in the index of names."""

    sortable: str | None
    unique: bool

    def where(self, key: str, condition: Condition, name: str) -> Where:
        """The condition in SQL.

        Raises:
            BadRequest: it asks for several names at once that all have to be it.
        """
        if isinstance(condition, Exact):
            project, _, path = condition.text.partition("/")
            return f"p.name = :{name} AND r.name = :{name}_path", {name: project, f"{name}_path": path}
        return Column(_FULL_NAME).where(key, condition, name)


@dataclass(frozen=True, slots=True)
class _HoldsBlob:
    """`blob_digest`: the repositories that a blob can be pulled from; other registries ask before they copy one."""

    sortable: str | None = None
    unique: bool = False

    def where(self, key: str, condition: Condition, name: str) -> Where:
        """The condition in SQL.

        Raises:
            BadRequest: it isn't one digest.
        """
        if not isinstance(condition, Exact):
            raise BadRequest(f"q: {key} takes one digest: {key}=sha256:….")
        return (
            "r.id IN (SELECT held.repository_id FROM blobs b JOIN repository_blobs held ON held.blob_id = b.id"
            f" WHERE b.digest = :{name} AND NOT b.damaged AND held.hidden_at IS NULL"
            " AND (held.lease_until IS NULL OR held.lease_until > {now}))"
        ), {name: condition.text}


def _list(scope: str, name: _FullName, total: str, *, newest: str = "r.created_at") -> List:
    columns: dict[str, Filterable] = {
        "id": Column("r.id", Kind.NUMBER, unique=True),
        "repository_id": Column("r.id", Kind.NUMBER, unique=True),
        "project_id": Column("r.project_id", Kind.NUMBER),
        "name": name,
        "description": Column("r.description"),
        "artifact_count": Column("r.artifact_count", Kind.NUMBER),
        "pull_count": Column("r.pull_count", Kind.NUMBER),
        "creation_time": Column("r.created_at", Kind.TIME, sorting=newest),
        "update_time": Column("r.updated_at", Kind.TIME),
        "blob_digest": _HoldsBlob(),
    }
    return List(
        # Where no condition looks at the project, both databases leave it out: only a LEFT JOIN can be.
        source="repositories r LEFT JOIN projects p ON p.id = r.project_id",
        scope=f"{scope} AND {_ALIVE}",
        key="r.id",
        columns=columns,
        order="-creation_time,-repository_id",
        rows=(f"{_COLUMNS} FROM page JOIN repositories r ON r.id = page.id JOIN projects p ON p.id = r.project_id"),
        total=total,
    )


OF_PROJECT: Final = _list(
    "r.project_id = :project_id",
    # Within a project the paths alone have the same order, and an index.
    _FullName("r.name", unique=True),
    "SELECT repository_count FROM project_usage WHERE project_id = :project_id",
)
EVERYWHERE: Final = _list(
    "r.id > 0",
    _FullName(_FULL_NAME, unique=True),
    "SELECT CAST(coalesce(sum(repository_count), 0) AS BIGINT) FROM project_usage",
)
_IN_SIGHT = (
    f"r.project_id IN (SELECT v.id FROM projects v WHERE {_VISIBLE})",
    _FullName(_FULL_NAME, unique=True),
    (
        "SELECT CAST(coalesce(sum(u.repository_count), 0) AS BIGINT) FROM projects v"
        f" JOIN project_usage u ON u.project_id = v.id WHERE {_VISIBLE}"
    ),
)
# Who sees many of the repositories finds a page of them among the newest of all. Who sees few would look at nearly all for
# it: these few are sorted instead, by an expression that no index has.
MANY_IN_SIGHT: Final = _list(*_IN_SIGHT)
FEW_IN_SIGHT: Final = _list(*_IN_SIGHT, newest="r.created_at + 0")
_FEW: Final = 10_000
_BY_PATH = Statement(
    f"{_COLUMNS} FROM repositories r JOIN projects p ON p.id = r.project_id"
    f" WHERE r.project_id = :project_id AND r.name = :path AND {_ALIVE}"
)


class RepositoryQueries:
    """Reads repositories, each call from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def repository(self, project_id: int, path: str) -> ListedRepository:
        """A repository by its name below the project.

        Raises:
            NotFound: there is none, or nothing was ever pushed to it.
        """
        row = await self._database.one(_BY_PATH, project_id=project_id, path=path)
        if row is None:
            raise NotFound(
                f"The repository {path[:300]} doesn't exist in this project. List the project's repositories."
            )
        return _repository(row)

    async def page_of_project(
        self, project_id: int, wanted: Wanted = EVERYTHING, *, offset: int = 0, limit: int = 100
    ) -> tuple[list[ListedRepository], int]:
        """The repositories of a project behind the first `offset`, and how many it has; the newest come first.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """
        return await self._read(OF_PROJECT, wanted, offset, limit, project_id=project_id)

    async def page(
        self, visibility: Visibility, wanted: Wanted = EVERYTHING, *, offset: int = 0, limit: int = 100
    ) -> tuple[list[ListedRepository], int]:
        """The repositories of all projects that somebody sees; the newest come first.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """
        if visibility.everything:
            return await self._read(EVERYWHERE, wanted, offset, limit)
        of = {"public_too": visibility.public, "project_ids": sorted(visibility.project_ids)}
        count = await self._database.read(lambda connection: MANY_IN_SIGHT.total(connection, EVERYTHING, **of))
        return await self._read(FEW_IN_SIGHT if count <= _FEW else MANY_IN_SIGHT, wanted, offset, limit, **of)

    async def _read(
        self, chosen: List, wanted: Wanted, offset: int, limit: int, **parameters: Any
    ) -> tuple[list[ListedRepository], int]:
        async def read(connection: Connection) -> tuple[list[ListedRepository], int]:
            rows, total = await chosen.page(connection, wanted, offset=offset, limit=limit, **parameters)
            return [_repository(row) for row in rows], total

        return await self._database.read(read)


def _repository(row: Row) -> ListedRepository:
    return ListedRepository(
        id=row["id"],
        project_id=row["project_id"],
        project=row["project"],
        path=row["path"],
        description=row["description"],
        artifact_count=row["artifact_count"],
        pull_count=row["pull_count"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
