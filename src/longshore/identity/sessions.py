# SPDX-License-Identifier: Apache-2.0
"""Sessions of people who logged in with a browser: rows in the database, known by a keyed hash of their id.

A session is good as long as it is used and its user's `access_version` is what it was at login: a changed password, a demotion,
a disabled or deleted account end it with the next request.
"""

from __future__ import annotations

import hmac
import re
import secrets
from contextlib import suppress
from typing import Final

from longshore.access.keys import derive_key
from longshore.access.models import Principal, PrincipalKind
from longshore.database.connection import Database, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import ServiceUnavailable
from longshore.system.configuration import Configurations

_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_BYTES: Final = 32
_MINUTE: Final = 60_000_000
# 9999999999 minutes, the most that may be configured, are more than the column has room for.
_LONGEST_MINUTES: Final = 100_000_000
_LONGEST_NAME: Final = 255

_INSERT = Statement(
    """
    INSERT INTO sessions (id_hash, user_id, access_version, created_at, renewed_at, expires_at)
    SELECT :id_hash, CAST(:user_id AS BIGINT), CAST(:access_version AS BIGINT), clock.now, clock.now,
           clock.now + CAST(:duration AS BIGINT)
    FROM (SELECT {now} AS now) clock
    """
)
_FIND = Statement(
    """
    SELECT u.id, u.username, u.sysadmin, u.access_version, {now} - s.renewed_at AS age
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id_hash = :id_hash AND s.expires_at > {now} AND u.access_version = s.access_version
          AND u.deleted_at IS NULL AND NOT u.disabled
    """
)
_RENEW = Statement(
    """
    UPDATE sessions SET renewed_at = {now}, expires_at = {now} + CAST(:duration AS BIGINT) WHERE id_hash = :id_hash
    """
)
_END = Statement("DELETE FROM sessions WHERE id_hash = :id_hash RETURNING user_id")
_USERNAME = Statement("SELECT username FROM users WHERE id = :id")
_FORGET = Statement(
    """
    DELETE FROM sessions WHERE id_hash IN (
        SELECT id_hash FROM sessions WHERE expires_at < (SELECT {now} - CAST(:none AS BIGINT)) LIMIT 100
    )
    """
)


class Sessions:
    """Begins sessions, finds whose they are, and ends them.

    Args:
        database: Where they are.
        configurations: Who knows how long a session lasts without a request.
        secret_key: The instance's secret key.
    """

    def __init__(self, database: Database, configurations: Configurations, secret_key: bytes) -> None:
        self._database = database
        self._configurations = configurations
        self._key = derive_key(secret_key, "sessions")

    async def begin(self, principal: Principal, source: str) -> str:
        """A new session of a person who just gave the password; returns its id, which is kept nowhere.

        Raises:
            ServiceUnavailable: the database is away.
        """
        session_id = secrets.token_urlsafe(_BYTES)
        duration = await self._duration()
        values = {
            "id_hash": self._hash(session_id),
            "user_id": principal.id,
            "access_version": principal.access_version,
            "duration": duration,
        }

        async def write(transaction: Transaction) -> None:
            await transaction.execute(_FORGET, none=0)
            await transaction.execute(_INSERT, **values)
            await _tell(transaction, EventKind.USER_LOGGED_IN, principal.id, principal.name, source, success=True)

        await self._database.write(write)
        return session_id

    async def find(self, session_id: str, *, renew: bool = True) -> Principal | None:
        """Whose session it is; None when it isn't one, or is over.

        Args:
            session_id: What the browser sent.
            renew: Whether this request prolongs it. That is written at most once in a tenth of its duration, or a minute.
        """
        if _ID.fullmatch(session_id) is None:
            return None
        id_hash = self._hash(session_id)
        row = await self._database.one(_FIND, id_hash=id_hash)
        if row is None:
            return None
        if renew:
            duration = await self._duration()
            if row["age"] >= min(_MINUTE, duration // 10):
                # A database that takes no writes keeps nobody out.
                with suppress(ServiceUnavailable):
                    await self._database.write(
                        lambda transaction: transaction.execute(_RENEW, id_hash=id_hash, duration=duration)
                    )
        return Principal(PrincipalKind.USER, row["id"], row["username"], bool(row["sysadmin"]), row["access_version"])

    async def end(self, session_id: str, source: str) -> None:
        """Ends a session, if it is one."""
        id_hash = self._hash(session_id)

        async def write(transaction: Transaction) -> None:
            for row in await transaction.all(_END, id_hash=id_hash):
                name = await transaction.value(_USERNAME, id=row[0])
                await _tell(transaction, EventKind.USER_LOGGED_OUT, row[0], name, source, success=True)

        await self._database.write(write)

    async def tell_failure(self, name: str, source: str) -> None:
        """Records that somebody failed to log in with a name."""
        await self._database.write(
            lambda transaction: _tell(
                transaction, EventKind.USER_LOGGED_IN, None, name[:_LONGEST_NAME], source, success=False
            )
        )

    async def _duration(self) -> int:
        """Microseconds that a session lasts after a request."""
        return min((await self._configurations.current()).session_timeout, _LONGEST_MINUTES) * _MINUTE

    def _hash(self, session_id: str) -> str:
        return hmac.digest(self._key, session_id.encode(errors="surrogatepass"), "sha256").hex()


async def _tell(
    transaction: Transaction, kind: EventKind, user_id: int | None, name: str, source: str, *, success: bool
) -> None:
    payload = {"user_id": user_id, "username": name, "actor": name, "source": source, "success": success}
    await append(transaction, kind=kind, project_id=None, payload=payload)
