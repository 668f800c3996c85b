# SPDX-License-Identifier: Apache-2.0
"""Use cases of projects: one transaction each, with its event. Whatever changes who may do what raises the `access_version`.

`actor` is everywhere who does it, for the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from longshore.database.connection import Database, Row, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import BadRequest, Conflict, NotFound
from longshore.oci.names import ProjectName
from longshore.projects.models import SPARSE, Role
from longshore.projects.settings import PUBLIC, parse_boolean, parse_setting
from longshore.registry.periods import Periods
from longshore.registry.project_deletion import ProjectDeletion

_ITSELF: Final = "longshore"

_INSERT = Statement(
    """
    INSERT INTO projects (name, owner_id, public, sparse, quota_bytes, created_at, updated_at)
    VALUES (:name, :owner_id, :public, :sparse, :quota_bytes, {now}, {now}) RETURNING id
    """
)
_INSERT_USAGE = Statement("INSERT INTO project_usage (project_id) VALUES (:project_id)")
_INSERT_MEMBER = Statement(
    """
    INSERT INTO project_members (project_id, user_id, role, created_at)
    VALUES (:project_id, :user_id, :role, {now}) RETURNING id
    """
)
_USER = Statement("SELECT id FROM users WHERE id = :id AND deleted_at IS NULL FOR SHARE")
_RAISE = Statement(
    "UPDATE projects SET access_version = access_version + 1, updated_at = {now} WHERE id = :id AND deleted_at IS NULL"
)
_PROJECT = Statement("SELECT id FROM projects WHERE id = :id AND deleted_at IS NULL")
_PUBLISH = Statement("UPDATE projects SET public = :public WHERE id = :id")
_SET_SPARSE = Statement(
    "UPDATE projects SET sparse = :sparse, access_version = access_version + 1, updated_at = {now}"
    " WHERE id = :id AND deleted_at IS NULL"
)
_SET = Statement(
    """
    INSERT INTO project_metadata (project_id, name, value) VALUES (:project_id, :name, :value)
    ON CONFLICT (project_id, name) DO UPDATE SET value = excluded.value
    """
)
_UNSET = Statement("DELETE FROM project_metadata WHERE project_id = :project_id AND name = :name")
_CHANGE_ROLE = Statement("UPDATE project_members SET role = :role WHERE id = :id AND project_id = :project_id")
_REMOVE = Statement("DELETE FROM project_members WHERE id = :id AND project_id = :project_id")
_MEMBER = """
    SELECT m.id, m.user_id, u.username, m.role, m.project_id FROM project_members m JOIN users u ON u.id = m.user_id
