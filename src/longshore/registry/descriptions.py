# SPDX-License-Identifier: Apache-2.0
"""What people write about a repository."""

from __future__ import annotations

from typing import Final

from longshore.database.connection import Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import BadRequest
from longshore.registry import repositories

LONGEST: Final = 64 * 1024
"""Characters that a description may have."""

_WRITE = Statement(
    "UPDATE repositories SET description = :description, updated_at = {now} WHERE id = :repository_id"
    " AND description <> :description"
)


class Descriptions:
    """The descriptions of repositories."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, project_id: int, path: str, description: str, *, actor: str) -> None:
        """Describes a repository, in Markdown; the same text again changes nothing.

        Raises:
            NameUnknown: there is no such repository.
            BadRequest: the text is too long, or has a character that texts can't have.
        """
        if len(description) > LONGEST:
            raise BadRequest(f"description: has {len(description):,} characters; at most {LONGEST:,} are kept.")
        if "\0" in description:
            raise BadRequest("description: has the character U+0000, which no text can have. Leave it out.")

        async def run(transaction: Transaction) -> None:
            repository = await repositories.lock(transaction, project_id, path)
            if await transaction.execute(_WRITE, repository_id=repository.id, description=description):
                payload = {
                    "repository_id": repository.id,
                    "repository": path,
                    "changed": ["description"],
                    "actor": actor,
                }
                await append(transaction, kind=EventKind.REPOSITORY_UPDATED, project_id=project_id, payload=payload)

        await self._database.write(run)
