# SPDX-License-Identifier: Apache-2.0
"""Access tokens of people: named, limited, ending, shown once; they do what the password does at /v2 and /api.

A token never reaches further than its owner does at that moment, and not beyond its own limit. It ends with what ends the
owner's logins: it is bound to the owner's `access_version` when it was made.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

from longshore.access.errors import WrongCredentials
from longshore.access.models import (
    REPOSITORY_PULL,
    REPOSITORY_PUSH,
    Account,
    Grants,
    Permission,
    Principal,
    PrincipalKind,
)
from longshore.access.policy import IN_PROJECTS, IN_SYSTEM
from longshore.database.connection import Database, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.identity.models import AccessToken, NewAccessToken
from longshore.identity.token_secret import TokenSecrets
from longshore.oci.errors import BadRequest, Conflict, NotFound, ServiceUnavailable

MOST_TOKENS: Final = 100
"""So many access tokens a person may have."""

_LONGEST_NAME: Final = 255
_LONGEST_DAYS: Final = 100_000
_DAY: Final = 86_400_000_000
_MINUTE: Final = 60_000_000

_ALIVE = "t.access_version = u.access_version AND u.deleted_at IS NULL AND NOT u.disabled"
_FIND = Statement(
    f"""
    SELECT t.id AS token_id, t.scope, coalesce({{now}} - t.used_at, {_MINUTE}) AS unused, u.id, u.username, u.email, u.sysadmin,
           u.access_version
    FROM access_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.secret_hash = :secret_hash AND (t.expires_at IS NULL OR t.expires_at > {{now}}) AND {_ALIVE}
    """
)
_ACCOUNT = Statement(
    f"""
    SELECT t.scope, t.expires_at, u.sysadmin, u.access_version FROM access_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.id = :token_id AND t.user_id = :user_id AND {_ALIVE}
    """
)
_USED = Statement("UPDATE access_tokens SET used_at = {now} WHERE id = :id")
_OWNER = Statement("SELECT username, access_version FROM users WHERE id = :id AND deleted_at IS NULL FOR NO KEY UPDATE")
# A name is free again when the token that had it is over.
_REMOVE_OVER = Statement(
    """
    DELETE FROM access_tokens WHERE user_id = :user_id AND name = :name
           AND (access_version <> :access_version OR expires_at <= {now})
    """
)
_COUNT = Statement("SELECT count(*) FROM access_tokens WHERE user_id = :user_id")
_INSERT = Statement(
    """
    INSERT INTO access_tokens (user_id, name, secret_hash, scope, access_version, created_at, expires_at)
    SELECT CAST(:user_id AS BIGINT), :name, :secret_hash, CAST(:scope AS TEXT), CAST(:access_version AS BIGINT), clock.now,
           clock.now + CAST(:duration AS BIGINT)
    FROM (SELECT {now} AS now) clock
    RETURNING id
    """
)
# At most a hundred: a person's tokens are one page.
_LIST = Statement(
    f"""
    SELECT t.id, t.name, t.scope, t.created_at, t.expires_at, t.used_at,
           CASE WHEN {_ALIVE} AND coalesce(t.expires_at > {{now}}, :yes) THEN 1 ELSE 0 END AS active
    FROM access_tokens t JOIN users u ON u.id = t.user_id WHERE t.user_id = :user_id AND u.deleted_at IS NULL
    ORDER BY t.name
    """
)
_DELETE = Statement("DELETE FROM access_tokens WHERE id = :id AND user_id = :user_id RETURNING name")
_USERNAME = Statement("SELECT username FROM users WHERE id = :id")


class AccessTokens:
    """Makes, lists and ends access tokens; it is the `Credentials` and the `TokenAccounts` of those who come with one."""

    def __init__(self, database: Database, secrets: TokenSecrets) -> None:
        self._database = database
        self._secrets = secrets

    async def create(self, user_id: int, token: NewAccessToken, *, by: Principal) -> tuple[int, str]:
        """Makes a token; returns its number and itself, which is told this once.

        Raises:
            BadRequest: a part isn't acceptable, or the user has too many.
            NotFound: there is no such user.
            Conflict: the user has a good one of that name.
        """
        _check(token)
        secret = self._secrets.generate()
        secret_hash = self._secrets.hash(secret)
        duration = None if token.days is None else token.days * _DAY
        scope = None if token.limit is None else scope_to_json(_with_pulling(token.limit))

        async def write(transaction: Transaction) -> int:
            owner = await transaction.one(_OWNER, id=user_id)
            if owner is None:
                raise NotFound(f"There is no user {user_id}.")
            version = owner["access_version"]
            await transaction.execute(_REMOVE_OVER, user_id=user_id, name=token.name, access_version=version)
            if await transaction.value(_COUNT, user_id=user_id) >= MOST_TOKENS:
                raise BadRequest(f"{MOST_TOKENS} access tokens are the most a person can have. Delete one first.")
            token_id: int = await transaction.value(
                _INSERT,
                user_id=user_id,
                name=token.name,
                secret_hash=secret_hash,
                scope=scope,
                access_version=version,
                duration=duration,
            )
            await _tell(
                transaction, EventKind.ACCESS_TOKEN_CREATED, (user_id, owner["username"]), token_id, token.name, by
            )
            return token_id

        try:
            return await self._database.write(write), secret
        except UniqueViolation:
            raise Conflict(f"There is an access token named {token.name} already. Choose another name.") from None

    async def of_user(self, user_id: int) -> list[AccessToken]:
        """The tokens of a user by name, those too that are over."""
        rows = await self._database.read(lambda connection: connection.all(_LIST, user_id=user_id, yes=True))
        return [
            AccessToken(
                id=row["id"],
                name=row["name"],
                limit=None if row["scope"] is None else scope_from_json(row["scope"]),
                created_at=row["created_at"],
                expires_at=row["expires_at"],
                used_at=row["used_at"],
                active=bool(row["active"]),
            )
            for row in rows
        ]

    async def delete(self, user_id: int, token_id: int, *, by: Principal) -> None:
        """Ends a token of a user, and what was logged in with it, within seconds.

        Raises:
            NotFound: the user has no such token.
        """

        async def write(transaction: Transaction) -> None:
            row = await transaction.one(_DELETE, id=token_id, user_id=user_id)
            if row is None:
                raise NotFound(f"The user {user_id} has no access token {token_id}.")
            username = await transaction.value(_USERNAME, id=user_id)
            await _tell(transaction, EventKind.ACCESS_TOKEN_DELETED, (user_id, username), token_id, row["name"], by)

        await self._database.write(write)

    async def authenticate(self, name: str, secret: str, source: str) -> Principal:  # noqa: ARG002 - a keyed hash costs nothing
        """The person with that name (or email address) who comes with that token.

        Raises:
            WrongCredentials: there is no such token, it is over, or it is somebody else's.
            ServiceUnavailable: the database is away.
        """
        secret_hash = self._secrets.hash(secret)
        row = await self._database.one(_FIND, secret_hash=secret_hash)
        if row is None or name not in {row["username"], row["email"]}:
            # Nobody guesses one: it is a machine with an old one, and its owner's password isn't to be slowed down for it.
            raise WrongCredentials(repeated=True)
        await self._note_use(row["token_id"], row["unused"])
        limited = row["scope"] is not None
        return Principal(
            PrincipalKind.USER,
            row["id"],
            row["username"],
            sysadmin=bool(row["sysadmin"]) and not limited,
            access_version=row["access_version"],
            token_id=row["token_id"],
            limited=limited,
        )

    async def account(self, user_id: int, token_id: int) -> Account | None:
        """The state of a person with the limit of the token."""
        row = await self._database.one(_ACCOUNT, user_id=user_id, token_id=token_id)
        if row is None:
            return None
        limit = None if row["scope"] is None else scope_from_json(row["scope"])
        return Account(row["access_version"], bool(row["sysadmin"]), expires_at=row["expires_at"], limit=limit)

    async def _note_use(self, token_id: int, unused: int) -> None:
        """Written once a minute, not with every request; a database that takes no writes keeps nobody out."""
        if unused < _MINUTE:
            return
        with suppress(ServiceUnavailable):
            await self._database.write(lambda transaction: transaction.execute(_USED, id=token_id))


def scope_to_json(limit: Grants) -> str:
    """What the database holds of a limit."""
    projects = {str(project_id): _names(permissions) for project_id, permissions in limit.projects}
    whole = {"system": _names(limit.system), "everywhere": _names(limit.everywhere), "projects": projects}
    return json.dumps(whole, separators=(",", ":"), sort_keys=True)


def scope_from_json(text: str) -> Grants:
    """What the database held."""
    whole: dict[str, Any] = json.loads(text)
    projects = tuple((int(project_id), _permissions(names)) for project_id, names in whole["projects"].items())
    return Grants(_permissions(whole["system"]), _permissions(whole["everywhere"]), projects)


def _check(token: NewAccessToken) -> None:
    if (
        not token.name
        or len(token.name) > _LONGEST_NAME
        or token.name != token.name.strip()
        or not token.name.isprintable()
    ):
        raise BadRequest(
            f"name: an access token has a name of 1 to {_LONGEST_NAME} printable characters, no blanks around it."
        )
    if token.days is not None and not 1 <= token.days <= _LONGEST_DAYS:
        raise BadRequest(f"duration: an access token is good for 1 to {_LONGEST_DAYS} days, or -1 for ever.")
    if token.limit is None:
        return
    in_projects = token.limit.everywhere.union(*(permissions for _, permissions in token.limit.projects))
    unknown = sorted(map(str, (token.limit.system - IN_SYSTEM) | (in_projects - IN_PROJECTS)))
    if unknown:
        raise BadRequest(f"permissions: there is no such permission: {', '.join(unknown)[:500]}.")
    if not token.limit.system and not in_projects:
        raise BadRequest(
            "permissions: a token that may do nothing opens nothing. Give it something, or leave them out."
        )


def _with_pulling(limit: Grants) -> Grants:
    """As for robots of projects: clients can't push without asking for what is there."""
    projects = tuple((project_id, _pushing_pulls(permissions)) for project_id, permissions in limit.projects)
    return Grants(limit.system, _pushing_pulls(limit.everywhere), projects)


def _pushing_pulls(permissions: frozenset[Permission]) -> frozenset[Permission]:
    return permissions | {REPOSITORY_PULL} if REPOSITORY_PUSH in permissions else permissions


def _names(permissions: frozenset[Permission]) -> list[str]:
    return sorted(map(str, permissions))


def _permissions(names: list[str]) -> frozenset[Permission]:
    return frozenset(Permission(*name.split(":", 1)) for name in names)


async def _tell(
    transaction: Transaction, kind: EventKind, owner: tuple[int, str], token_id: int, name: str, by: Principal
) -> None:
    payload = {"user_id": owner[0], "username": owner[1], "token_id": token_id, "name": name, "actor": by.actor}
    await append(transaction, kind=kind, project_id=None, payload=payload)
