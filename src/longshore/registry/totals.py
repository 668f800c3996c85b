# SPDX-License-Identifier: Apache-2.0
"""How many projects and repositories there are, and how many of them anybody sees: kept true by every change.

The rows are locked last, after the project's row of the ledger, and in the order of the names below.
"""

from __future__ import annotations

from typing import Final

from longshore.database.connection import Transaction
from longshore.database.statement import Statement
from longshore.listing.totals import EVERYWHERE, change_total

PROJECTS: Final = "projects"
PUBLIC_PROJECTS: Final = "projects.public"
REPOSITORIES: Final = "repositories"
PUBLIC_REPOSITORIES: Final = "repositories.public"

OF_PROJECTS: Final = (
    *(f"members.{role}" for role in ("project_admin", "maintainer", "developer", "guest", "limited_guest")),
    "labels",
    "robots",
)
"""Lists that each project has, and that go with it."""

_FORGET = Statement("DELETE FROM list_totals WHERE list = ANY(:lists) AND scope_id = :project_id")
_PUBLIC = Statement("SELECT public FROM projects WHERE id = :project_id")
# Locked, so that no repository is counted while its project changes sides.
_REPOSITORIES_OF = Statement(
    "SELECT repository_count FROM project_usage WHERE project_id = :project_id FOR NO KEY UPDATE"
)


async def count_project(transaction: Transaction, project_id: int, change: int) -> None:
    """The project came (1) or went (-1); its repositories are counted apart."""
    public = await transaction.value(_PUBLIC, project_id=project_id)
    await change_total(transaction, PROJECTS, EVERYWHERE, change)
    if public:
        await change_total(transaction, PUBLIC_PROJECTS, EVERYWHERE, change)


async def count_repositories(transaction: Transaction, project_id: int, change: int) -> None:
    """So many repositories of the project more; its row of the ledger is locked already."""
    public = await transaction.value(_PUBLIC, project_id=project_id)
    await change_total(transaction, REPOSITORIES, EVERYWHERE, change)
    if public:
        await change_total(transaction, PUBLIC_REPOSITORIES, EVERYWHERE, change)


async def count_publicity(transaction: Transaction, project_id: int, *, public: bool) -> None:
    """The project was private and is public now, or the other way round."""
    repositories: int = await transaction.value(_REPOSITORIES_OF, project_id=project_id) or 0
    sign = 1 if public else -1
    await change_total(transaction, PUBLIC_PROJECTS, EVERYWHERE, sign)
    await change_total(transaction, PUBLIC_REPOSITORIES, EVERYWHERE, sign * repositories)


async def forget_project(transaction: Transaction, project_id: int) -> None:
    """The project's row is gone, and its lists with it."""
    await transaction.execute(_FORGET, lists=OF_PROJECTS, project_id=project_id)
