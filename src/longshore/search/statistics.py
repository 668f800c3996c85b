# SPDX-License-Identifier: Apache-2.0
"""How much there is: read from numbers that every change keeps true, never counted."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from longshore.database.connection import Connection, Database
from longshore.database.memory import Remembered
from longshore.database.statement import Statement
from longshore.projects.models import Visibility
from longshore.registry.totals import PROJECTS, PUBLIC_PROJECTS, PUBLIC_REPOSITORIES, REPOSITORIES
from longshore.search.models import Statistics

_NAMES = ", ".join(f"'{name}'" for name in (PROJECTS, PUBLIC_PROJECTS, REPOSITORIES, PUBLIC_REPOSITORIES))
_TOTALS = Statement(f"SELECT list, total FROM list_totals WHERE scope_id = 0 AND list IN ({_NAMES})")
_OWN = Statement(
    """
    SELECT count(*), coalesce(sum(s.repository_count), 0) FROM projects p JOIN project_usage s ON s.project_id = p.id
    WHERE p.id = ANY(:ids) AND p.deleted_at IS NULL AND NOT p.public
    """
)
# One number of each project: a total of all would make every push wait for every other one.
_STORED = Statement("SELECT coalesce(sum(stored_bytes), 0) FROM project_usage")
_FRESH_SECONDS: Final = 10.0
_STALE_SECONDS: Final = 60.0


class StatisticQueries:
    """Reads statistics.

    Args:
        database: Where they are.
        clock: Seconds, monotonic: what all projects store together is summed at most every ten seconds.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._stored: Remembered[str, int] = Remembered(
            self._load_stored, fresh_seconds=_FRESH_SECONDS, stale_seconds=_STALE_SECONDS, limit=1, clock=clock
        )

    async def statistics(self, visibility: Visibility) -> Statistics:
        """The numbers for a reader who sees these projects."""

        async def read(connection: Connection) -> Statistics:
            totals = {row[0]: row[1] for row in await connection.all(_TOTALS)}
            projects, public_projects = totals.get(PROJECTS, 0), totals.get(PUBLIC_PROJECTS, 0)
            repositories, public_repositories = totals.get(REPOSITORIES, 0), totals.get(PUBLIC_REPOSITORIES, 0)
            private_projects, private_repositories = projects - public_projects, repositories - public_repositories
            if not visibility.everything:
                (own,) = await connection.all(_OWN, ids=sorted(visibility.project_ids))
                private_projects, private_repositories = int(own[0]), int(own[1])
            return Statistics(
                public_projects=public_projects,
                private_projects=private_projects,
                all_projects=projects,
                public_repositories=public_repositories,
                private_repositories=private_repositories,
                all_repositories=repositories,
            )

        return await self._database.read(read)

    async def stored_bytes(self) -> int:
        """What all projects store together, their trash included, at most ten seconds ago.

        What two projects have counts twice.
        """
        return await self._stored.get("") or 0

    async def _load_stored(self, _key: str) -> int:
        return int(await self._database.read(lambda connection: connection.value(_STORED)))
