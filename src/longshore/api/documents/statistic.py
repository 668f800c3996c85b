# SPDX-License-Identifier: Apache-2.0
"""Statistics, as the contract shows them."""

from __future__ import annotations

from longshore.api.serialising import Shown
from longshore.search.models import Statistics


class Statistic(Shown, frozen=True, kw_only=True):
    """How much there is; the totals are 0 for everybody but administrators."""

    private_project_count: int
    private_repo_count: int
    public_project_count: int
    public_repo_count: int
    total_project_count: int
    total_repo_count: int
    total_storage_consumption: int


def shown_statistics(statistics: Statistics, *, whole: bool, stored_bytes: int) -> Statistic:
    """Statistics as the contract shows them: with the totals, if `whole`."""
    return Statistic(
        private_project_count=statistics.private_projects,
        private_repo_count=statistics.private_repositories,
        public_project_count=statistics.public_projects,
        public_repo_count=statistics.public_repositories,
        total_project_count=statistics.all_projects if whole else 0,
        total_repo_count=statistics.all_repositories if whole else 0,
        total_storage_consumption=stored_bytes if whole else 0,
    )
