# SPDX-License-Identifier: Apache-2.0
"""Use cases of labels: one transaction each, with its event.

`actor` is everywhere who does it, for the event.
"""

from __future__ import annotations

from typing import Any, Final

from longshore.database.connection import Database, Row, Transaction
from longshore.database.errors import ForeignKeyViolation, UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.labels.models import LabelFacts
from longshore.labels.queries import TOTAL
from longshore.listing.totals import EVERYWHERE, change_total
from longshore.oci.errors import Conflict, NotFound

_ITSELF: Final = "longshore"

_INSERT = Statement(
    """
    INSERT INTO labels (project_id, name, description, color, created_at, updated_at)
    SELECT CAST(:project_id AS BIGINT), :name, :description, :color, clock.now, clock.now
    FROM (SELECT {now} AS now) clock
    RETURNING id
    """
)
_LOCK = Statement(
    """
    SELECT l.project_id, l.name, l.description, l.color FROM labels l LEFT JOIN projects p ON p.id = l.project_id
    WHERE l.id = :id AND p.deleted_at IS NULL FOR UPDATE OF l
    """
)
_PROJECT = Statement("SELECT id FROM projects WHERE id = :id AND deleted_at IS NULL FOR SHARE")
_UPDATE = Statement(
    "UPDATE labels SET name = :name, description = :description, color = :color, updated_at = {now} WHERE id = :id"
)
_DELETE = Statement("DELETE FROM labels WHERE id = :id")
_USABLE = Statement(
    "SELECT id, name FROM labels WHERE id = :id AND (project_id IS NULL OR project_id = :project_id) FOR KEY SHARE"
)
_ADD = Statement(
    "INSERT INTO artifact_labels (manifest_id, label_id, created_at) VALUES (:manifest_id, :label_id, {now})"
)
_REMOVE = Statement("DELETE FROM artifact_labels WHERE manifest_id = :manifest_id AND label_id = :label_id")


class LabelService:
    """Makes and changes labels, and puts them on artifacts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, project_id: int | None, facts: LabelFacts, *, actor: str = _ITSELF) -> int:
        """Makes a label of a project, or of the registry (None), and returns its number.

        Raises:
            Conflict: there is a label of that name.
            NotFound: there is no such project.
        """

        async def write(transaction: Transaction) -> int:
            if project_id is not None and await transaction.value(_PROJECT, id=project_id) is None:
                raise NotFound(f"There is no project {project_id}.")
            label_id: int = await transaction.value(_INSERT, project_id=project_id, **_columns(facts))
            await change_total(transaction, TOTAL, _scope_id(project_id), +1)
            payload = {"label_id": label_id, "name": facts.name, "actor": actor}
            await append(transaction, kind=EventKind.LABEL_CREATED, project_id=project_id, payload=payload)
            return label_id

        try:
            return await self._database.write(write)
        except UniqueViolation:
            raise _taken(facts) from None

    async def update(self, label_id: int, facts: LabelFacts, *, actor: str = _ITSELF) -> None:
        """Gives a label another name, description and color.

        Raises:
            Conflict: there is another label of that name.
            NotFound: there is no such label.
        """

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, label_id)
            columns = _columns(facts)
            changed = [name for name, value in columns.items() if row[name] != value]
            if not changed:
                return
            await transaction.execute(_UPDATE, id=label_id, **columns)
            payload = {"label_id": label_id, "name": facts.name, "changed": changed, "actor": actor}
            await append(transaction, kind=EventKind.LABEL_UPDATED, project_id=row["project_id"], payload=payload)

        try:
            await self._database.write(write)
        except UniqueViolation:
            raise _taken(facts) from None

    async def delete(self, label_id: int, *, actor: str = _ITSELF) -> None:
        """Deletes a label and takes it off every artifact; its number is never given out again.

        Raises:
            NotFound: there is no such label.
        """

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, label_id)
            await transaction.execute(_DELETE, id=label_id)
            await change_total(transaction, TOTAL, _scope_id(row["project_id"]), -1)
            payload = {"label_id": label_id, "name": row["name"], "actor": actor}
            await append(transaction, kind=EventKind.LABEL_DELETED, project_id=row["project_id"], payload=payload)

        await self._database.write(write)

    async def add_to_artifact(self, project_id: int, manifest_id: int, label_id: int, *, actor: str = _ITSELF) -> None:
        """Puts a label of the registry, or of the artifact's project, on an artifact that `project_id` holds.

        Raises:
            Conflict: it is on it already.
            NotFound: there is no such label for artifacts of that project, or the artifact has just gone.
        """

        async def write(transaction: Transaction) -> None:
            row = await transaction.one(_USABLE, id=label_id, project_id=project_id)
            if row is None:
                raise NotFound(f"There is no label {label_id} for artifacts of this project.")
            await transaction.execute(_ADD, manifest_id=manifest_id, label_id=label_id)
            payload = {"label_id": label_id, "name": row[1], "manifest_id": manifest_id, "actor": actor}
            await append(transaction, kind=EventKind.LABEL_ADDED, project_id=project_id, payload=payload)

        try:
            await self._database.write(write)
        except UniqueViolation:
            raise Conflict(f"The label {label_id} is already added to the artifact.") from None
        except ForeignKeyViolation:
            raise NotFound("The artifact doesn't exist any more.") from None

    async def remove_from_artifact(
        self, project_id: int, manifest_id: int, label_id: int, *, actor: str = _ITSELF
    ) -> None:
        """Takes a label off an artifact that `project_id` holds.

        Raises:
            NotFound: it isn't on it.
        """

        async def write(transaction: Transaction) -> None:
            if not await transaction.execute(_REMOVE, manifest_id=manifest_id, label_id=label_id):
                raise NotFound(f"The label {label_id} isn't on the artifact.")
            payload = {"label_id": label_id, "manifest_id": manifest_id, "actor": actor}
            await append(transaction, kind=EventKind.LABEL_REMOVED, project_id=project_id, payload=payload)

        await self._database.write(write)


async def _lock(transaction: Transaction, label_id: int) -> Row:
    row = await transaction.one(_LOCK, id=label_id)
    if row is None:
        raise NotFound(f"There is no label {label_id}.")
    return row


def _columns(facts: LabelFacts) -> dict[str, Any]:
    return {"name": facts.name, "description": facts.description, "color": facts.color}


def _scope_id(project_id: int | None) -> int:
    return EVERYWHERE if project_id is None else project_id


def _taken(facts: LabelFacts) -> Conflict:
    return Conflict(f"The label {facts.name!a} already exists here. Choose another name.")
