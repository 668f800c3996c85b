# SPDX-License-Identifier: Apache-2.0
"""What a search finds, as the contract shows it."""

from __future__ import annotations

from longshore.api.documents.project import Project
from longshore.api.serialising import Shown
from longshore.search.models import FoundRepository


class SearchRepository(Shown, frozen=True, kw_only=True):
    """A repository that was found."""

    project_id: int = 0
    project_name: str = ""
    project_public: bool = False
    repository_name: str = ""
    pull_count: int = 0
    artifact_count: int = 0


class Search(Shown, frozen=True, kw_only=True):
    """What was found: both lists are there also when they are empty."""

    project: tuple[Project, ...]
    repository: tuple[SearchRepository, ...]


def shown_repository(found: FoundRepository) -> SearchRepository:
    """A repository as a search shows it."""
    return SearchRepository(
        project_id=found.project_id,
        project_name=found.project_name,
        project_public=found.project_public,
        repository_name=found.name,
        pull_count=found.pull_count,
        artifact_count=found.artifact_count,
    )
