# SPDX-License-Identifier: Apache-2.0
"""What is in the trash and can be brought back: one entry for each deletion, whatever it took along."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from longshore.database.connection import Connection, Database
from longshore.database.statement import Statement
from longshore.oci.errors import NotFound
from longshore.registry.models import Repository
from longshore.registry.periods import Periods
from longshore.registry.project_deletion import ProjectDeletion
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.undelete import Undelete

_LIST = Statement(
    """
    SELECT 'project' AS kind, p.deletion_id, p.name AS project, '' AS path, '' AS digest, 1 AS members,
        p.deleted_at, p.purge_after
    FROM projects p WHERE p.purge_after IS NOT NULL AND p.purge_after > {now} AND p.deletion_id IS NOT NULL
    UNION ALL
    SELECT 'repository', r.deletion_id, p.name, r.name, '', 1, r.deleted_at, r.purge_after
    FROM repositories r JOIN projects p ON p.id = r.project_id
    WHERE r.purge_after IS NOT NULL AND r.purge_after > {now} AND p.deleted_at IS NULL AND r.deletion_id IS NOT NULL
    UNION ALL
    SELECT 'manifest', m.deletion_id, min(p.name), min(r.name), min(m.digest), count(*),
        min(m.deleted_at), min(m.purge_after)
    FROM manifests m JOIN repositories r ON r.id = m.repository_id JOIN projects p ON p.id = r.project_id
    WHERE m.purge_after IS NOT NULL AND m.purge_after > {now} AND m.deletion_id IS NOT NULL
    AND r.deleted_at IS NULL AND p.deleted_at IS NULL
    GROUP BY m.deletion_id
    ORDER BY 7 DESC, 2 LIMIT :limit
    """
)
_OF_MANIFESTS = Statement(
    "SELECT r.id, r.project_id, r.name FROM manifests m JOIN repositories r ON r.id = m.repository_id"
    " WHERE m.deletion_id = :deletion_id AND r.deleted_at IS NULL LIMIT 1"
)
_OF_TAGS = Statement(
    "SELECT r.id, r.project_id, r.name FROM tag_journal j JOIN repositories r ON r.id = j.repository_id"
    " WHERE j.deletion_id = :deletion_id AND r.deleted_at IS NULL LIMIT 1"
)
_OF_REPOSITORY = Statement("SELECT project_id FROM repositories WHERE deletion_id = :deletion_id LIMIT 1")
_OF_PROJECT = Statement("SELECT id FROM projects WHERE deletion_id = :deletion_id")


class TrashKind(Enum):
    """What a deletion was of."""

    PROJECT = "project"
    REPOSITORY = "repository"
    MANIFEST = "manifest"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashEntry:
    """One deletion that can be undone until `purge_after` (microseconds since 1970).

    `members` is how many manifests a deletion of manifests took along; `digest` is one of them.
    """

    kind: TrashKind
    deletion_id: str
    name: str
    digest: str
    members: int
    deleted_at: int
    purge_after: int


class Trash:
    """Looks into the trash and brings things back by the id of their deletion."""

    def __init__(self, database: Database, periods: Periods) -> None:
        self._database = database
        self._periods = periods

    async def entries(self, limit: int = 1000) -> list[TrashEntry]:
        """The newest deletions that can still be undone."""

        async def read(connection: Connection) -> list[TrashEntry]:
            rows = await connection.all(_LIST, limit=limit)
            return [
                TrashEntry(
                    kind=TrashKind(row[0]),
                    deletion_id=row[1],
                    name=f"{row[2]}/{row[3]}" if row[3] else row[2],
                    digest=row[4],
                    members=row[5],
                    deleted_at=row[6],
                    purge_after=row[7],
                )
                for row in rows
            ]

        return await self._database.read(read)

    async def restore(self, deletion_id: str, *, actor: str) -> str:
        """Undoes a deletion of any kind; returns in words what came back.

        Raises:
            NotFound: there is no such deletion, or the time to undo it is over.
            Conflict: a name is in use again.
            QuotaExceeded: the project has no room for what would come back.
        """
        repository, project_of_repository, project = await self._database.read(
            lambda connection: _look(connection, deletion_id)
        )
        if project is not None:
            restored = await ProjectDeletion(self._database, self._periods).restore(deletion_id, actor=actor)
            return (
                f"the project {restored.name} with {_counted(len(restored.repositories), 'repository', 'repositories')}"
            )
        if project_of_repository is not None:
            deletion = RepositoryDeletion(self._database, self._periods)
            found = await deletion.restore(project_of_repository, deletion_id, actor=actor)
            return f"the repository {found.path}"
        if repository is None:
            raise NotFound(f"There is no deletion {deletion_id!r} that could be undone. Look at the list of the trash.")
        undelete = Undelete(self._database, self._periods)
        done = await undelete.undelete(repository.project_id, repository.path, deletion_id, actor=actor)
        words = (
            f"{_counted(len(done.manifests), 'manifest')} and {_counted(len(done.tags), 'tag')} in {repository.path}"
        )
        left = "; ".join(f"not the tag {name}: {reason.value}" for name, reason in done.not_restored)
        return f"{words} ({left})" if left else words


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


async def _look(connection: Connection, deletion_id: str) -> tuple[Repository | None, int | None, int | None]:
    project: int | None = await connection.value(_OF_PROJECT, deletion_id=deletion_id)
    of_repository: int | None = await connection.value(_OF_REPOSITORY, deletion_id=deletion_id)
    row = await connection.one(_OF_MANIFESTS, deletion_id=deletion_id)
    if row is None:
        row = await connection.one(_OF_TAGS, deletion_id=deletion_id)
    return (None if row is None else Repository(row[0], row[1], row[2])), of_repository, project
