# SPDX-License-Identifier: Apache-2.0
"""Use cases of people: one transaction each, with its event.

Whatever changes what an account may do raises its `access_version`. Robots and limited access tokens may be given the right to
change users, but not to rule over those who rule: see `_require_whole_person`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from longshore.access.models import INTERNAL, Principal, PrincipalKind
from longshore.database.connection import Database, Row, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.identity.hashing import Passwords
from longshore.identity.models import ADMIN_ID, USERS, NewUser, Profile
from longshore.identity.rules import check_new_user, check_password, check_profile
from longshore.listing.totals import EVERYWHERE, change_total
from longshore.oci.errors import BadRequest, Conflict, Denied, NotFound
from longshore.projects.members import end_memberships
from longshore.projects.models import Entity

_INSERT = Statement(
    """
    INSERT INTO users (username, email, realname, comment, password_hash, sysadmin, created_at, updated_at)
    VALUES (:username, :email, :realname, :comment, :password_hash, :sysadmin, {now}, {now}) RETURNING id
    """
)
_LOCK = Statement(
    """
    SELECT username, email, realname, comment, sysadmin, disabled FROM users WHERE id = :id AND deleted_at IS NULL
    FOR NO KEY UPDATE
    """
)
_DELETE = Statement(
    "UPDATE users SET deleted_at = {now}, updated_at = {now}, access_version = access_version + 1 WHERE id = :id"
)
_SET_PROFILE = Statement(
    "UPDATE users SET email = :email, realname = :realname, comment = :comment, updated_at = {now} WHERE id = :id"
)
_SET_PASSWORD = Statement(
    """
    UPDATE users SET password_hash = :password_hash, updated_at = {now}, access_version = access_version + 1
    WHERE id = :id
    """
)
_SET_SYSADMIN = Statement(
    "UPDATE users SET sysadmin = :sysadmin, updated_at = {now}, access_version = access_version + 1 WHERE id = :id"
)
_SET_DISABLED = Statement(
    "UPDATE users SET disabled = :disabled, updated_at = {now}, access_version = access_version + 1 WHERE id = :id"
)
# They are over with the account's version; nobody will look at these rows again.
_END_LOGINS = (
    Statement("DELETE FROM sessions WHERE user_id = :user_id"),
    Statement("DELETE FROM access_tokens WHERE user_id = :user_id"),
)
_RAISE = Statement(
    """
    UPDATE users SET access_version = access_version + 1, updated_at = {now} WHERE id = :id AND deleted_at IS NULL
    RETURNING username, sysadmin, disabled
    """
)
_HASH = Statement("SELECT password_hash FROM users WHERE id = :id AND deleted_at IS NULL")


class UserService:
    """Makes and changes users. Passwords are hashed before the transaction begins.

    `by` is everywhere who does it: what it may do at all was decided before, at the edge.
    """

    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database = database
        self._passwords = passwords

    async def create(self, user: NewUser, *, by: Principal = INTERNAL) -> int:
        """Makes an account and returns its number.

        Raises:
            BadRequest: name, password or another part breaks the rules.
            Denied: a robot wants to make an administrator.
            Conflict: the name or the email address is taken.
        """
        if user.sysadmin:
            _require_whole_person(by)
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
            await change_total(transaction, USERS, EVERYWHERE, 1)
            payload = {"sysadmin": user.sysadmin}
            await _tell(transaction, EventKind.USER_CREATED, user_id, user.username, by.actor, payload)
            return user_id

        try:
            return await self._database.write(write)
        except UniqueViolation:
            raise Conflict(f"The username {user.username} or its email address is taken.") from None

    async def update_profile(self, user_id: int, profile: Profile, *, by: Principal = INTERNAL) -> None:
        """Replaces what is known of a person. Logins and tokens stay good: it changes nothing of what the account may do.

        Raises:
            BadRequest: a part breaks the rules.
            Denied: a robot wants to change an administrator.
            NotFound: there is no such user.
            Conflict: the email address is taken.
        """
        check_profile(profile)

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, user_id, by)
            changed = [name for name, value in asdict(profile).items() if row[name] != value]
            if changed:
                await transaction.execute(_SET_PROFILE, id=user_id, **asdict(profile))
                await _tell_update(transaction, user_id, row, by.actor, changed)

        try:
            await self._database.write(write)
        except UniqueViolation:
            raise Conflict("The email address is taken by another user.") from None

    async def delete(self, user_id: int, *, by: Principal = INTERNAL) -> None:
        """Ends an account and its memberships. The name is free at once; the row stays, for what it signed.

        Raises:
            Denied: the first administrator can't be deleted, nobody the own account, and robots delete no administrator.
            NotFound: there is no such user.
        """
        if user_id == ADMIN_ID or (by.kind is PrincipalKind.USER and by.id == user_id):
            raise Denied("The first administrator can't be deleted, and nobody can delete the own account.")

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, user_id, by)
            await transaction.execute(_DELETE, id=user_id)
            await change_total(transaction, USERS, EVERYWHERE, -1)
            for ending in _END_LOGINS:
                await transaction.execute(ending, user_id=user_id)
            await end_memberships(transaction, Entity(user_id), by.actor)
            await _tell(transaction, EventKind.USER_DELETED, user_id, row["username"], by.actor)

        await self._database.write(write)

    async def reset_password(self, user_id: int, password: str, *, by: Principal = INTERNAL) -> None:
        """Sets a password, as an administrator may; every token and login of the user ends.

        Raises:
            BadRequest: the password breaks the rules.
            Denied: a robot wants to set an administrator's.
            NotFound: there is no such user.
        """
        check_password(password)
        password_hash = await self._passwords.hash(password)

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, user_id, by)
            await transaction.execute(_SET_PASSWORD, id=user_id, password_hash=password_hash)
            await _tell_update(transaction, user_id, row, by.actor, ["password"])

        await self._database.write(write)

    async def change_password(self, user_id: int, *, old: str, new: str, by: Principal = INTERNAL) -> None:
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
        await self.reset_password(user_id, new, by=by)

    async def set_sysadmin(self, user_id: int, *, sysadmin: bool, by: Principal = INTERNAL) -> None:
        """Makes somebody a system administrator, or no longer.

        Raises:
            Denied: the first administrator stays one; robots neither make administrators nor unmake them.
            NotFound: there is no such user.
        """
        _require_whole_person(by)
        if user_id == ADMIN_ID and not sysadmin:
            raise Denied("The first administrator stays one.")

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, user_id, by)
            if bool(row["sysadmin"]) is not sysadmin:
                await transaction.execute(_SET_SYSADMIN, id=user_id, sysadmin=sysadmin)
                await _tell_update(transaction, user_id, row, by.actor, ["sysadmin"], sysadmin=sysadmin)

        await self._database.write(write)

    async def set_disabled(self, user_id: int, *, disabled: bool, by: Principal = INTERNAL) -> None:
        """Keeps somebody out, or no longer; every login and token of the user ends, and what the user has stays.

        Raises:
            Denied: the first administrator can't be disabled, nobody the own account, and robots disable no administrator.
            NotFound: there is no such user.
        """
        if user_id == ADMIN_ID or (by.kind is PrincipalKind.USER and by.id == user_id):
            raise Denied("The first administrator can't be disabled, and nobody can disable the own account.")

        async def write(transaction: Transaction) -> None:
            row = await _lock(transaction, user_id, by)
            if bool(row["disabled"]) is not disabled:
                await transaction.execute(_SET_DISABLED, id=user_id, disabled=disabled)
                await _tell_update(transaction, user_id, row, by.actor, ["disabled"], disabled=disabled)

        await self._database.write(write)


async def lock_user(transaction: Transaction, user_id: int) -> None:
    """Keeps others from changing the user until the transaction ends.

    Raises:
        NotFound: there is no such user.
    """
    await _lock(transaction, user_id, INTERNAL)


async def tell_groups_changed(transaction: Transaction, user_id: int, *, actor: str) -> None:
    """Ends logins, tokens and sessions of a user who joined or left groups of users in this transaction.

    Raises:
        NotFound: there is no such user.
    """
    row = await transaction.one(_RAISE, id=user_id)
    if row is None:
        raise _missing(user_id)
    await _tell_update(transaction, user_id, row, actor, ["groups"])


def _require_whole_person(by: Principal) -> None:
    """Keeps robots and limited access tokens from ruling.

    One that may change users could otherwise make itself, or another account, the registry's owner in two requests.
    """
    if by.kind is PrincipalKind.ROBOT or by.limited:
        raise Denied(
            "Robots and limited access tokens can't make or change system administrators. Log in as a person, by password or"
            " with a token that isn't limited."
        )


async def _lock(transaction: Transaction, user_id: int, by: Principal) -> Row:
    row = await transaction.one(_LOCK, id=user_id)
    if row is None:
        raise _missing(user_id)
    if row["sysadmin"]:
        _require_whole_person(by)
    return row


async def _tell_update(
    transaction: Transaction, user_id: int, row: Row, actor: str, changed: list[str], **now: bool
) -> None:
    payload = {"changed": changed, "sysadmin": bool(row["sysadmin"]), "disabled": bool(row["disabled"]), **now}
    await _tell(transaction, EventKind.USER_UPDATED, user_id, row["username"], actor, payload)


async def _tell(
    transaction: Transaction,
    kind: EventKind,
    user_id: int,
    username: str,
    actor: str,
    payload: dict[str, Any] | None = None,
) -> None:
    whole = {"user_id": user_id, "username": username, "actor": actor, **(payload or {})}
    await append(transaction, kind=kind, project_id=None, payload=whole)


def _missing(user_id: int) -> NotFound:
    return NotFound(f"There is no user {user_id}.")
