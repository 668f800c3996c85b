# SPDX-License-Identifier: Apache-2.0
"""Access tokens of people; ours, in the manner of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from longshore.access.models import Grants, Permission
from longshore.api.documents.robot import Access, RobotPermission, RobotPermissionReq
from longshore.api.serialising import NEVER, Integer, Read, Shown, Time, moment
from longshore.identity.models import AccessToken as StoredToken
from longshore.oci.errors import BadRequest
from longshore.robots.models import ANY_PROJECT, SYSTEM, RobotGrant

_FOR_EVER: Final = -1
_SECOND: Final = 1_000_000


class AccessToken(Shown, frozen=True, kw_only=True):
    """An access token; `expires_at` in seconds since 1970, -1 for never. Without `permissions` it may what its owner may."""

    id: int
    name: str
    active: bool
    permissions: tuple[RobotPermission, ...] | None = None
    expires_at: int
    creation_time: Time
    last_used: Time


class AccessTokenCreated(Shown, frozen=True, kw_only=True):
    """An access token that was just made; `secret` is shown this once."""

    id: int
    name: str
    secret: str
    expires_at: int


class AccessTokenReq(Read, frozen=True, kw_only=True):
    """What it takes to make an access token: a name, days or -1, and (unless it may all) permissions as those of robots."""

    name: str | None = None
    duration: Integer | None = None
    permissions: tuple[RobotPermissionReq, ...] | None = None

    def days(self) -> int | None:
        """How long it shall be good; None for ever.

        Raises:
            BadRequest: it isn't said.
        """
        if self.duration is None:
            raise BadRequest("duration: say for how many days the token is good, or -1 for ever.")
        return None if self.duration == _FOR_EVER else self.duration

    def grants(self) -> tuple[RobotGrant, ...] | None:
        """What it may at most; None for all that its owner may.

        Raises:
            BadRequest: a permission isn't acceptable, or a namespace comes twice.
        """
        if self.permissions is None:
            return None
        given = tuple(permission.grant() for permission in self.permissions)
        if len({grant.namespace for grant in given}) != len(given):
            raise BadRequest("permissions: each namespace may appear once.")
        return given


def limit_of(grants: tuple[RobotGrant, ...], project_ids: Mapping[str, int]) -> Grants:
    """The limit that these permissions are, by the numbers of the projects that they name."""
    fixed = {grant.namespace: grant.permissions for grant in grants}
    nothing: frozenset[Permission] = frozenset()
    system, everywhere = fixed.pop(SYSTEM, nothing), fixed.pop(ANY_PROJECT, nothing)
    return Grants(system, everywhere, tuple((project_ids[name], granted) for name, granted in fixed.items()))


def shown_token(token: StoredToken, project_names: Mapping[int, str]) -> AccessToken:
    """An access token; permissions in projects that are gone are left out."""
    return AccessToken(
        id=token.id,
        name=token.name,
        active=token.active,
        permissions=None if token.limit is None else _permissions(token.limit, project_names),
        expires_at=_FOR_EVER if token.expires_at is None else token.expires_at // _SECOND,
        creation_time=moment(token.created_at),
        last_used=NEVER if token.used_at is None else moment(token.used_at),
    )


def _permissions(limit: Grants, project_names: Mapping[int, str]) -> tuple[RobotPermission, ...]:
    found = [("system", SYSTEM, limit.system), ("project", ANY_PROJECT, limit.everywhere)]
    found += [
        ("project", project_names[number], granted) for number, granted in limit.projects if number in project_names
    ]
    return tuple(
        RobotPermission(
            kind=kind,
            namespace=namespace,
            access=tuple(Access(resource=resource, action=action) for resource, action in sorted(permissions)),
        )
        for kind, namespace, permissions in found
        if permissions
    )
