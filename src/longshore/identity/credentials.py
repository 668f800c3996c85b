# SPDX-License-Identifier: Apache-2.0
"""Recognising people by their passwords, paying for Argon2 once in a while and not with every request."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from longshore.access.errors import WrongCredentials
from longshore.access.models import Principal, PrincipalKind
from longshore.database.connection import Database, Row
from longshore.database.statement import Statement
from longshore.identity.hashing import UNUSABLE, Passwords
from longshore.oci.errors import ServiceUnavailable, TooManyRequests

VERIFIED_SECONDS: Final = 300.0
"""How long a password that was right (or wrong) is remembered to be so, as long as the account doesn't change."""

_REMEMBERED: Final = 8_192
_LONGEST: Final = 1_024
_WAITING_PER_SOURCE: Final = 8

# A name wins over an email address, which nobody else can have had first.
_LOGIN = Statement(
    """
    SELECT id, username, password_hash, sysadmin, access_version, disabled FROM users
    WHERE deleted_at IS NULL AND (username = :name OR email = :name) ORDER BY username <> :name LIMIT 1
    """
)
# The password is the same, so logins and tokens stay good; one that was changed meanwhile isn't touched.
_UPGRADE = Statement("UPDATE users SET password_hash = :password_hash WHERE id = :id AND password_hash = :outdated")


class UserCredentials:
    """The `Credentials` of people.

    What is remembered is a keyed hash of account, version and password, with a key that only this process ever has: never
    a password, and of no use once the account's version has risen.
    """

    def __init__(
        self, database: Database, passwords: Passwords, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._verdicts: dict[bytes, tuple[bool, float]] = {}
        self._checks: dict[bytes, asyncio.Task[bool]] = {}
        self._sources: Counter[str] = Counter()

    async def authenticate(self, name: str, secret: str, source: str) -> Principal:
        """The user with that name (or email address) and password.

        Raises:
            WrongCredentials: there is none.
            TooManyRequests: too many passwords that came from the address `source` are waiting to be checked.
            ServiceUnavailable: the database is away, or too many passwords are waiting to be checked.
        """
        if len(name) > _LONGEST or len(secret) > _LONGEST:
            raise WrongCredentials
        row = await self._database.one(_LOGIN, name=name)
        fingerprint = self._fingerprint(row, name, secret)
        verdict = self._verdicts.get(fingerprint)
        known = verdict is not None and verdict[1] > self._clock()
        if verdict is not None and known:
            right = verdict[0]
        else:
            stored = None if row is None else row["password_hash"]
            right = await self._check(fingerprint, stored, secret, source)
        if row is None or not right or row["disabled"]:
            raise WrongCredentials(repeated=known)
        if self._passwords.is_outdated(row["password_hash"]):
            await self._upgrade(row["id"], row["password_hash"], secret)
        return Principal(PrincipalKind.USER, row["id"], row["username"], bool(row["sysadmin"]), row["access_version"])

    async def _upgrade(self, user_id: int, outdated: str, secret: str) -> None:
        """Stores what was imported from Harbor in our own form. Whoever logs in doesn't fail if that does."""
        with suppress(ServiceUnavailable):
            password_hash = await self._passwords.hash(secret)
            values = {"id": user_id, "password_hash": password_hash, "outdated": outdated}
            await self._database.write(lambda transaction: transaction.execute(_UPGRADE, **values))

    def _fingerprint(self, row: Row | None, name: str, secret: str) -> bytes:
        account = f"?{name}" if row is None else f"{row['id']}:{row['access_version']}"
        return hmac.digest(self._key, f"{account}\0{secret}".encode(errors="surrogatepass"), "sha256")

    async def _check(self, fingerprint: bytes, stored: str | None, secret: str, source: str) -> bool:
        check = self._checks.get(fingerprint)
        if check is None:
            # Who tries names at random from one address must not keep everybody else from logging in.
            if self._sources[source] >= _WAITING_PER_SOURCE:
                raise TooManyRequests(
                    "Too many passwords from your address are being checked. Try again.", retry_after=1
                )
            self._sources[source] += 1
            check = asyncio.create_task(self._passwords.verify(stored or UNUSABLE, secret))
            self._checks[fingerprint] = check
            check.add_done_callback(lambda done: self._checked(fingerprint, source, done))
        # Sixty jobs that log in with the same password at once are one check; one of them going away doesn't end it.
        return await asyncio.shield(check)

    def _checked(self, fingerprint: bytes, source: str, check: asyncio.Task[bool]) -> None:
        del self._checks[fingerprint]
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]
        if check.cancelled() or check.exception() is not None:
            return
        if len(self._verdicts) >= _REMEMBERED:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[fingerprint] = (check.result(), self._clock() + VERIFIED_SECONDS)
