# SPDX-License-Identifier: Apache-2.0
"""Finding, making and locking the rows of repositories."""

from __future__ import annotations

from longshore.database.connection import Connection, Database, Result, Transaction, WriteFunction
from longshore.database.errors import ForeignKeyViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import NameUnknown, ServiceUnavailable
from longshore.registry.models import Repository

_FIND = Statement("SELECT id FROM repositories WHERE project_id = :project_id AND name = :path AND deleted_at IS NULL")
_LOCK = Statement(
    "SELECT id FROM repositories WHERE project_id = :project_id AND name = :path AND deleted_at IS NULL"
    " FOR NO KEY UPDATE"
)
_PROJECT = Statement("SELECT id FROM projects WHERE id = :project_id AND deleted_at IS NULL FOR SHARE")
_INSERT = Statement(
    "INSERT INTO repositories (project_id, name, created_at, updated_at) VALUES (:project_id, :path, {now}, {now})"
    " ON CONFLICT (project_id, name) WHERE deleted_at IS NULL DO NOTHING"
)

_ATTEMPTS = 5


async def put_into(database: Database, function: WriteFunction[Result]) -> Result:
    """Runs a transaction that puts something into a repository without lock ①.

    A row that had nothing in it for a day may go between our look and our change. The foreign key tells; the next look makes
    the repository anew.

    Raises:
        ServiceUnavailable: it happened again and again.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await database.write(function)
        except ForeignKeyViolation:
            continue
    raise ServiceUnavailable("The repository is being removed at this moment. Try again.", retry_after=1)


async def find(connection: Connection, project_id: int, path: str) -> Repository | None:
    """The live repository of that path in the project."""
    row = await connection.one(_FIND, project_id=project_id, path=path)
    return None if row is None else Repository(row[0], project_id, path)


async def find_or_create(transaction: Transaction, project_id: int, path: str) -> Repository:
    """The live repository of that path, made when it isn't there; only in a live project."""
    found = await find(transaction, project_id, path)
    if found is not None:
        return found
    if await transaction.value(_PROJECT, project_id=project_id) is None:
        raise NameUnknown("The project is gone. Ask who administers it, or push to another project.")
    made = await transaction.execute(_INSERT, project_id=project_id, path=path)
    repository = await require(transaction, project_id, path)
    if made:
        payload = {"repository_id": repository.id, "repository": path}
        await append(transaction, kind=EventKind.REPOSITORY_CREATED, project_id=project_id, payload=payload)
    return repository


async def require(connection: Connection, project_id: int, path: str) -> Repository:
    """The live repository of that path.

    Raises:
        NameUnknown: there is none.
    """
    found = await find(connection, project_id, path)
    if found is None:
        raise unknown(path)
    return found


async def lock(transaction: Transaction, project_id: int, path: str) -> Repository:
    """Lock ①: the row of the live repository, for everybody who changes its manifests or tags.

    Whoever waited for a deletion finds the row gone and resolves the name once more: it may have been made anew.

    Raises:
        NameUnknown: there is none.
    """
    for _ in range(2):
        identifier = await transaction.value(_LOCK, project_id=project_id, path=path)
        if identifier is not None:
            return Repository(identifier, project_id, path)
    raise unknown(path)


async def lock_or_create(transaction: Transaction, project_id: int, path: str) -> Repository:
    """Lock ① on the live repository of that path, made when it isn't there; only in a live project.

    Most pushes go to a repository that is there: they need one statement.

    Raises:
        NameUnknown: the project is gone.
    """
    identifier = await transaction.value(_LOCK, project_id=project_id, path=path)
    if identifier is not None:
        return Repository(identifier, project_id, path)
    await find_or_create(transaction, project_id, path)
    return await lock(transaction, project_id, path)


def unknown(path: str) -> NameUnknown:
    """The answer for a repository that isn't there."""
    return NameUnknown(
        f"The project has no repository {path!r}. It is made by the first push; check the name's spelling."
    )
