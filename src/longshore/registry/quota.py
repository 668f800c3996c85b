# SPDX-License-Identifier: Apache-2.0
"""What is said when a project gets full: once to whom is refused, with what could go, and as events to everybody else.

The ledger decides; this only looks, and only when a project is near or over its limit.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from longshore.database.connection import Connection, Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.registry.errors import QuotaExceeded
from longshore.registry.models import Reclaimable

WARNING_PERCENT: Final = 85
"""How much of its limit a project may hold before a warning is told."""

SWITCH: Final = "quota_per_project_enable"
"""The configuration item that switches limits off."""

_NAMED: Final = 3
_LOOKED_AT: Final = 200

_SWITCHED_OFF = Statement(f"SELECT 1 FROM configuration WHERE name = '{SWITCH}' AND value = 'false'")
_TRASH = Statement("SELECT stored_bytes - used_bytes FROM project_usage WHERE project_id = :project_id")
# The largest of a project are an index's first; how many of them are looked at is bounded, so that being refused again and
# again costs a full project nothing.
_RECLAIMABLE = Statement(
    f"""
    SELECT r.name, m.digest, a.size
    FROM (
        SELECT manifest_id, size, listed FROM artifacts WHERE project_id = :project_id
        ORDER BY size DESC LIMIT {_LOOKED_AT}
    ) AS a
    JOIN manifests m ON m.id = a.manifest_id
    JOIN repositories r ON r.id = m.repository_id
    WHERE a.listed AND m.deleted_at IS NULL AND r.deleted_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM tags t WHERE t.manifest_id = a.manifest_id)
    ORDER BY a.size DESC, m.id LIMIT {_NAMED}
    """
)
_IS_TOLD = Statement("SELECT 1 FROM project_usage WHERE project_id = :project_id AND exceeded_at IS NOT NULL")
_TELL = Statement("UPDATE project_usage SET exceeded_at = {now} WHERE project_id = :project_id AND exceeded_at IS NULL")
_ROOM_AGAIN = Statement(
    "UPDATE project_usage SET exceeded_at = NULL WHERE project_id = :project_id RETURNING used_bytes"
)

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class _OnDatabase(Protocol):
    _database: Database


_Service = TypeVar("_Service", bound=_OnDatabase)


async def is_enforced(connection: Connection) -> bool:
    """Whether limits of projects hold: administrators may switch them off."""
    return await connection.value(_SWITCHED_OFF) is None


async def exceeded(connection: Connection, project_id: int, *, added: int, used: int, limit: int) -> QuotaExceeded:
    """The refusal of `added` bytes, which names the largest artifacts that nobody would miss by a name."""
    rows = await connection.all(_RECLAIMABLE, project_id=project_id)
    return QuotaExceeded(
        project_id=project_id,
        added=added,
        used=used,
        limit=limit,
        trash=await connection.value(_TRASH, project_id=project_id) or 0,
        reclaimable=tuple(Reclaimable(path=row[0], digest=row[1], size=row[2]) for row in rows),
    )


async def tell_growth(transaction: Transaction, project_id: int, *, before: int, after: int, limit: int) -> None:
    """Writes the warning if the project just came to hold so much of its limit: once for each time that it does."""
    if before * 100 < limit * WARNING_PERCENT <= after * 100:
        await _warn(transaction, project_id, used=after, limit=limit)


async def tell_new_limit(transaction: Transaction, project_id: int, *, before: int | None, after: int | None) -> None:
    """The project has another limit: its next refusal is news, and being near the new one may be."""
    used = await transaction.value(_ROOM_AGAIN, project_id=project_id)
    if used is None or after is None:
        return
    if (before is None or used * 100 < before * WARNING_PERCENT) and used * 100 >= after * WARNING_PERCENT:
        await _warn(transaction, project_id, used=used, limit=after)


def tells_when_full(
    method: Callable[Concatenate[_Service, _Parameters], Coroutine[Any, Any, _Result]],
) -> Callable[Concatenate[_Service, _Parameters], Coroutine[Any, Any, _Result]]:
    """For what puts something into a project: the first refusal since it last had room is told as an event.

    The refusal rolls back whatever it is raised in, so the event is a transaction of its own behind it.
    """

    @wraps(method)
    async def telling(self: _Service, /, *arguments: _Parameters.args, **named: _Parameters.kwargs) -> _Result:
        try:
            return await method(self, *arguments, **named)
        except QuotaExceeded as refusal:
            await _tell(self._database, refusal)
            raise

    return telling


async def _warn(transaction: Transaction, project_id: int, *, used: int, limit: int) -> None:
    payload = {"used": used, "limit": limit, "percent": WARNING_PERCENT}
    await append(transaction, kind=EventKind.QUOTA_WARNING, project_id=project_id, payload=payload)


async def _tell(database: Database, refusal: QuotaExceeded) -> None:
    project_id = refusal.project_id
    # A client that tries again and again must not write each time.
    if await database.read(lambda connection: connection.value(_IS_TOLD, project_id=project_id)) is not None:
        return

    async def write(transaction: Transaction) -> None:
        if await transaction.execute(_TELL, project_id=project_id):
            payload = {"added": refusal.added, "used": refusal.used, "limit": refusal.limit}
            await append(transaction, kind=EventKind.QUOTA_EXCEEDED, project_id=project_id, payload=payload)

    await database.write(write)
