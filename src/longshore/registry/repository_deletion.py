# SPDX-License-Identifier: Apache-2.0
"""Deleting and restoring a whole repository (DR and UR of `docs/why/metadata.md`)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events import service as events
from longshore.events.models import EventKind
from longshore.oci.errors import Conflict, NotFound
from longshore.registry import ledger, repositories
from longshore.registry.errors import Held
from longshore.registry.expiry import expire_sessions_of
from longshore.registry.immutability import ImmutableTags, NoImmutableTags
from longshore.registry.locking import LockedRepository, lock_by_id
from longshore.registry.models import Repository
from longshore.registry.periods import Periods
from longshore.registry.project_periods import project_periods

_HELD = Statement(
    "SELECT m.digest, r.name FROM manifests m JOIN repositories r ON r.id = m.repository_id"
    " WHERE m.repository_id = ANY(:repository_ids) AND m.hold LIMIT 1"
)
_MARK = Statement(
    "UPDATE repositories SET deleted_at = {now}, purge_after = {now} + :window, deletion_id = :deletion_id"
    " WHERE id = :repository_id"
)
_FIND = Statement(
    "SELECT id FROM repositories WHERE deletion_id = :deletion_id AND project_id = :project_id AND deleted_at IS NOT NULL"
)
_PROJECT = Statement("SELECT id FROM projects WHERE id = :project_id AND deleted_at IS NULL FOR SHARE")
_NAMESAKE = Statement(
    "SELECT 1 FROM repositories WHERE project_id = :project_id AND name = :path AND deleted_at IS NULL"
)
_CLEAR = Statement(
    "UPDATE repositories SET deleted_at = NULL, purge_after = NULL, deletion_id = NULL WHERE id = :repository_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedRepository:
    """A repository that went, the id that brings it back, and for how many microseconds it can come back."""

    id: str
    path: str
    freed_after: int


class RepositoryDeletion:
    """Deletes and restores repositories."""

    def __init__(self, database: Database, periods: Periods, immutable: ImmutableTags | None = None) -> None:
        self._database = database
        self._periods = periods
        self._immutable = immutable or NoImmutableTags()

    async def delete(self, project_id: int, path: str, *, actor: str, reason: str) -> DeletedRepository:
        """Deletes the repository with everything in it, at once for every reader; its name is free.

        Raises:
            NameUnknown: there is no such repository.
            Held: it has a manifest on hold or an immutable tag.
        """

        async def run(transaction: Transaction) -> DeletedRepository:
            repository = await repositories.lock(transaction, project_id, path)
            await refuse_held(transaction, [repository], self._immutable)
            window = (await project_periods(transaction, project_id, self._periods)).window
            deleted = DeletedRepository(id=uuid.uuid4().hex, path=path, freed_after=window)
            await transaction.execute(_MARK, repository_id=repository.id, deletion_id=deleted.id, window=window)
            await expire_sessions_of(transaction, [repository.id], delay=self._periods.delay)
            payload = {"deletion_id": deleted.id, "actor": actor, "reason": reason}
            await _announce(transaction, EventKind.REPOSITORY_DELETED, repository, payload)
            await ledger.uncount_repositories(transaction, project_id, [repository.id])
            return deleted

        return await self._database.write(run)

    async def restore(self, project_id: int, deletion_id: str, *, actor: str) -> Repository:
        """Brings a deleted repository back with everything that was alive in it.

        Raises:
            NotFound: there is none of that deletion in a live project, or its time to be restored is over.
            Conflict: its name is in use again.
            QuotaExceeded: the project has no room for what would come back.
        """

        async def run(transaction: Transaction) -> Repository:
            locked = await _lock_deleted(transaction, project_id, deletion_id)
            repository = locked.repository
            if await transaction.value(_NAMESAKE, project_id=project_id, path=repository.path) is not None:
                raise _taken(repository.path)
            await transaction.execute(_CLEAR, repository_id=repository.id)
            payload = {"deletion_id": deletion_id, "actor": actor}
            await _announce(transaction, EventKind.REPOSITORY_RESTORED, repository, payload)
            await ledger.count_repositories(transaction, project_id, [repository.id])
            return repository

        try:
            return await self._database.write(run)
        except UniqueViolation as violation:
            # Somebody pushed to the name between our look and our change.
            raise _taken("the repository") from violation


async def refuse_held(connection: Connection, doomed: Sequence[Repository], immutable: ImmutableTags) -> None:
    """Refuses to delete repositories that something must keep.

    Raises:
        Held: a manifest is on hold, or a tag is immutable.
    """
    held = await connection.one(_HELD, repository_ids=[repository.id for repository in doomed])
    if held is not None:
        raise Held(f"The repository {held[1]} has the manifest {held[0]}, which is on hold. Lift the hold first.")
    for repository in doomed:
        tag = await immutable.any_in(connection, repository)
        if tag is not None:
            raise Held(
                f"the tag {tag} configured as immutable, cannot be deleted. Change the project's immutability rules, or"
                f" keep the repository {repository.path}.",
                detail={"tags": [tag]},
            )


async def _lock_deleted(transaction: Transaction, project_id: int, deletion_id: str) -> LockedRepository:
    repository_id = await transaction.value(_FIND, deletion_id=deletion_id, project_id=project_id)
    locked = None if repository_id is None else await lock_by_id(transaction, repository_id)
    if locked is None or not locked.deleted or locked.expired or locked.deletion_id != deletion_id:
        raise _nothing_left()
    if await transaction.value(_PROJECT, project_id=project_id) is None:
        raise _nothing_left()
    return locked


async def _announce(transaction: Transaction, kind: EventKind, repository: Repository, payload: dict[str, str]) -> None:
    facts = {"repository_id": repository.id, "repository": repository.path, **payload}
    await events.append(transaction, kind=kind, project_id=repository.project_id, payload=facts)


def _nothing_left() -> NotFound:
    return NotFound(
        "There is no such deleted repository in the project: it was restored, or the time for that is over."
    )


def _taken(path: str) -> Conflict:
    return Conflict(f"The name of {path} is in use again. Delete the repository that has it now, or leave this one.")
