# SPDX-License-Identifier: Apache-2.0
"""How long things wait in one project: its own settings, and the registry's where it has none."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.database.connection import Connection
from longshore.database.statement import Statement
from longshore.oci.errors import NameUnknown
from longshore.registry.periods import Periods

_RULES = Statement("SELECT undelete_window, untagged_ttl FROM projects WHERE id = :project_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPeriods:
    """Waiting times of a project, in microseconds.

    Attributes:
        window: how long what is deleted can be restored.
        untagged_ttl: how long a manifest stays that nothing refers to; None keeps it.
        review_delay: when a manifest is looked at that has lost a reference; None: never by itself.
    """

    window: int
    untagged_ttl: int | None
    review_delay: int | None


async def project_periods(connection: Connection, project_id: int, periods: Periods) -> ProjectPeriods:
    """The waiting times of the project.

    Raises:
        NameUnknown: the project's row is gone.
    """
    row = await connection.one(_RULES, project_id=project_id)
    if row is None:
        raise NameUnknown("The project is gone. Ask who administers it.")
    window: int | None = row[0]
    ttl: int | None = row[1]
    return ProjectPeriods(
        window=periods.window if window is None else window,
        untagged_ttl=ttl,
        review_delay=None if ttl is None else max(ttl, periods.grace),
    )
