# SPDX-License-Identifier: Apache-2.0
"""What the first of all starts makes: the administrator and the project `library`, as Harbor does."""

from __future__ import annotations

from longshore.access.models import INTERNAL
from longshore.database.connection import Database, Dialect, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.identity.hashing import UNUSABLE, Passwords
from longshore.identity.models import ADMIN_ID, ANONYMOUS_ID
from longshore.identity.rules import check_password, generate_password
from longshore.oci.names import ProjectName
from longshore.projects.service import insert_project

_EXISTS = Statement("SELECT id FROM users WHERE id = :id")
_INSERT_ADMIN = Statement(
    """
    INSERT INTO users (id, username, realname, comment, password_hash, sysadmin, created_at, updated_at)
    VALUES (:id, 'admin', 'system admin', 'admin user', :password_hash, :sysadmin, {now}, {now})
    ON CONFLICT DO NOTHING
    """
)
# Nobody can log in as this one, and no list shows it: to all who look it was deleted long ago.
_INSERT_ANONYMOUS = Statement(
    """
    INSERT INTO users (id, username, realname, comment, password_hash, created_at, updated_at, deleted_at)
    VALUES (:id, 'anonymous', 'anonymous user', 'anonymous user', :password_hash, {now}, {now}, {now})
    """
)
_SKIP_GIVEN_NUMBERS = Statement("SELECT setval(pg_get_serial_sequence('users', 'id'), :last)")


async def ensure_admin(database: Database, passwords: Passwords, *, password: str | None = None) -> str | None:
    """Makes the administrator (number 1) and the public project `library` unless there is an administrator.

    Of several first starts at once exactly one makes them.

    Args:
        database: The database, at this release's schema.
        passwords: Who hashes.
        password: The administrator's password, for the first start; None to have one generated.

    Returns:
        The generated password, to print it once: only to the caller that made the administrator, and None when the
        password was given.

    Raises:
        BadRequest: it is the first start and the given password breaks the rules.
    """
    if await database.read(lambda connection: connection.value(_EXISTS, id=ADMIN_ID)) is not None:
        return None
    if password is not None:
        check_password(password)
    chosen = password or generate_password()
    password_hash = await passwords.hash(chosen)

    async def write(transaction: Transaction) -> bool:
        made = await transaction.execute(_INSERT_ADMIN, id=ADMIN_ID, password_hash=password_hash, sysadmin=True)
        if not made:
            return False
        await transaction.execute(_INSERT_ANONYMOUS, id=ANONYMOUS_ID, password_hash=UNUSABLE)
        if database.dialect is Dialect.POSTGRESQL:
            await transaction.value(_SKIP_GIVEN_NUMBERS, last=ANONYMOUS_ID)
        payload = {"user_id": ADMIN_ID, "username": "admin", "sysadmin": True, "actor": INTERNAL.actor}
        await append(transaction, kind=EventKind.USER_CREATED, project_id=None, payload=payload)
        name = ProjectName.parse("library")
        await insert_project(transaction, name, owner_id=ADMIN_ID, public=True, actor=INTERNAL.actor)
        return True

    made = await database.write(write)
    return chosen if made and password is None else None
