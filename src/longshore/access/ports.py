# SPDX-License-Identifier: Apache-2.0
"""What `access` wants from the features above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from longshore.access.models import Account, Principal


class Accounts(Protocol):
    """Tells the present state of accounts of one kind; users and robots each have one."""

    async def account(self, account_id: int) -> Account | None:
        """The account's state from the database, not from a copy; None when it is gone or disabled.

        Raises:
            ServiceUnavailable: the database is away.
        """
        ...


class TokenAccounts(Protocol):
    """Tells the present state of people as seen through one of their access tokens."""

    async def account(self, user_id: int, token_id: int) -> Account | None:
        """The state of the person with the limit of the token; None when either is gone, disabled, or no longer what it was.

        Raises:
            ServiceUnavailable: the database is away.
        """
        ...


class Credentials(Protocol):
    """Recognises accounts of one kind by name and password or secret."""

    async def authenticate(self, name: str, secret: str, source: str) -> Principal:
        """The principal with that name and secret. Takes as long for names that nobody has.

        Raises:
            WrongCredentials: there is none.
            TooManyRequests: too much that came from the address `source` is waiting to be checked.
            ServiceUnavailable: the database is away, or too much is waiting to be checked.
        """
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """An account that a directory has: disabled and expired ones too. `project_id` is the project whose robot it is, if any."""

    principal: Principal
    project_id: int | None = None


class Directory(Protocol):
    """Finds accounts of one kind by the name they log in with."""

    async def find(self, name: str) -> Listed | None:
        """The account, whether or not it may log in now; None when there is none.

        Raises:
            ServiceUnavailable: the database is away.
        """
        ...
