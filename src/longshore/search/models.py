# SPDX-License-Identifier: Apache-2.0
"""What searches and statistics tell, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Numbers of projects and repositories: public ones, the private ones that the reader sees, and all there are."""

    public_projects: int
    private_projects: int
    all_projects: int
    public_repositories: int
    private_repositories: int
    all_repositories: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRepository:
    """A repository that a search found; `name` begins with that of the project."""

    project_id: int
    project_name: str
    project_public: bool
    name: str
    pull_count: int
    artifact_count: int
