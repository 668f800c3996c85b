# SPDX-License-Identifier: Apache-2.0
"""People as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from longshore.access.models import Grants

ADMIN_ID: Final = 1
"""The administrator that every instance has, as in Harbor."""

USERS: Final = "users"
"""What the maintained number of users is called; the first administrator isn't counted, as no list shows it."""

ANONYMOUS_ID: Final = 2
"""A row that nobody can be, kept because Harbor's tools skip that number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person with an account; times are microseconds since 1970."""

    id: int
    username: str
    email: str | None
    realname: str
    comment: str
    sysadmin: bool
    access_version: int
    created_at: int
    updated_at: int
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a person tells of itself; the members are named as the columns of `users`."""

    email: str
    realname: str
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """What it takes to make an account. `identity.rules.check_new_user` tells what is wrong with one."""

    username: str
    password: str = field(repr=False)
    email: str | None = None
    realname: str = ""
    comment: str = ""
    sysadmin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccessToken:
    """What it takes to make an access token; `limit` None is all that its owner may do, `days` None is for ever."""

    name: str
    limit: Grants | None = None
    days: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An access token, without itself; times are microseconds since 1970, None for never.

    `active` tells whether it still opens something: it isn't over, and nothing ended its owner's logins since.
    """

    id: int
    name: str
    limit: Grants | None
    created_at: int
    expires_at: int | None
    used_at: int | None
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedUser:
    """An account of another registry that keeps its number.

    `password_hash` is what `access.imported.imported_hash` makes of Harbor's, or None for somebody without a password here.
    Times are microseconds since 1970.
    """

    id: int
    username: str
    password_hash: str | None = field(repr=False)
    email: str | None
    realname: str
    comment: str
    sysadmin: bool
    created_at: int
    updated_at: int
