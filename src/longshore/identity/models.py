# SPDX-License-Identifier: Apache-2.0
"""People as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ADMIN_ID: Final = 1
"""The administrator that every instance has, as in Harbor."""

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
