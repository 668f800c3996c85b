# SPDX-License-Identifier: Apache-2.0
"""Reading users."""

from __future__ import annotations

from longshore.access.models import Account, Principal, PrincipalKind
from longshore.access.ports import Listed
from longshore.database.connection import Connection, Database, Row
from longshore.database.statement import Statement
from longshore.identity.models import ADMIN_ID, USERS, User
from longshore.listing.columns import Column, Kind, like
from longshore.listing.models import EVERYTHING, Wanted
from longshore.listing.statements import List
from longshore.listing.totals import total_of

_USER = """
    SELECT id, username, email, realname, comment, sysadmin, access_version, created_at, updated_at, disabled
    FROM users WHERE deleted_at IS NULL
"""
_BY_ID = Statement(f"{_USER} AND id = :id")
_BY_NAME = Statement(f"{_USER} AND username = :name")
_BY_EMAIL = Statement(f"{_USER} AND email = :email")
_ACCOUNT = Statement(
    "SELECT access_version, sysadmin FROM users WHERE id = :id AND deleted_at IS NULL AND NOT disabled"
)
_LIST = List(
    source="users u",
    scope=f"u.deleted_at IS NULL AND u.id <> {ADMIN_ID}",
    key="u.id",
    columns={
        "user_id": Column("u.id", Kind.NUMBER, unique=True),
        "username": Column("u.username", unique=True),
        "email": Column("coalesce(u.email, '')"),
        "realname": Column("u.realname"),
        "comment": Column("u.comment"),
        "sysadmin_flag": Column("u.sysadmin", Kind.FLAG),
        "disabled": Column("u.disabled", Kind.FLAG),
        "creation_time": Column("u.created_at", Kind.TIME),
        "update_time": Column("u.updated_at", Kind.TIME),
    },
    order="username",
    rows=(
        "SELECT u.id, u.username, u.email, u.realname, u.comment, u.sysadmin, u.access_version, u.created_at, u.updated_at,"
        " u.disabled FROM page JOIN users u ON u.id = page.id"
    ),
    total=total_of(USERS),
)
# Whoever looks for somebody wants the shortest name that has what was typed, and sees how many others have it too.
_SEARCH = Statement(
    f"""
    SELECT u.id, u.username, count(*) OVER () AS total FROM users u
    WHERE u.deleted_at IS NULL AND u.id <> {ADMIN_ID} AND lower(u.username) LIKE :pattern ESCAPE '!'
    ORDER BY length(u.username), u.username LIMIT :limit
    """
)
_FIRST_SYSADMIN = Statement("SELECT min(id) FROM users WHERE sysadmin AND deleted_at IS NULL AND NOT disabled")


class UserQueries:
    """Reads users, each call from the database; it is the `Accounts` of people."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account(self, account_id: int) -> Account | None:
        """The state that requests are judged by; None when the user is deleted or disabled."""
        row = await self._database.read(lambda connection: connection.one(_ACCOUNT, id=account_id))
        return None if row is None else Account(access_version=row[0], sysadmin=bool(row[1]))

    async def find(self, name: str) -> Listed | None:
        """The user with that name, whether or not it may log in now; None when there is none."""
        user = await self.user_by_name(name)
        if user is None:
            return None
        return Listed(Principal(PrincipalKind.USER, user.id, user.username, user.sysadmin, user.access_version))

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

    async def page(self, wanted: Wanted = EVERYTHING, *, offset: int = 0, limit: int = 100) -> tuple[list[User], int]:
        """The users behind the first `offset`, at most `limit`, and how many there are on all pages together.

        They come by name unless `wanted` says otherwise. As in Harbor the first administrator isn't listed.

        Raises:
            BadRequest: a condition doesn't fit its key.
        """

        async def read(connection: Connection) -> tuple[list[User], int]:
            rows, total = await _LIST.page(connection, wanted, offset=offset, limit=limit)
            return [_user(row) for row in rows], total

        return await self._database.read(read)

    async def search(self, part: str, *, limit: int) -> tuple[list[tuple[int, str]], int]:
        """Numbers and names of the users whose name has that part in any case, the shortest first; and how many there are."""
        pattern = like(part)
        rows = await self._database.read(lambda connection: connection.all(_SEARCH, pattern=pattern, limit=limit))
        return [(row["id"], row["username"]) for row in rows], rows[0]["total"] if rows else 0

    async def first_sysadmin(self) -> int | None:
        """The lowest number of an administrator, who owns the projects that robots make."""
        found: int | None = await self._database.read(lambda connection: connection.value(_FIRST_SYSADMIN))
        return found


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
        disabled=bool(row["disabled"]),
    )
