# SPDX-License-Identifier: Apache-2.0
"""Repositories, as the contract shows and takes them."""

from __future__ import annotations

import msgspec

from longshore.api.serialising import Read, Shown, Time, moment
from longshore.artifacts.models import ListedRepository


class Repository(Shown, frozen=True, kw_only=True):
    """A repository; its name is always the whole one."""

    id: int = 0
    project_id: int = 0
    name: str = ""
    description: str = ""
    artifact_count: int
    pull_count: int
    creation_time: Time | msgspec.UnsetType = msgspec.UNSET
    update_time: Time


class RepositoryReq(Read, frozen=True, kw_only=True):
    """A repository as it is sent: only its description can be changed."""

    description: str | None = None


def shown_repository(repository: ListedRepository) -> Repository:
    """A repository as the contract shows it."""
    return Repository(
        id=repository.id,
        project_id=repository.project_id,
        name=repository.name,
        description=repository.description,
        artifact_count=repository.artifact_count,
        pull_count=repository.pull_count,
        creation_time=moment(repository.created_at),
        update_time=moment(repository.updated_at),
    )
