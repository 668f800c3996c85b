# SPDX-License-Identifier: Apache-2.0
"""Members of projects, as the contract shows and takes them."""

from __future__ import annotations

from longshore.api.documents.usergroup import UserGroupReq
from longshore.api.serialising import Integer, Read, Shown
from longshore.projects.models import Member


class ProjectMemberEntity(Shown, frozen=True, kw_only=True):
    """A member of a project."""

    id: int = 0
    project_id: int = 0
    entity_name: str = ""
    role_name: str = ""
    role_id: int = 0
    entity_id: int = 0
    entity_type: str = ""


class UserEntity(Read, frozen=True, kw_only=True):
    """A user by number, or by name."""

    user_id: Integer | None = None
    username: str | None = None


class ProjectMember(Read, frozen=True, kw_only=True):
    """What it takes to make a member: a role, and a user or a group."""

    role_id: Integer | None = None
    member_user: UserEntity | None = None
    member_group: UserGroupReq | None = None


class RoleRequest(Read, frozen=True, kw_only=True):
    """The role that a member shall have."""

    role_id: Integer | None = None


def shown_member(member: Member) -> ProjectMemberEntity:
    """A member as the contract shows it."""
    return ProjectMemberEntity(
        id=member.id,
        project_id=member.project_id,
        entity_name=member.name,
        role_name=member.role.title,
        role_id=member.role.value,
        entity_id=member.entity.id,
        entity_type="g" if member.entity.is_group else "u",
    )
