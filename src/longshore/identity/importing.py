# SPDX-License-Identifier: Apache-2.0
"""Where an importer puts people of another registry: with their numbers, and with the hashes of their passwords."""

from __future__ import annotations

from longshore.access.models import INTERNAL, Principal
from longshore.database.connection import Database, Dialect, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.identity.hashing import UNUSABLE
from longshore.identity.models import ANONYMOUS_ID, USERS, ImportedUser
from longshore.identity.rules import check_account
from longshore.listing.totals import EVERYWHERE, change_total
from longshore.oci.errors import BadRequest, Conflict

_INSERT = Statement(
    """
    INSERT INTO users (id, username, email, realname, comment, password_hash, sysadmin, created_at, updated_at)
    VALUES (:id, :username, :email, :realname, :comment, :password_hash, :sysadmin, :created_at, :updated_at)
    """
)
# The next number that is given out is behind all that there are; SQLite sees to that by itself.
_SKIP_NUMBERS = Statement(
    "SELECT setval(pg_get_serial_sequence('users', 'id'), greatest((SELECT max(id) FROM users), :id))"
)


class UserImport:
    """Makes accounts as they were elsewhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: ImportedUser, *, by: Principal = INTERNAL) -> None:
        """Makes an account with its number. A password of Harbor's is good at once, and gets our own form at its first use.

        Raises:
            BadRequest: the name or another part breaks the rules, or the number is one of those that every registry has.
            Conflict: the number, the name or the email address is taken.
        """
        check_account(user.username, user.email, user.realname, user.comment)
        if user.id <= ANONYMOUS_ID:
            raise BadRequest(
                f"The numbers 1 to {ANONYMOUS_ID} belong to every registry: nobody can be imported as these."
            )

        async def write(transaction: Transaction) -> None:
            await transaction.execute(
                _INSERT,
                id=user.id,
                username=user.username,
                email=user.email,
                realname=user.realname,
                comment=user.comment,
                password_hash=user.password_hash or UNUSABLE,
                sysadmin=user.sysadmin,
                created_at=user.created_at,
                updated_at=user.updated_at,
            )
            if self._database.dialect is Dialect.POSTGRESQL:
                await transaction.value(_SKIP_NUMBERS, id=user.id)
            await change_total(transaction, USERS, EVERYWHERE, 1)
            payload = {"user_id": user.id, "username": user.username, "sysadmin": user.sysadmin, "actor": by.actor}
            await append(transaction, kind=EventKind.USER_CREATED, project_id=None, payload=payload)

        try:
            await self._database.write(write)
        except UniqueViolation:
            raise Conflict(
                f"The number {user.id}, the username {user.username} or its email address is taken."
            ) from None