"""
_MEMBER_BY_ID = Statement(f"{_MEMBER} WHERE m.id = :id AND m.project_id = :project_id")
_MEMBERSHIPS = Statement(f"{_MEMBER} WHERE m.user_id = :user_id ORDER BY m.project_id")
_REMOVE_USER = Statement("DELETE FROM project_members WHERE user_id = :user_id")


class ProjectService:
    """Makes and changes projects.

    Args:
        database: Where they are.
        periods: How long a deleted project can be restored.
    """

    def __init__(self, database: Database, periods: Periods | None = None) -> None:
        self._database = database
        self._deletion = ProjectDeletion(database, periods or Periods())

    async def create(
        self,
        name: ProjectName,
        *,
        owner_id: int | None,
        public: bool = False,
        sparse: str = "none",
        quota_bytes: int | None = None,
        settings: Mapping[str, str] | None = None,
        actor: str = _ITSELF,
    ) -> int:
        """Makes a project, whose owner becomes its administrator, and returns its number.

        Raises:
            Conflict: there is a project of that name.
            BadRequest: a setting isn't acceptable.
            NotFound: the owner doesn't exist.
        """
        parsed = {key: parse_setting(key, value) for key, value in (settings or {}).items()}
        public = parsed.pop(PUBLIC, "true" if public else "false") == "true"
        _check_sparse(sparse)

        async def write(transaction: Transaction) -> int:
            if owner_id is not None:
                await _require_user(transaction, owner_id)
            project_id = await insert_project(
                transaction, name, owner_id=owner_id, public=public, sparse=sparse, quota_bytes=quota_bytes, actor=actor
            )
            for key, value in parsed.items():
                await transaction.execute(_SET, project_id=project_id, name=key, value=value)
            return project_id

        try:
            return await self._database.write(write)
        except UniqueViolation:
            raise Conflict(f"The project named {name} already exists.") from None

    async def delete(self, project_id: int, *, actor: str = _ITSELF) -> None:
        """Deletes a project that has no repositories; its name is free at once.

        Raises:
            PreconditionFailed: a repository remains.
            NotFound: there is no such project.
        """
        await self._deletion.delete_empty(project_id, actor=actor, reason="project deleted")

    async def set_sparse(self, project_id: int, sparse: str, *, actor: str = _ITSELF) -> None:
        """Says what manifests of the project may lack: `none`, `children` of an index, or `any` part.

        Raises:
            BadRequest: it is none of these.
            NotFound: there is no such project.
        """
        _check_sparse(sparse)

        async def write(transaction: Transaction) -> None:
            if not await transaction.execute(_SET_SPARSE, id=project_id, sparse=sparse):
                raise _missing(project_id)
            await _tell_update(transaction, project_id, ["sparse"], actor)

        await self._database.write(write)

    async def set_public(self, project_id: int, *, public: bool, actor: str = _ITSELF) -> None:
        """Opens a project for anybody to pull, or closes it.

        Raises:
            NotFound: there is no such project.
        """
        await self.set_settings(project_id, {PUBLIC: "true" if public else "false"}, actor=actor)

    async def set_settings(self, project_id: int, settings: Mapping[str, str], *, actor: str = _ITSELF) -> None:
        """Sets some settings, `public` among them, and leaves the others as they are.

        Raises:
            BadRequest: one isn't acceptable.
            NotFound: there is no such project.
        """
        parsed = {key: parse_setting(key, value) for key, value in settings.items()}
        public = parsed.pop(PUBLIC, None)

        async def write(transaction: Transaction) -> None:
            await _raise_version(transaction, project_id)
            if public is not None:
                await transaction.execute(_PUBLISH, id=project_id, public=parse_boolean(PUBLIC, public))
            for key, value in parsed.items():
                await transaction.execute(_SET, project_id=project_id, name=key, value=value)
            await _tell_update(transaction, project_id, settings, actor)

        await self._database.write(write)

    async def unset(self, project_id: int, name: str, *, actor: str = _ITSELF) -> None:
        """Removes a setting; removing what isn't there changes nothing. A project without `public` is private.

        Raises:
            NotFound: there is no such project.
        """
        if name == PUBLIC:
            await self.set_public(project_id, public=False, actor=actor)
            return

        async def write(transaction: Transaction) -> None:
            if await transaction.execute(_UNSET, project_id=project_id, name=name):
                await _raise_version(transaction, project_id)
                await _tell_update(transaction, project_id, [name], actor)

        await self._database.write(write)

    async def add_member(self, project_id: int, user_id: int, role: Role, *, actor: str = _ITSELF) -> int:
        """Makes a user a member and returns the number of the membership.

        Raises:
            Conflict: the user is a member already.
            NotFound: there is no such project or user.
        """

        async def write(transaction: Transaction) -> int:
            await _raise_version(transaction, project_id)
            await _require_user(transaction, user_id)
            return await _insert_member(transaction, project_id, user_id, role, actor)

        try:
            return await self._database.write(write)
        except UniqueViolation:
            raise Conflict("The user is a member of this project already. Change the role instead.") from None

    async def change_role(self, project_id: int, member_id: int, role: Role, *, actor: str = _ITSELF) -> bool:
        """Gives a member another role; tells whether there was such a member.

        Raises:
            NotFound: there is no such project.
        """

        async def write(transaction: Transaction) -> bool:
            row = await _find_member(transaction, project_id, member_id)
            if row is None or not await transaction.execute(
                _CHANGE_ROLE, id=member_id, project_id=project_id, role=role.stored
            ):
                return False
            await _tell_member(transaction, EventKind.MEMBER_UPDATED, row, role, actor)
            return True

        return await self._database.write(write)

    async def remove_member(self, project_id: int, member_id: int, *, actor: str = _ITSELF) -> bool:
        """Ends a membership; tells whether there was one.

        Raises:
            NotFound: there is no such project.
        """

        async def write(transaction: Transaction) -> bool:
            row = await _find_member(transaction, project_id, member_id)
            if row is None or not await transaction.execute(_REMOVE, id=member_id, project_id=project_id):
                return False
            await _tell_member(transaction, EventKind.MEMBER_REMOVED, row, Role.from_stored(row["role"]), actor)
            return True

        return await self._database.write(write)


async def insert_project(
    transaction: Transaction,
    name: ProjectName,
    *,
    owner_id: int | None,
    public: bool,
    sparse: str = "none",
    quota_bytes: int | None = None,
    actor: str = _ITSELF,
) -> int:
    """Inserts a project with its usage and its owner's membership; for use cases that make more than the project."""
    project_id: int = await transaction.value(
        _INSERT, name=name.value, owner_id=owner_id, public=public, sparse=sparse, quota_bytes=quota_bytes
    )
    await transaction.execute(_INSERT_USAGE, project_id=project_id)
    payload = {"project": name.value, "public": public, "owner_id": owner_id, "actor": actor}
    await append(transaction, kind=EventKind.PROJECT_CREATED, project_id=project_id, payload=payload)
    if owner_id is not None:
        await _insert_member(transaction, project_id, owner_id, Role.PROJECT_ADMIN, actor)
    return project_id


