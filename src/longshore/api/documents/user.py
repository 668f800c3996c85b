# SPDX-License-Identifier: Apache-2.0
"""People, as the contract shows and takes them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from longshore.access.models import Permission as Granted
from longshore.api.serialising import Read, Shown, Time, moment
from longshore.identity.models import NewUser, Profile, User
from longshore.oci.errors import BadRequest

_Name = Annotated[str, msgspec.Meta(max_length=255)]


class UserResp(Shown, frozen=True, kw_only=True):
    """A user."""

    email: str = ""
    realname: str = ""
    comment: str = ""
    user_id: int = 0
    username: str = ""
    sysadmin_flag: bool
    admin_role_in_auth: bool
    disabled: bool = False
    creation_time: Time
    update_time: Time


class UserSearchRespItem(Shown, frozen=True, kw_only=True):
    """Somebody who was found."""

    user_id: int = 0
    username: str = ""


class Permission(Shown, frozen=True, kw_only=True):
    """One thing that somebody may do."""

    resource: str = ""
    action: str = ""


class UserCreationReq(Read, frozen=True, kw_only=True):
    """What it takes to make a user."""

    email: _Name | None = None
    realname: str | None = None
    comment: str | None = None
    password: str | None = None
    username: _Name | None = None

    def user(self) -> NewUser:
        """The user to make.

        Raises:
            BadRequest: the email address or the real name is missing.
        """
        if not self.email or not self.realname:
            raise BadRequest("A user needs an email address and a real name (email, realname).")
        return NewUser(
            username=self.username or "",
            password=self.password or "",
            email=self.email,
            realname=self.realname,
            comment=self.comment or "",
        )


class UserProfile(Read, frozen=True, kw_only=True):
    """What a person tells of itself."""

    email: str | None = None
    realname: str | None = None
    comment: str | None = None

    def profile(self) -> Profile:
        """The profile that shall be.

        Raises:
            BadRequest: the email address or the real name is missing.
        """
        if not self.email or not self.realname:
            raise BadRequest("A user needs an email address and a real name (email, realname).")
        return Profile(email=self.email, realname=self.realname, comment=self.comment or "")


class UserSysAdminFlag(Read, frozen=True, kw_only=True):
    """Whether a user shall be a system administrator."""

    sysadmin_flag: bool | None = None


class UserDisabledFlag(Read, frozen=True, kw_only=True):
    """Whether a user shall be kept out."""

    disabled: bool | None = None

    def flag(self) -> bool:
        """What shall be.

        Raises:
            BadRequest: it isn't said.
        """
        if self.disabled is None:
            raise BadRequest("disabled: say true or false.")
        return self.disabled


class OIDCCliSecretReq(Read, frozen=True, kw_only=True):
    """The secret that somebody wants."""

    secret: str | None = None


class PasswordReq(Read, frozen=True, kw_only=True):
    """A new password; the old one for those who change their own."""

    old_password: str | None = None
    new_password: str | None = None


def shown_permission(permission: Granted, scope: str) -> Permission:
    """A permission, below a scope or (for an empty one) relative to it; the scope itself is a dot then, as in Harbor."""
    # The project or the system itself has its kind's name in the vocabulary, and no name of its own in its scope.
    itself = permission.resource == "project" and scope != "/system"
    if scope:
        return Permission(resource=scope if itself else f"{scope}/{permission.resource}", action=permission.action)
    return Permission(resource="." if itself else permission.resource, action=permission.action)


def shown_user(user: User) -> UserResp:
    """A user as the contract shows it."""
    return UserResp(
        email=user.email or "",
        realname=user.realname,
        comment=user.comment,
        user_id=user.id,
        username=user.username,
        sysadmin_flag=user.sysadmin,
        admin_role_in_auth=False,
        disabled=user.disabled,
        creation_time=moment(user.created_at),
        update_time=moment(user.updated_at),
    )
