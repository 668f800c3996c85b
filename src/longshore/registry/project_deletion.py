# SPDX-License-Identifier: Apache-2.0
"""Deleting and restoring a whole project (DP and UP of `docs/why/metadata.md`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from longshore.database.connection import Database, Row, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events import service as events
from longshore.events.models import EventKind
from longshore.oci.errors import Conflict, NotFound, PreconditionFailed
from longshore.registry import ledger, totals
from longshore.registry.expiry import expire_sessions_of
from longshore.registry.immutability import ImmutableTags, NoImmutableTags
from longshore.registry.models import Repository
from longshore.registry.periods import Periods
from longshore.registry.project_periods import project_periods
from longshore.registry.repository_deletion import refuse_held

_MARK = Statement(
    "UPDATE projects SET deleted_at = {now}, purge_after = {now} + :window, deletion_id = :deletion_id,"
    " access_version = access_version + 1, updated_at = {now} WHERE id = :project_id AND deleted_at IS NULL"
)
_REPOSITORIES = Statement(
    "SELECT id, name, listed_at IS NOT NULL FROM repositories WHERE project_id = :project_id AND deleted_at IS NULL"
    " ORDER BY id FOR NO KEY UPDATE"
)
_MARK_REPOSITORIES = Statement(
    "UPDATE repositories SET deleted_at = {now}, purge_after = {now} + :window, deletion_id = :deletion_id"
    " WHERE id = ANY(:repository_ids)"
)
_CLEAR = Statement(
    "UPDATE projects SET deleted_at = NULL, purge_after = NULL, deletion_id = NULL,"
    " access_version = access_version + 1, updated_at = {now}"
    " WHERE deletion_id = :deletion_id AND purge_after > {now} RETURNING id, name"
)
_DELETED_REPOSITORIES = Statement(
    "SELECT id, name, (purge_after > {now}) AS restorable FROM repositories"
    " WHERE project_id = :project_id AND deletion_id = :deletion_id ORDER BY id FOR NO KEY UPDATE"
)
_CLEAR_REPOSITORIES = Statement(
    "UPDATE repositories SET deleted_at = NULL, purge_after = NULL, deletion_id = NULL WHERE id = ANY(:repository_ids)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedProject:
    """A project that went, its repositories that were alive, and for how many microseconds it can come back."""

    id: str
    repositories: tuple[str, ...]
    freed_after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredProject:
    """A project that came back; `gone` are the repositories that are being purged already."""

    project_id: int
    name: str
    repositories: tuple[str, ...]
    gone: tuple[str, ...]


class ProjectDeletion:
    """Deletes and restores projects."""

    def __init__(self, database: Database, periods: Periods, immutable: ImmutableTags | None = None) -> None:
        self._database = database
        self._periods = periods
        self._immutable = immutable or NoImmutableTags()

    async def delete(self, project_id: int, *, actor: str, reason: str) -> DeletedProject:
        """Deletes the project with all its repositories, at once for every reader; its name is free.

        Raises:
            NotFound: there is no such project.
            Held: one of its repositories has a manifest on hold or an immutable tag.
        """
        return await self._delete(project_id, actor=actor, reason=reason, only_empty=False)

    async def delete_empty(self, project_id: int, *, actor: str, reason: str) -> DeletedProject:
        """Deletes the project unless it has a repository that lists show.

        Raises:
            NotFound: there is no such project.
            PreconditionFailed: it has repositories.
        """
        return await self._delete(project_id, actor=actor, reason=reason, only_empty=True)

    async def _delete(self, project_id: int, *, actor: str, reason: str, only_empty: bool) -> DeletedProject:
        async def run(transaction: Transaction) -> DeletedProject:
            window = (await project_periods(transaction, project_id, self._periods)).window
            deletion_id = uuid.uuid4().hex
            parameters = {"deletion_id": deletion_id, "window": window}
            if not await transaction.execute(_MARK, project_id=project_id, **parameters):
                raise NotFound("There is no such project, or it is deleted already.")
            rows = await transaction.all(_REPOSITORIES, project_id=project_id)
            listed = sum(bool(row[2]) for row in rows)
            if only_empty and listed:
                raise PreconditionFailed(
                    f"The project can't be deleted: it has {listed} repositories. Delete them first."
                )
            doomed = [Repository(row[0], project_id, row[1]) for row in rows]
            await refuse_held(transaction, doomed, self._immutable)
            repository_ids = [row[0] for row in rows]
            await transaction.execute(_MARK_REPOSITORIES, repository_ids=repository_ids, **parameters)
            await expire_sessions_of(transaction, repository_ids, delay=self._periods.delay)
            deleted = DeletedProject(id=deletion_id, repositories=tuple(row[1] for row in rows), freed_after=window)
            payload = {"deletion_id": deletion_id, "repositories": len(rows), "actor": actor, "reason": reason}
            await events.append(transaction, kind=EventKind.PROJECT_DELETED, project_id=project_id, payload=payload)
            await ledger.uncount_repositories(transaction, project_id, repository_ids)
            await totals.count_project(transaction, project_id, -1)
            return deleted

        return await self._database.write(run)

    async def restore(self, deletion_id: str, *, actor: str) -> RestoredProject:
        """Brings the project back, with those of its repositories that went with it and aren't being purged yet.

        Raises:
            NotFound: there is no project of that deletion, or its time to be restored is over.
            Conflict: its name is in use again.
            QuotaExceeded: its quota has been lowered below what would come back.
        """

        async def run(transaction: Transaction) -> RestoredProject:
            project = await transaction.one(_CLEAR, deletion_id=deletion_id)
            if project is None:
                raise NotFound("There is no such deleted project: it was restored, or the time for that is over.")
            return await _restore_repositories(transaction, project, deletion_id, actor=actor)

        try:
            return await self._database.write(run)
        except UniqueViolation as violation:
            raise Conflict(
                "The project's name is in use again. Rename or delete the project that has it now, or leave this one."
            ) from violation


async def _restore_repositories(
    transaction: Transaction, project: Row, deletion_id: str, *, actor: str
) -> RestoredProject:
    project_id: int = project[0]
    rows = await transaction.all(_DELETED_REPOSITORIES, project_id=project_id, deletion_id=deletion_id)
    restorable = [row for row in rows if row["restorable"]]
    repository_ids: Sequence[int] = [row[0] for row in restorable]
    await transaction.execute(_CLEAR_REPOSITORIES, repository_ids=repository_ids)
    restored = RestoredProject(
        project_id=project_id,
        name=project[1],
        repositories=tuple(row[1] for row in restorable),
        gone=tuple(row[1] for row in rows if not row["restorable"]),
    )
    payload = {"deletion_id": deletion_id, "repositories": len(restorable), "actor": actor}
    await events.append(transaction, kind=EventKind.PROJECT_RESTORED, project_id=project_id, payload=payload)
    await ledger.count_repositories(transaction, project_id, repository_ids)
    await totals.count_project(transaction, project_id, 1)
    return restored
