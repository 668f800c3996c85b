# SPDX-License-Identifier: Apache-2.0
"""The question that every change of a tag asks under lock ①: may this name still change?

The answer comes from the rules of the project, which are a feature of their own; the registry only asks, and fails closed:
whatever the rules raise rolls the change back.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from longshore.database.connection import Connection
from longshore.registry.models import Repository


class ImmutableTags(Protocol):
    """Rules that make tags immutable."""

    async def among(self, connection: Connection, repository: Repository, names: Collection[str]) -> frozenset[str]:
        """Those of the names that may neither move nor go. Awaits nothing but the connection."""
        ...

    async def any_in(self, connection: Connection, repository: Repository) -> str | None:
        """One immutable tag of the repository, None when it has none."""
        ...


class NoImmutableTags:
    """Every tag may change."""

    async def among(self, connection: Connection, repository: Repository, names: Collection[str]) -> frozenset[str]:
        """None of them."""
        del connection, repository, names
        return frozenset()

    async def any_in(self, connection: Connection, repository: Repository) -> str | None:
        """None."""
        del connection, repository
        return None
