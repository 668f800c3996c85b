# SPDX-License-Identifier: Apache-2.0
"""Recognising robots by their secrets: one read and one keyed hash."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from longshore.access.errors import WrongCredentials
from longshore.access.models import Principal, PrincipalKind
from longshore.database.connection import Database, Row
from longshore.database.statement import Statement
from longshore.oci.errors import ServiceUnavailable
from longshore.robots.models import stored_names
from longshore.robots.secret import RobotSecrets
from longshore.system.configuration import Configurations

_COLUMNS = """
    SELECT r.id, r.secret_hash, r.access_version, coalesce(r.previous_secret_until, r.expires_at) AS changes_at,
           coalesce(CASE WHEN r.previous_secret_until > {now} THEN r.previous_secret_hash END, '') AS previous_hash,
           NOT r.disabled AND (r.expires_at IS NULL OR r.expires_at > {now}) AS alive
    FROM robots r
"""
_OF_SYSTEM = Statement(f"{_COLUMNS} WHERE r.project_id IS NULL AND r.name = :name", lasting="changes_at")
_OF_PROJECT = Statement(
    f"{_COLUMNS} JOIN projects p ON p.id = r.project_id"
    " WHERE p.name = :project AND p.deleted_at IS NULL AND r.name = :name",
    lasting="changes_at",
)
# The secret is the same, so tokens stay good; one that was changed meanwhile isn't touched.
_UPGRADE = Statement("UPDATE robots SET secret_hash = :secret_hash WHERE id = :id AND secret_hash = :outdated")
_LONGEST: Final = 1_024
_WRONG_SECONDS: Final = 300.0
_REMEMBERED: Final = 8_192
_NOBODY: Final = "0" * 64


class RobotCredentials:
    """The `Credentials` of robots.

    Args:
        database: Where they are.
        secrets: Who compares secrets.
        configurations: Who knows what their names begin with when they log in.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        database: Database,
        secrets: RobotSecrets,
        *,
        configurations: Configurations | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._configurations = configurations or Configurations(database)
        self._clock = clock
        self._wrong: dict[tuple[str, int, str], float] = {}

    async def authenticate(self, name: str, secret: str, source: str = "") -> Principal:  # noqa: ARG002 - checking a keyed hash costs nothing
        """The robot with that full name and secret.

        Raises:
            WrongCredentials: there is none, or it is disabled or expired.
            ServiceUnavailable: the database is away.
        """
        if len(name) > _LONGEST or len(secret) > _LONGEST:
            raise WrongCredentials
        row = await self._find(name)
        stored, previous = (_NOBODY, "") if row is None else (row["secret_hash"], row["previous_hash"])
        right = present = await self._matches(stored, secret)
        # Asked in any case, so that the time of an answer doesn't tell of a grace period.
        right |= await self._matches(previous or _NOBODY, secret)
        if row is None or not right or not row["alive"]:
            raise WrongCredentials(
                repeated=self._is_repeated(name, 0 if row is None else row["access_version"], secret)
            )
        if present and self._secrets.is_outdated(row["secret_hash"]):
            await self._upgrade(row["id"], row["secret_hash"], secret)
        return Principal(PrincipalKind.ROBOT, row["id"], name, sysadmin=False, access_version=row["access_version"])

    async def _matches(self, stored: str, secret: str) -> bool:
        if not self._secrets.is_outdated(stored):
            return self._secrets.matches(stored, secret)
        return await asyncio.to_thread(self._secrets.matches, stored, secret)

    async def _upgrade(self, robot_id: int, outdated: str, secret: str) -> None:
        """Stores what was imported from Harbor in our own form. Whoever logs in doesn't fail if that does."""
        values = {"id": robot_id, "secret_hash": self._secrets.hash(secret), "outdated": outdated}
        with suppress(ServiceUnavailable):
            await self._database.write(lambda transaction: transaction.execute(_UPGRADE, **values))

    async def _find(self, login: str) -> Row | None:
        prefix = (await self._configurations.current()).robot_name_prefix
        for project, name in stored_names(login, prefix):
            if project is None:
                row = await self._database.one(_OF_SYSTEM, name=name)
            else:
                row = await self._database.one(_OF_PROJECT, project=project, name=name)
            if row is not None:
                return row
        return None

    def _is_repeated(self, name: str, version: int, secret: str) -> bool:
        key = (name, version, self._secrets.hash(secret))
        now = self._clock()
        repeated = self._wrong.get(key, 0.0) > now
        if not repeated:
            if len(self._wrong) >= _REMEMBERED:
                del self._wrong[next(iter(self._wrong))]
            self._wrong[key] = now + _WRONG_SECONDS
        return repeated
