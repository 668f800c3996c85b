# SPDX-License-Identifier: Apache-2.0
"""Groups of users, as the contract shows and takes them."""

from __future__ import annotations

from longshore.api.serialising import Integer, Read, Shown
from longshore.groups.models import Group, GroupType


class UserGroup(Shown, frozen=True, kw_only=True):
    """A group of users; the answer to GET of one has no `id`."""

    id: int = 0
    group_name: str = ""
    group_type: int = 0
    ldap_group_dn: str = ""


class UserGroupSearchItem(Shown, frozen=True, kw_only=True):
    """What everybody may know of a group."""

    id: int = 0
    group_name: str = ""
    group_type: int = 0


class UserGroupReq(Read, frozen=True, kw_only=True):
    """A group as it is sent, whole or by what tells it apart."""

    id: Integer | None = None
    group_name: str | None = None
    group_type: Integer | None = None
    ldap_group_dn: str | None = None


def shown_group(group: Group, *, with_id: bool = True) -> UserGroup:
    """A group as the contract shows it."""
    return UserGroup(
        id=group.id if with_id else 0,
        group_name=group.name,
        group_type=group.type.value,
        ldap_group_dn=group.ldap_dn or "",
    )


def found_group(group: Group) -> UserGroupSearchItem:
    """A group as a search shows it."""
    return UserGroupSearchItem(id=group.id, group_name=group.name, group_type=group.type.value)


def sent_type(document: UserGroupReq) -> GroupType | None:
    """The type that a document gives; None when it gives none.

    Raises:
        BadRequest: there is no such type.
    """
    return GroupType.parse(document.group_type) if document.group_type else None
