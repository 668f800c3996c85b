# SPDX-License-Identifier: Apache-2.0
"""Use cases of projects: one transaction each, with its event. Whatever changes who may do what raises the `access_version`.

`actor` is everywhere who does it, for the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from longshore.database.connection import Database, Transaction
from longshore.database.errors import UniqueViolation
from longshore.database.statement import Statement
from longshore.events.models import EventKind
from longshore.events.service import append
from longshore.oci.errors import BadRequest, Conflict
from longshore.oci.names import ProjectName
from longshore.projects.allowlists import Allowlist, set_allowlist
from longshore.projects.members import (
    change_member,
    insert_member,
    missing,
    raise_version,
    remove_member,
    require_entity,
)
from longshore.projects.models import SPARSE, Entity, Role
from longshore.projects.settings import PUBLIC, parse_boolean, parse_setting
from longshore.registry import totals
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
_PUBLISH = Statement("UPDATE projects SET public = :public WHERE id = :id AND public <> :public")
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
_ADD = Statement(
    "INSERT INTO project_metadata (project_id, name, value) VALUES (:project_id, :name, :value)"
    " ON CONFLICT (project_id, name) DO NOTHING"
)
_CHANGE = Statement("UPDATE project_metadata SET value = :value WHERE project_id = :project_id AND name = :name")
_UNSET = Statement("DELETE FROM project_metadata WHERE project_id = :project_id AND name = :name")


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
        allowlist: Allowlist | None = None,
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
                await require_entity(transaction, Entity(owner_id))
            project_id = await insert_project(
                transaction, name, owner_id=owner_id, public=public, sparse=sparse, quota_bytes=quota_bytes, actor=actor
            )
            for key, value in parsed.items():
                await transaction.execute(_SET, project_id=project_id, name=key, value=value)
            if allowlist is not None:
                await set_allowlist(transaction, project_id, allowlist)
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
                raise missing(project_id)
            await _tell_update(transaction, project_id, ["sparse"], actor)

        await self._database.write(write)

    async def set_public(self, project_id: int, *, public: bool, actor: str = _ITSELF) -> None:
        """Opens a project for anybody to pull, or closes it.

        Raises:
            NotFound: there is no such project.
        """
        await self.set_settings(project_id, {PUBLIC: "true" if public else "false"}, actor=actor)

    async def set_settings(
        self,
        project_id: int,
        settings: Mapping[str, str],
        *,
        allowlist: Allowlist | None = None,
        actor: str = _ITSELF,
    ) -> None:
        """Sets some settings, `public` among them, and leaves the others as they are; an allowlist replaces the old one.

        Raises:
            BadRequest: one isn't acceptable.
            NotFound: there is no such project.
        """
        parsed = {key: parse_setting(key, value) for key, value in settings.items()}
        public = parsed.pop(PUBLIC, None)

        async def write(transaction: Transaction) -> None:
            await raise_version(transaction, project_id)
            for key, value in parsed.items():
                await transaction.execute(_SET, project_id=project_id, name=key, value=value)
            if allowlist is not None:
                await set_allowlist(transaction, project_id, allowlist)
            changed = [*settings, *(["cve_allowlist"] if allowlist is not None else [])]
            await _tell_update(transaction, project_id, changed, actor)
            if public is not None:
                await _publish(transaction, project_id, public=parse_boolean(PUBLIC, public))

        await self._database.write(write)

    async def add_setting(self, project_id: int, name: str, value: str, *, actor: str = _ITSELF) -> None:
        """Sets a setting that wasn't set. A project always has `public`.

        Raises:
            BadRequest: it isn't acceptable.
            Conflict: it is set already.
            NotFound: there is no such project.
        """
        parsed = parse_setting(name, value)

        async def write(transaction: Transaction) -> None:
            await raise_version(transaction, project_id)
            if name == PUBLIC or not await transaction.execute(_ADD, project_id=project_id, name=name, value=parsed):
                raise Conflict(f"The setting {name} of the project is set already. Change it by PUT.")
            await _tell_update(transaction, project_id, [name], actor)

        await self._database.write(write)

    async def change_setting(self, project_id: int, name: str, value: str, *, actor: str = _ITSELF) -> bool:
        """Changes a setting that was set; tells whether it was.

        Raises:
            BadRequest: it isn't acceptable.
            NotFound: there is no such project.
        """
        parsed = parse_setting(name, value)
        if name == PUBLIC:
            await self.set_settings(project_id, {PUBLIC: parsed}, actor=actor)
            return True

        async def write(transaction: Transaction) -> bool:
            if not await transaction.execute(_CHANGE, project_id=project_id, name=name, value=parsed):
                return False
            await raise_version(transaction, project_id)
            await _tell_update(transaction, project_id, [name], actor)
            return True

        return await self._database.write(write)

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
                await raise_version(transaction, project_id)
                await _tell_update(transaction, project_id, [name], actor)

        await self._database.write(write)

    async def add_member(self, project_id: int, entity: Entity | int, role: Role, *, actor: str = _ITSELF) -> int:
        """Makes a user (also by number alone) or a group a member, and returns the number of the membership.

        Raises:
            Conflict: it is a member already.
            NotFound: there is no such project, user or group.
        """
        whom = Entity(entity) if isinstance(entity, int) else entity

        async def write(transaction: Transaction) -> int:
            await raise_version(transaction, project_id)
            return await insert_member(transaction, project_id, whom, role, actor)

        try:
            return await self._database.write(write)
        except UniqueViolation:
            raise already_member(whom) from None

    async def change_role(self, project_id: int, member_id: int, role: Role, *, actor: str = _ITSELF) -> bool:
        """Gives a member another role; tells whether there was such a member.

        Raises:
            NotFound: there is no such project.
        """
        return await self._database.write(
            lambda transaction: change_member(transaction, project_id, member_id, role, actor)
        )

    async def remove_member(self, project_id: int, member_id: int, *, actor: str = _ITSELF) -> bool:
        """Ends a membership; tells whether there was one.

        Raises:
            NotFound: there is no such project.
        """
        return await self._database.write(lambda transaction: remove_member(transaction, project_id, member_id, actor))


def already_member(entity: Entity) -> Conflict:
    """The answer when somebody is made a member twice."""
    whom = "group" if entity.is_group else "user"
    return Conflict(f"The {whom} is a member of this project already. Change the role instead.")


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
        await insert_member(transaction, project_id, Entity(owner_id), Role.PROJECT_ADMIN, actor)
    await totals.count_project(transaction, project_id, 1)
    return project_id


async def _publish(transaction: Transaction, project_id: int, *, public: bool) -> None:
    if await transaction.execute(_PUBLISH, id=project_id, public=public):
        await totals.count_publicity(transaction, project_id, public=public)


async def _tell_update(transaction: Transaction, project_id: int, changed: Iterable[str], actor: str) -> None:
    if names := sorted(changed):
        payload = {"changed": names, "actor": actor}
        await append(transaction, kind=EventKind.PROJECT_UPDATED, project_id=project_id, payload=payload)


def _check_sparse(sparse: str) -> None:
    if sparse not in SPARSE:
        raise BadRequest(f"What manifests may lack is one of {', '.join(SPARSE)}, not {sparse[:40]!a}.")
