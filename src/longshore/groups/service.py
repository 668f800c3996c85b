# SPDX-License-Identifier: Apache-2.0
"""Use cases of groups: one transaction each, with its event. `actor` is everywhere who does it.

Who is in a group is told at each login, by LDAP, the authenticating proxy or OIDC. A change of it ends what was granted
before, as any other change of somebody's rights does.
"""

from __future__ import annotations

from collections.abc import Collection

from longshore.database.connection import Database, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.groups.models import Group, GroupType, NewGroup, parse_name
from longshore.groups.queries import COLUMNS, group_of, total_name
from longshore.identity.service import lock_user, tell_groups_changed
from longshore.listing.totals import EVERYWHERE, change_total
from longshore.oci.errors import Conflict, NotFound
from longshore.projects.members import end_memberships, insert_member, raise_version, rename_group
from longshore.projects.models import Entity, Role
from longshore.projects.service import already_member

_INSERT = Statement(
    """
    INSERT INTO user_groups (type, name, ldap_dn, key, created_at, updated_at)
    VALUES (:type, :name, :ldap_dn, :key, {now}, {now}) RETURNING id
    """
)
_LOCK = Statement(f"{COLUMNS} WHERE id = :id FOR NO KEY UPDATE")
_BY_KEY = Statement(f"{COLUMNS} WHERE type = :type AND key = :key")
_RENAME = Statement("UPDATE user_groups SET name = :name, key = :key, updated_at = {now} WHERE id = :id")
_DELETE = Statement("DELETE FROM user_groups WHERE id = :id")
_EXISTING = Statement("SELECT id FROM user_groups WHERE id = ANY(:ids) ORDER BY id FOR SHARE")
_OF_USER = Statement("SELECT group_id FROM user_group_members WHERE user_id = :user_id")
_LEAVE = Statement("DELETE FROM user_group_members WHERE user_id = :user_id AND group_id = ANY(:ids)")
_JOIN = Statement("INSERT INTO user_group_members (user_id, group_id) VALUES (:user_id, :group_id)")


class GroupService:
    """Makes and changes groups, and who is in them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, group: NewGroup, *, actor: str) -> int:
        """Makes a group and returns its number.

        Raises:
            Conflict: there is one of that type and name, or of that DN.
        """
        try:
            return await self._database.write(lambda transaction: _insert(transaction, group, actor))
        except UniqueViolation:
            raise _taken(group.type) from None

    async def rename(self, group_id: int, name: str, *, actor: str) -> None:
        """Gives a group another name.

        Raises:
            BadRequest: the name is empty or too long.
            NotFound: there is no such group.
            Conflict: there is one of that type and name.
        """
        parsed = parse_name(name.strip())

        async def write(transaction: Transaction) -> None:
            group = await _lock(transaction, group_id)
            if group.name == parsed:
                return
            key = NewGroup(group.type, parsed, group.ldap_dn).key
            await transaction.execute(_RENAME, id=group_id, name=parsed, key=key)
            await rename_group(transaction, group_id, parsed)
            await _tell(transaction, EventKind.GROUP_UPDATED, group_id, group.type, parsed, actor)

        try:
            await self._database.write(write)
        except UniqueViolation:
            raise _taken(GroupType.HTTP) from None

    async def delete(self, group_id: int, *, actor: str) -> None:
        """Deletes a group and its memberships of projects.

        Raises:
            NotFound: there is no such group.
        """

        async def write(transaction: Transaction) -> None:
            group = await _lock(transaction, group_id)
            await end_memberships(transaction, Entity(group_id, is_group=True), actor)
            await transaction.execute(_DELETE, id=group_id)
            await change_total(transaction, total_name(group.type), EVERYWHERE, -1)
            await _tell(transaction, EventKind.GROUP_DELETED, group_id, group.type, group.name, actor)

        await self._database.write(write)

    async def add_to_project(self, project_id: int, group: NewGroup, role: Role, *, actor: str) -> int:
        """Makes a group a member of a project and returns the number of the membership; the group too if it isn't there.

        Raises:
            Conflict: the group is a member already.
            NotFound: there is no such project, or no group of LDAP with that DN.
        """

        async def write(transaction: Transaction) -> int:
            await raise_version(transaction, project_id)
            row = await transaction.one(_BY_KEY, type=group.type.stored, key=group.key)
            if row is None and group.type is GroupType.LDAP:
                raise NotFound(f"There is no group of LDAP with the DN {group.ldap_dn}. Make it at /usergroups first.")
            group_id = await _insert(transaction, group, actor) if row is None else group_of(row).id
            return await insert_member(transaction, project_id, Entity(group_id, is_group=True), role, actor)

        try:
            return await self._database.write(write)
        except UniqueViolation:
            raise already_member(Entity(0, is_group=True)) from None

    async def set_groups_of(self, user_id: int, group_ids: Collection[int], *, actor: str) -> bool:
        """Says which groups a user is in, as its login told; groups that don't exist are left out. Whether that was news.

        Raises:
            NotFound: there is no such user.
        """
        wanted = list(group_ids)

        async def write(transaction: Transaction) -> bool:
            # Two logins at once tell the same: the second one then sees what the first has made of it.
            await lock_user(transaction, user_id)
            now = {row[0] for row in await transaction.all(_EXISTING, ids=wanted)}
            before = {row[0] for row in await transaction.all(_OF_USER, user_id=user_id)}
            if now == before:
                return False
            await tell_groups_changed(transaction, user_id, actor=actor)
            await transaction.execute(_LEAVE, user_id=user_id, ids=sorted(before - now))
            for group_id in sorted(now - before):
                await transaction.execute(_JOIN, user_id=user_id, group_id=group_id)
            return True

        return await self._database.write(write)


async def _insert(transaction: Transaction, group: NewGroup, actor: str) -> int:
    group_id: int = await transaction.value(
        _INSERT, type=group.type.stored, name=group.name, ldap_dn=group.ldap_dn, key=group.key
    )
    await change_total(transaction, total_name(group.type), EVERYWHERE, 1)
    await _tell(transaction, EventKind.GROUP_CREATED, group_id, group.type, group.name, actor)
    return group_id


async def _lock(transaction: Transaction, group_id: int) -> Group:
    row = await transaction.one(_LOCK, id=group_id)
    if row is None:
        raise NotFound(f"There is no group {group_id}.")
    return group_of(row)


async def _tell(
    transaction: Transaction, kind: EventKind, group_id: int, group_type: GroupType, name: str, actor: str
) -> None:
    payload = {"group_id": group_id, "group": name, "type": group_type.stored, "actor": actor}
    await append(transaction, kind=kind, project_id=None, payload=payload)


def _taken(group_type: GroupType) -> Conflict:
    what = "DN" if group_type is GroupType.LDAP else "type and name"
    return Conflict(f"There is a group of that {what} already.")
