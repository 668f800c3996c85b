# SPDX-License-Identifier: Apache-2.0
"""Members of projects, as the contract shows and takes them."""

from __future__ import annotations

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


class UserGroup(Read, frozen=True, kw_only=True):
    """A group of users, by number or by name."""

    id: Integer | None = None
    group_name: str | None = None
    ldap_group_dn: str | None = None


class ProjectMember(Read, frozen=True, kw_only=True):
    """What it takes to make a member: a role, and a user or a group."""

    role_id: Integer | None = None
    member_user: UserEntity | None = None
    member_group: UserGroup | None = None


class RoleRequest(Read, frozen=True, kw_only=True):
    """The role that a member shall have."""

    role_id: Integer | None = None


def shown_member(member: Member) -> ProjectMemberEntity:
    """A member as the contract shows it."""
    return ProjectMemberEntity(
        id=member.id,
        project_id=member.project_id,
        entity_name=member.username,
        role_name=member.role.title,
        role_id=member.role.value,
        entity_id=member.user_id,
        entity_type="u",
    )