async def end_memberships(transaction: Transaction, user_id: int, *, actor: str) -> None:
    """Ends all memberships of a user who goes."""
    for row in await transaction.all(_MEMBERSHIPS, user_id=user_id):
        await transaction.execute(_RAISE, id=row["project_id"])
        await _tell_member(transaction, EventKind.MEMBER_REMOVED, row, Role.from_stored(row["role"]), actor)
    await transaction.execute(_REMOVE_USER, user_id=user_id)


async def _find_member(transaction: Transaction, project_id: int, member_id: int) -> Row | None:
    """The member before it changes. The project's version rises, and locks it, only if there is something to change."""
    row = await transaction.one(_MEMBER_BY_ID, id=member_id, project_id=project_id)
    if row is not None:
        await _raise_version(transaction, project_id)
    elif await transaction.value(_PROJECT, id=project_id) is None:
        raise _missing(project_id)
    return row


async def _insert_member(transaction: Transaction, project_id: int, user_id: int, role: Role, actor: str) -> int:
    member_id: int = await transaction.value(_INSERT_MEMBER, project_id=project_id, user_id=user_id, role=role.stored)
    (row,) = await transaction.all(_MEMBER_BY_ID, id=member_id, project_id=project_id)
    await _tell_member(transaction, EventKind.MEMBER_ADDED, row, role, actor)
    return member_id


async def _tell_member(transaction: Transaction, kind: EventKind, row: Row, role: Role, actor: str) -> None:
    payload = {
        "member_id": row["id"],
        "user_id": row["user_id"],
        "username": row["username"],
        "role": role.title,
        "actor": actor,
    }
    await append(transaction, kind=kind, project_id=row["project_id"], payload=payload)


async def _tell_update(transaction: Transaction, project_id: int, changed: Iterable[str], actor: str) -> None:
    if names := sorted(changed):
        payload = {"changed": names, "actor": actor}
        await append(transaction, kind=EventKind.PROJECT_UPDATED, project_id=project_id, payload=payload)


async def _require_user(transaction: Transaction, user_id: int) -> None:
    # Shared, so that a user who is being deleted either is gone here or loses this membership too.
    if await transaction.value(_USER, id=user_id) is None:
        raise NotFound(f"There is no user {user_id}.")


async def _raise_version(transaction: Transaction, project_id: int) -> None:
    if not await transaction.execute(_RAISE, id=project_id):
        raise _missing(project_id)


def _missing(project_id: int) -> NotFound:
    return NotFound(f"There is no project {project_id}.")


def _check_sparse(sparse: str) -> None:
    if sparse not in SPARSE:
        raise BadRequest(f"What manifests may lack is one of {', '.join(SPARSE)}, not {sparse[:40]!a}.")
