# SPDX-License-Identifier: Apache-2.0
"""Use cases of quotas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from longshore.database.connection import Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import NotFound
from longshore.quotas.models import NO_LIMIT
from longshore.registry.quota import SWITCH, tell_new_limit

_ITSELF: Final = "longshore"

_LOCK = Statement("SELECT quota_bytes FROM projects WHERE id = :id AND deleted_at IS NULL FOR NO KEY UPDATE")
_SET = Statement(
    "UPDATE projects SET quota_bytes = CAST(:quota_bytes AS BIGINT), quota_updated_at = {now} WHERE id = :id"
)
_SWITCH = Statement(f"SELECT value FROM configuration WHERE name = '{SWITCH}'")
_KEEP_SWITCH = Statement(
    f"INSERT INTO configuration (name, value, updated_at) VALUES ('{SWITCH}', :value, {{now}})"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
)


async def keep_switch(database: Database, overwritten: Mapping[str, object] | None) -> None:
    """Writes into the configuration whether limits hold, if the operator has fixed it.

    The ledger decides in its own transaction, so it looks into the database and nowhere else.
    """
    fixed = (overwritten or {}).get(SWITCH)
    if not isinstance(fixed, bool):
        return
    value = json.dumps(fixed)
    if await database.read(lambda connection: connection.value(_SWITCH)) != value:
        await database.write(lambda transaction: transaction.execute(_KEEP_SWITCH, value=value))


class QuotaService:
    """Changes quotas."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set_limit(self, quota_id: int, limit: int | None, *, actor: str = _ITSELF) -> None:
        """Sets the most that a project may hold, in bytes (None for no limit), also below what it holds already.

        Nothing is deleted then, and nothing added until there is room again.

        Raises:
            NotFound: there is no such quota.
        """

        async def write(transaction: Transaction) -> None:
            row = await transaction.one(_LOCK, id=quota_id)
            if row is None:
                raise NotFound(f"There is no quota {quota_id}.")
            if row[0] == limit:
                return
            await transaction.execute(_SET, id=quota_id, quota_bytes=limit)
            payload = {"limit": NO_LIMIT if limit is None else limit, "actor": actor}
            await append(transaction, kind=EventKind.QUOTA_UPDATED, project_id=quota_id, payload=payload)
            await tell_new_limit(transaction, quota_id, before=row[0], after=limit)

        await self._database.write(write)
