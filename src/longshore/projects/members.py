# SPDX-License-Identifier: Apache-2.0
"""Members of projects: users and groups of users, inside a caller's transaction.

Each change raises the `access_version` of the project, which ends what tokens say of it, writes its event, and keeps the
numbers of members by role true.
"""

from __future__ import annotations

from longshore.database.connection import Row, Transaction
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.listing.totals import change_total
from longshore.oci.errors import NotFound
from longshore.projects.models import Entity, Role

_RAISE = Statement(
    "UPDATE projects SET access_version = access_version + 1, updated_at = {now} WHERE id = :id AND deleted_at IS NULL"
)
_RAISE_ANY = Statement("UPDATE projects SET access_version = access_version + 1 WHERE id = :id")
_PROJECT = Statement("SELECT id FROM projects WHERE id = :id AND deleted_at IS NULL")
# Shared, so that a user or group that is being deleted either is gone here or loses this membership too.
_USER = Statement("SELECT username FROM users WHERE id = :id AND deleted_at IS NULL FOR SHARE")
_GROUP = Statement("SELECT name FROM user_groups WHERE id = :id FOR SHARE")
_INSERT = Statement(
    """
    INSERT INTO project_members (project_id, user_id, group_id, name, role, created_at)
    VALUES (:project_id, :user_id, :group_id, :name, :role, {now}) RETURNING id
    """
)
_MEMBER = "SELECT id, project_id, user_id, group_id, name, role FROM project_members"
_BY_ID = Statement(f"{_MEMBER} WHERE id = :id AND project_id = :project_id FOR NO KEY UPDATE")
_OF_USER = Statement(f"{_MEMBER} WHERE user_id = :id ORDER BY project_id")
_OF_GROUP = Statement(f"{_MEMBER} WHERE group_id = :id ORDER BY project_id")
_CHANGE_ROLE = Statement("UPDATE project_members SET role = :role WHERE id = :id")
_REMOVE = Statement("DELETE FROM project_members WHERE id = :id")
_RENAME = Statement("UPDATE project_members SET name = :name WHERE group_id = :id")


def total_name(role: Role) -> str:
    """The name of the maintained number of a project's members with that role."""
    return f"members.{role.stored}"


async def raise_version(transaction: Transaction, project_id: int) -> None:
    """Tells everybody that who may do what in the project has changed.

    Raises:
        NotFound: there is no such project.
    """
    if not await transaction.execute(_RAISE, id=project_id):
        raise missing(project_id)


async def require_entity(transaction: Transaction, entity: Entity) -> str:
    """The name of a user or group that will be there until the transaction ends.

    Raises:
        NotFound: there is no such user or group.
    """
    name: str | None = await transaction.value(_GROUP if entity.is_group else _USER, id=entity.id)
    if name is None:
        raise NotFound(f"There is no {'group' if entity.is_group else 'user'} {entity.id}.")
    return name


async def insert_member(transaction: Transaction, project_id: int, entity: Entity, role: Role, actor: str) -> int:
    """Makes a user or a group a member, and returns the number of the membership.

    Raises:
        UniqueViolation: it is one already.
        NotFound: there is no such user or group.
    """
    name = await require_entity(transaction, entity)
    member_id: int = await transaction.value(
        _INSERT,
        project_id=project_id,
        user_id=entity.user_id,
        group_id=entity.group_id,
        name=name,
        role=role.stored,
    )
    row = await transaction.one(_BY_ID, id=member_id, project_id=project_id)
    if row is not None:
        await _tell(transaction, EventKind.MEMBER_ADDED, row, role, actor)
    await change_total(transaction, total_name(role), project_id, 1)
    return member_id


async def change_member(transaction: Transaction, project_id: int, member_id: int, role: Role, actor: str) -> bool:
    """Gives a member another role; tells whether there was such a member.

    Raises:
        NotFound: there is no such project.
    """
    row = await _find(transaction, project_id, member_id)
    if row is None:
        return False
    await transaction.execute(_CHANGE_ROLE, id=member_id, role=role.stored)
    await _tell(transaction, EventKind.MEMBER_UPDATED, row, role, actor)
    await change_total(transaction, total_name(Role.from_stored(row["role"])), project_id, -1)
    await change_total(transaction, total_name(role), project_id, 1)
    return True


async def remove_member(transaction: Transaction, project_id: int, member_id: int, actor: str) -> bool:
    """Ends a membership; tells whether there was one.

    Raises:
        NotFound: there is no such project.
    """
    row = await _find(transaction, project_id, member_id)
    if row is None:
        return False
    await _end(transaction, row, actor)
    return True


async def end_memberships(transaction: Transaction, entity: Entity, actor: str) -> None:
    """Ends all memberships of a user or group that goes, also in projects that were deleted and may come back."""
    for row in await transaction.all(_OF_GROUP if entity.is_group else _OF_USER, id=entity.id):
        await transaction.execute(_RAISE_ANY, id=row["project_id"])
        await _end(transaction, row, actor)


async def rename_group(transaction: Transaction, group_id: int, name: str) -> None:
    """Lists of members are sorted by the names of those who are members: a group's has changed."""
    await transaction.execute(_RENAME, id=group_id, name=name)


def missing(project_id: int) -> NotFound:
    """The answer for a project that isn't there."""
    return NotFound(f"There is no project {project_id}.")


async def _find(transaction: Transaction, project_id: int, member_id: int) -> Row | None:
    """The member before it changes. The project's version rises, and locks it, only if there is something to change."""
    if await transaction.value(_PROJECT, id=project_id) is None:
        raise missing(project_id)
    row = await transaction.one(_BY_ID, id=member_id, project_id=project_id)
    if row is not None:
        await raise_version(transaction, project_id)
    return row


async def _end(transaction: Transaction, row: Row, actor: str) -> None:
    if await transaction.execute(_REMOVE, id=row["id"]):
        role = Role.from_stored(row["role"])
        await _tell(transaction, EventKind.MEMBER_REMOVED, row, role, actor)
        await change_total(transaction, total_name(role), row["project_id"], -1)


async def _tell(transaction: Transaction, kind: EventKind, row: Row, role: Role, actor: str) -> None:
    group = row["group_id"] is not None
    payload = {
        "member_id": row["id"],
        "user_id": row["user_id"],
        "username": "" if group else row["name"],
        "group_id": row["group_id"],
        "group": row["name"] if group else "",
        "role": role.title,
        "actor": actor,
    }
    await append(transaction, kind=kind, project_id=row["project_id"], payload=payload)
