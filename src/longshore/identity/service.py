# SPDX-License-Identifier: Apache-2.0
"""Use cases of people: one transaction each. Whatever changes what an account may do raises its `access_version`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from longshore.database.connection import Database, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.identity.hashing import Passwords
from longshore.identity.models import ADMIN_ID, NewUser
from longshore.identity.rules import check_new_user, check_password
from longshore.oci.errors import BadRequest, Conflict, Denied, NotFound
from longshore.projects.service import end_memberships

_INSERT = Statement(
    """
    INSERT INTO users (username, email, realname, comment, password_hash, sysadmin, created_at, updated_at)
    VALUES (:username, :email, :realname, :comment, :password_hash, :sysadmin, {now}, {now}) RETURNING id
    """
)
_DELETE = Statement(
    """
    UPDATE users SET deleted_at = {now}, updated_at = {now}, access_version = access_version + 1
    WHERE id = :id AND deleted_at IS NULL
    """
)
_SET_PASSWORD = Statement(
    """
    UPDATE users SET password_hash = :password_hash, updated_at = {now}, access_version = access_version + 1
    WHERE id = :id AND deleted_at IS NULL
    """
)
_SET_SYSADMIN = Statement(
    """
    UPDATE users SET sysadmin = :sysadmin, updated_at = {now}, access_version = access_version + 1
    WHERE id = :id AND deleted_at IS NULL
    """
)
_HASH = Statement("SELECT password_hash FROM users WHERE id = :id AND deleted_at IS NULL")


class UserService:
    """Makes and changes users. Passwords are hashed before the transaction begins."""

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def create(self, user: NewUser) -> int:
        """Makes an account and returns its number.

        Raises:
            BadRequest: name, password or another part breaks the rules.
            Conflict: the name or the email address is taken.
        """
        check_new_user(user)
        password_hash = await self._passwords.hash(user.password)

        async def write(transaction: Transaction) -> int:
            user_id: int = await transaction.value(
                _INSERT,
                username=user.username,
                email=user.email,
                realname=user.realname,
                comment=user.comment,
                password_hash=password_hash,
                sysadmin=user.sysadmin,
            )
            return user_id

        try:
            return await self._database.write(write)
        except UniqueViolation:
            raise Conflict(f"The username {user.username} or its email address is taken.") from None

    async def delete(self, user_id: int, *, by: int | None = None) -> None:
        """Ends an account and its memberships. The name is free at once; the row stays, for what it signed.

        Raises:
            Denied: the first administrator can't be deleted, and nobody (`by`) can delete himself.
            NotFound: there is no such user.
        """
        if user_id in {ADMIN_ID, by}:
            raise Denied("The first administrator can't be deleted, and nobody can delete the own account.")

        async def write(transaction: Transaction) -> None:
            if not await transaction.execute(_DELETE, id=user_id):
                raise _missing(user_id)
            await end_memberships(transaction, user_id)

        await self._database.write(write)

    async def reset_password(self, user_id: int, password: str) -> None:
        """Sets a password, as an administrator may; every token and login of the user ends.

        Raises:
            BadRequest: the password breaks the rules.
            NotFound: there is no such user.
        """
        check_password(password)
        password_hash = await self._passwords.hash(password)
        await self._change(
            user_id,
            lambda transaction: transaction.execute(_SET_PASSWORD, id=user_id, password_hash=password_hash),
        )

    async def change_password(self, user_id: int, *, old: str, new: str) -> None:
        """Sets a password, as the user itself may; every token and login of the user ends.

        Raises:
            Denied: the old password is wrong.
            BadRequest: the new one is the old one, or breaks the rules.
            NotFound: there is no such user.
        """
        stored = await self._database.read(lambda connection: connection.value(_HASH, id=user_id))
        if stored is None:
            raise _missing(user_id)
        if not await self._passwords.verify(stored, old):
            raise Denied("Current password is incorrect")
        if old == new:
            raise BadRequest("New password is identical to old password")
        await self.reset_password(user_id, new)

    async def set_sysadmin(self, user_id: int, *, sysadmin: bool) -> None:
        """Makes somebody a system administrator, or no longer.

        Raises:
            Denied: the first administrator stays one.
            NotFound: there is no such user.
        """
        if user_id == ADMIN_ID and not sysadmin:
            raise Denied("The first administrator stays one.")
        await self._change(
            user_id, lambda transaction: transaction.execute(_SET_SYSADMIN, id=user_id, sysadmin=sysadmin)
        )

    async def _change(self, user_id: int, change: Callable[[Transaction], Coroutine[Any, Any, int]]) -> None:
        if not await self._database.write(change):
            raise _missing(user_id)


def _missing(user_id: int) -> NotFound:
    return NotFound(f"There is no user {user_id}.")
