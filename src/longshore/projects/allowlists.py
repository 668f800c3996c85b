# SPDX-License-Identifier: Apache-2.0
"""Allowlists of vulnerabilities: each project has one of its own, the system has one that projects may use instead.

What isn't set is an empty list. An allowlist that has expired is shown still, and allows nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from longshore.database.connection import Database, Row, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import BadRequest

_LONGEST_IDENTIFIER: Final = 255
_MOST_ITEMS: Final = 10_000
_SYSTEM: Final = 0
_SECOND: Final = 1_000_000
# The database has room for microseconds in 63 bits; the calendar of the API ends with the year 9999.
_LATEST: Final = 253_402_300_799

_SET = Statement(
    """
    INSERT INTO cve_allowlists (project_id, scope_id, items, expires_at, created_at, updated_at)
    VALUES (:project_id, :scope_id, :items, :expires_at, {now}, {now})
    ON CONFLICT (scope_id) DO UPDATE
    SET items = excluded.items, expires_at = excluded.expires_at, updated_at = excluded.updated_at
    """
)
_COLUMNS = "SELECT id, scope_id, items, expires_at, created_at, updated_at FROM cve_allowlists"
_OF = Statement(f"{_COLUMNS} WHERE scope_id = ANY(:ids)")


@dataclass(frozen=True, slots=True)
class Allowlist:
    """What is accepted: identifiers like CVE-2019-10164, and until when, in seconds since 1970; None for always."""

    items: tuple[str, ...] = ()
    expires_at: int | None = None

    @classmethod
    def parse(cls, items: Iterable[str], expires_at: int | None) -> Allowlist:
        """An allowlist as it was sent.

        Raises:
            BadRequest: an identifier is blank, too long or there twice; there are too many; or the time is out of range.
        """
        found: dict[str, None] = {}
        for item in items:
            text = item.strip()
            if not text:
                raise BadRequest("cve_allowlist.items: a cve_id is blank. Give identifiers such as CVE-2019-10164.")
            if len(text) > _LONGEST_IDENTIFIER:
                raise BadRequest(f"cve_allowlist.items: a cve_id has more than {_LONGEST_IDENTIFIER} characters.")
            if text in found:
                raise BadRequest(f"cve_allowlist.items: {text} is there twice. Give each cve_id once.")
            found[text] = None
        if len(found) > _MOST_ITEMS:
            raise BadRequest(f"cve_allowlist.items: {len(found)} identifiers are more than the {_MOST_ITEMS} allowed.")
        if expires_at is not None and not 0 <= expires_at <= _LATEST:
            raise BadRequest(f"cve_allowlist.expires_at is in seconds since 1970, at most {_LATEST}.")
        return cls(tuple(found), expires_at)


@dataclass(frozen=True, slots=True)
class StoredAllowlist:
    """An allowlist that was set; times are microseconds since 1970. `project_id` 0 is the system's."""

    id: int
    project_id: int
    allowlist: Allowlist
    created_at: int
    updated_at: int


class Allowlists:
    """Reads and sets allowlists."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_projects(self, project_ids: Collection[int]) -> dict[int, StoredAllowlist]:
        """The allowlists of those of the projects that have set one, by the project's number."""
        rows = await self._database.read(lambda connection: connection.all(_OF, ids=list(project_ids)))
        return {row["scope_id"]: _stored(row) for row in rows}

    async def of_system(self) -> StoredAllowlist | None:
        """The system's; None while nobody has set it."""
        return (await self.of_projects([_SYSTEM])).get(_SYSTEM)

    async def set_of_system(self, allowlist: Allowlist, *, actor: str) -> None:
        """Replaces the system's."""

        async def write(transaction: Transaction) -> None:
            await set_allowlist(transaction, None, allowlist)
            payload = {"items": len(allowlist.items), "expires_at": allowlist.expires_at, "actor": actor}
            await append(transaction, kind=EventKind.ALLOWLIST_UPDATED, project_id=None, payload=payload)

        await self._database.write(write)


async def set_allowlist(transaction: Transaction, project_id: int | None, allowlist: Allowlist) -> None:
    """Replaces the allowlist of a project, or the system's (None), inside a caller's transaction, who tells of it."""
    await transaction.execute(
        _SET,
        project_id=project_id,
        scope_id=_SYSTEM if project_id is None else project_id,
        items=json.dumps(allowlist.items),
        expires_at=None if allowlist.expires_at is None else allowlist.expires_at * _SECOND,
    )


def _stored(row: Row) -> StoredAllowlist:
    expires_at: int | None = row["expires_at"]
    return StoredAllowlist(
        id=row["id"],
        project_id=row["scope_id"],
        allowlist=Allowlist(tuple(json.loads(row["items"])), None if expires_at is None else expires_at // _SECOND),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
