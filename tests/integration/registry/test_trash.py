# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.oci.errors import NotFound
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.project_deletion import ProjectDeletion
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.trashed import Trash, TrashKind
from tests.builders import World


async def test_each_kind_of_deletion_is_listed_and_undone_by_its_id(world: World) -> None:
    """The trash has one entry for each deletion, the newest first, and its id brings back exactly that."""
    project_id = await world.project()
    first = await world.image(project_id, world.layer(), tags=["one"])
    await world.image(project_id, world.layer(), tags=["two"])
    everything = await world.live()
    trash = Trash(world.database, world.periods)
    assert await trash.entries() == []
    by = {"actor": "alice", "reason": "test"}
    await ManifestDeletion(world.database, world.periods).delete(project_id, "app", first, **by)
    [entry] = await trash.entries()
    assert (entry.kind, entry.digest, entry.members) == (TrashKind.MANIFEST, str(first), 1)
    assert "1 manifest and 1 tag in app" in await trash.restore(entry.deletion_id, actor="alice")
    assert await trash.entries() == []
    await RepositoryDeletion(world.database, world.periods).delete(project_id, "app", **by)
    [entry] = await trash.entries()
    assert entry.kind is TrashKind.REPOSITORY
    assert "app" in await trash.restore(entry.deletion_id, actor="alice")
    await ProjectDeletion(world.database, world.periods).delete(project_id, **by)
    [entry] = await trash.entries()
    assert entry.kind is TrashKind.PROJECT
    assert "1 repository" in await trash.restore(entry.deletion_id, actor="alice")
    assert await world.live() == everything
    with pytest.raises(NotFound):
        await trash.restore(entry.deletion_id, actor="alice")
