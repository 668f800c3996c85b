# SPDX-License-Identifier: Apache-2.0
"""Searching by a part of a name, in the projects that the reader sees and nowhere else.

Three things bound a search: at most a hundred projects and a hundred repositories are found, no batch of repositories is
larger than a few thousand unless one project is, and no further batch begins after two seconds. Those of the reader's own
projects come first, so that they are what is found when there is more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic
from typing import Final

from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.listing.columns import like
from longshore.listing.models import Fuzzy, Wanted
from longshore.projects.models import Project, Visibility
from longshore.projects.queries import ProjectQueries
from longshore.search.models import FoundRepository

MOST_HITS: Final = 100
"""How many projects, and how many repositories, a search finds at most."""

_SECONDS: Final = 2.0
_PROJECTS: Final = 500
_BATCH: Final = 5_000

_NEXT = "SELECT p.id, p.name, s.repository_count FROM projects p JOIN project_usage s ON s.project_id = p.id WHERE "
_BEHIND = "p.deleted_at IS NULL AND p.name > :after ORDER BY p.name LIMIT :limit"
_NEXT_OF_ALL = Statement(f"{_NEXT} {_BEHIND}")
_NEXT_PUBLIC = Statement(f"{_NEXT} p.public = TRUE AND {_BEHIND}")
_NAMED = Statement(f"{_NEXT} p.id = ANY(:ids) AND p.deleted_at IS NULL")
_REPOSITORIES = Statement(
    """
    SELECT r.project_id, p.name AS project, p.public, r.name, r.pull_count, r.artifact_count
    FROM repositories r JOIN projects p ON p.id = r.project_id
    WHERE r.project_id = ANY(:ids) AND r.deleted_at IS NULL AND r.listed_at IS NOT NULL
    AND lower((p.name || '/' || r.name) COLLATE "C") LIKE :part ESCAPE '!'
    ORDER BY r.project_id, r.name LIMIT :limit
    """
)


class SearchQueries:
    """Searches projects and repositories.

    Args:
        database: Where they are.
        clock: Seconds, monotonic.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._projects = ProjectQueries(database)
        self._clock = clock

    async def projects(self, visibility: Visibility, part: str) -> list[Project]:
        """The first projects by name that have it in their name.

        Raises:
            SearchTooSlow: there are too many to look through in time.
        """
        found, _ = await self._projects.page(visibility, Wanted({"name": Fuzzy(part)}), limit=MOST_HITS)
        return found

    async def repositories(self, visibility: Visibility, part: str) -> list[FoundRepository]:
        """Repositories that have it in their name, which begins with that of the project; by name.

        Raises:
            SearchTooSlow: a project has too many to look through in time.
        """
        until = self._clock() + _SECONDS
        found: dict[str, FoundRepository] = {}
        async for project_ids in self._batches(visibility):
            for repository in await self._matching(project_ids, part, MOST_HITS - len(found)):
                found.setdefault(repository.name, repository)
            if len(found) >= MOST_HITS or self._clock() > until:
                break
        return [found[name] for name in sorted(found)]

    async def _matching(self, project_ids: Sequence[int], part: str, limit: int) -> list[FoundRepository]:
        async def read(connection: Connection) -> list[Row]:
            return await connection.scan(_REPOSITORIES, ids=project_ids, part=like(part), limit=limit)

        return [_found(row) for row in await self._database.read(read)]

    async def _batches(self, visibility: Visibility) -> AsyncIterator[list[int]]:
        """The projects of a reader that have repositories, the own ones first, so many at once as one look is for."""
        if not visibility.everything:
            rows: list[Row] = await self._database.read(
                lambda connection: connection.all(_NAMED, ids=sorted(visibility.project_ids))
            )
            for batch in _cut(rows):
                yield batch
            if not visibility.public:
                return
        statement, after = (_NEXT_OF_ALL if visibility.everything else _NEXT_PUBLIC), ""
        while rows := await self._behind(statement, after):
            for batch in _cut(rows):
                yield batch
            after = rows[-1]["name"]

    async def _behind(self, statement: Statement, after: str) -> list[Row]:
        return await self._database.read(lambda connection: connection.all(statement, after=after, limit=_PROJECTS))


def _cut(rows: Sequence[Row]) -> list[list[int]]:
    batches: list[list[int]] = []
    size = 0
    for row in rows:
        count: int = row["repository_count"]
        if not count:
            continue
        if not batches or size + count > _BATCH:
            batches.append([])
            size = 0
        batches[-1].append(row["id"])
        size += count
    return batches


def _found(row: Row) -> FoundRepository:
    return FoundRepository(
        project_id=row["project_id"],
        project_name=row["project"],
        project_public=bool(row["public"]),
        name=f"{row['project']}/{row['name']}",
        pull_count=row["pull_count"],
        artifact_count=row["artifact_count"],
    )
