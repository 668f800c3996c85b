# SPDX-License-Identifier: Apache-2.0
"""Reading users."""

from __future__ import annotations

from longshore.access.models import Account
from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.identity.models import ADMIN_ID, User

_USER = """
    SELECT id, username, email, realname, comment, sysadmin, access_version, created_at, updated_at
    FROM users WHERE deleted_at IS NULL
"""
_BY_ID = Statement(f"{_USER} AND id = :id")
_BY_NAME = Statement(f"{_USER} AND username = :name")
_BY_EMAIL = Statement(f"{_USER} AND email = :email")
_ACCOUNT = Statement("SELECT access_version, sysadmin FROM users WHERE id = :id AND deleted_at IS NULL")
_FILTER = f"""
    id <> {ADMIN_ID} AND deleted_at IS NULL
    AND (:username = '' OR lower(username) LIKE :username ESCAPE '!') AND (:email = '' OR lower(email) LIKE :email ESCAPE '!')
"""
# What comes before the page is skipped in the index ix_users_listing, which has all that the filter looks at.
_PAGE = Statement(
    f"""
    {_USER} AND username IN (SELECT username FROM users WHERE {_FILTER} ORDER BY username LIMIT :limit OFFSET :offset)
    ORDER BY username
    """
)
_TOTAL = Statement(f"SELECT count(*) FROM users WHERE {_FILTER}")
_FIRST_SYSADMIN = Statement("SELECT min(id) FROM users WHERE sysadmin AND deleted_at IS NULL")


class UserQueries:
    """Reads users, each call from the database; it is the `Accounts` of people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, account_id: int) -> Account | None:
        """The state that requests are judged by; None when the user is deleted."""
        row = await self._database.read(lambda connection: connection.one(_ACCOUNT, id=account_id))
        return None if row is None else Account(access_version=row[0], sysadmin=bool(row[1]))

    async def user(self, user_id: int) -> User | None:
        """A user by number; None when there is none."""
        row = await self._database.read(lambda connection: connection.one(_BY_ID, id=user_id))
        return None if row is None else _user(row)

    async def user_by_name(self, username: str) -> User | None:
        """A user by name; None when there is none."""
        row = await self._database.read(lambda connection: connection.one(_BY_NAME, name=username))
        return None if row is None else _user(row)

    async def user_by_email(self, email: str) -> User | None:
        """A user by email address; None when there is none."""
        row = await self._database.read(lambda connection: connection.one(_BY_EMAIL, email=email))
        return None if row is None else _user(row)

    async def page(
        self, *, username: str = "", email: str = "", offset: int = 0, limit: int = 100
    ) -> tuple[list[User], int]:
        """The users behind the first `offset` by name, at most `limit`, and how many there are on all pages together.

        `username` and `email` are parts of them in any case, empty for all. As in Harbor the first administrator isn't listed.
        """
        filters = {"username": _like(username), "email": _like(email)}

        async def read(connection: Connection) -> tuple[list[User], int]:
            rows = await connection.all(_PAGE, offset=offset, limit=limit, **filters)
            return [_user(row) for row in rows], await connection.value(_TOTAL, **filters)

        return await self._database.read(read)

    async def first_sysadmin(self) -> int | None:
        """The lowest number of an administrator, who owns the projects that robots make."""
        found: int | None = await self._database.read(lambda connection: connection.value(_FIRST_SYSADMIN))
        return found


def _like(part: str) -> str:
    escaped = part.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped.lower()}%" if part else ""


def _user(row: Row) -> User:
    return User(
        id=row["id"],
        username=row["username"],
        email=row["email"],
        realname=row["realname"],
        comment=row["comment"],
        sysadmin=bool(row["sysadmin"]),
        access_version=row["access_version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
