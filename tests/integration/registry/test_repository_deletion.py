# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUnknown, Conflict, NameUnknown, NotFound
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.errors import Held, QuotaExceeded
from longshore.registry.project_deletion import ProjectDeletion
from longshore.registry.reclaim import Reclaim
from longshore.registry.repository_deletion import RepositoryDeletion
from tests.builders import World
from tests.integrity import assert_integrity, assert_nothing_left

ALICE = {"actor": "alice", "reason": "test"}


async def _drain(world: World) -> None:
    reclaim = Reclaim(world.database, world.store, world.periods)
    for _ in range(50):
        await world.later()
        if not (await reclaim.run_once()).handled:
            return
    raise AssertionError("reclaim never comes to an end")


async def test_a_repository_is_gone_at_once_and_comes_back_whole(world: World) -> None:
    """Deleting gives the quota back and frees the name; restoring brings tags, blobs and the quota back."""
    project_id = await world.project()
    shared, own = world.layer(), world.layer()
    image = await world.image(project_id, own, shared, tags=["v1"])
    await world.image(project_id, shared, path="other", tags=["v1"])
    before = await world.usage(project_id)
    await world.uploads.start(project_id, "app")
    deletion = RepositoryDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, "app", **ALICE)
    with pytest.raises(BlobUnknown):
        await world.blobs.find(project_id, "app", Digest.of(own))
    used, stored = await world.usage(project_id)
    assert stored == before[1]
    assert used < before[0] - len(own)
    assert await world.value("SELECT count(*) FROM upload_sessions WHERE state <> 'done'") == 0
    assert await world.value("SELECT repository_count FROM project_usage") == 1
    await assert_integrity(world.database, world.store)
    with pytest.raises(NameUnknown):
        await deletion.delete(project_id, "app", **ALICE)
    restored = await deletion.restore(project_id, deleted.id, actor="bob")
    assert restored.path == "app"
    assert await world.usage(project_id) == before
    assert str(image) in await world.live()
    assert await world.value("SELECT count(*) FROM tags") == 2
    with pytest.raises(NotFound):
        await deletion.restore(project_id, deleted.id, actor="bob")


async def test_what_must_stay_keeps_its_repository_and_project(world: World) -> None:
    """A manifest on hold refuses the deletion of the repository and of the project around it."""
    project_id = await world.project()
    await world.image(project_id, world.layer(), tags=["v1"])
    await world.sql("UPDATE manifests SET hold = true")
    with pytest.raises(Held, match="hold"):
        await RepositoryDeletion(world.database, world.periods).delete(project_id, "app", **ALICE)
    with pytest.raises(Held, match="hold"):
        await ProjectDeletion(world.database, world.periods).delete(project_id, **ALICE)
    assert len(await world.live()) == 1


async def test_a_name_in_use_again_is_not_taken_away(world: World) -> None:
    """A deleted repository does not come back while another one has its name."""
    project_id = await world.project()
    await world.image(project_id, world.layer(), tags=["v1"])
    deletion = RepositoryDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, "app", **ALICE)
    await world.image(project_id, world.layer(), tags=["v1"])
    with pytest.raises(Conflict):
        await deletion.restore(project_id, deleted.id, actor="bob")


async def test_what_does_not_fit_any_more_does_not_come_back(world: World) -> None:
    """Restoring meets the quota like a push does."""
    project_id = await world.project()
    await world.image(project_id, world.layer(1000), tags=["v1"])
    deletion = RepositoryDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, "app", **ALICE)
    await world.sql("UPDATE projects SET quota_bytes = 1000")
    await world.sql("UPDATE repository_blobs SET lease_until = NULL")
    with pytest.raises(QuotaExceeded):
        await deletion.restore(project_id, deleted.id, actor="bob")
    assert await world.live() == set()


async def test_a_deleted_repository_is_given_back_to_the_last_byte(world: World) -> None:
    """Images, indexes, what was deleted before, and loose blobs of a deleted repository all go, and its row goes last."""
    project_id = await world.project()
    child = await world.image(project_id, world.layer())
    await world.index(project_id, child, tags=["v1", "v2"])
    gone = await world.image(project_id, world.layer(), tags=["old"])
    await ManifestDeletion(world.database, world.periods).delete(project_id, "app", gone, **ALICE)
    await world.upload(project_id, world.layer())
    deletion = RepositoryDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, "app", **ALICE)
    await _drain(world)
    await assert_nothing_left(world.database, world.store)
    assert await world.value("SELECT count(*) FROM repositories") == 0
    rows = await world.rows("SELECT name FROM tag_journal WHERE deletion_id = :id ORDER BY name", id=deleted.id)
    assert [row[0] for row in rows] == ["v1", "v2"]
    with pytest.raises(NotFound):
        await deletion.restore(project_id, deleted.id, actor="bob")


async def test_a_project_is_gone_at_once_and_comes_back_whole(world: World) -> None:
    """One deletion takes all repositories and brings them back; what was deleted before stays deleted."""
    project_id = await world.project()
    shared = world.layer()
    await world.image(project_id, shared, tags=["v1"])
    await world.image(project_id, shared, world.layer(), path="other", tags=["v1"])
    before_all = await world.usage(project_id)
    await world.image(project_id, world.layer(), path="gone", tags=["v1"])
    early = await RepositoryDeletion(world.database, world.periods).delete(project_id, "gone", **ALICE)
    before = await world.usage(project_id)
    await world.sql(
        "UPDATE repository_blobs SET lease_until = NULL WHERE lease_until IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM manifest_blobs mb WHERE mb.blob_id = repository_blobs.blob_id)"
    )
    deletion = ProjectDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, **ALICE)
    assert set(deleted.repositories) == {"app", "other"}
    assert await world.live() == set()
    assert await world.usage(project_id) == (0, before[1])
    with pytest.raises(NotFound):
        await deletion.delete(project_id, **ALICE)
    # Repositories that were deleted before can't come back into a deleted project.
    with pytest.raises(NotFound):
        await RepositoryDeletion(world.database, world.periods).restore(project_id, early.id, actor="bob")
    await assert_integrity(world.database, world.store)
    restored = await deletion.restore(deleted.id, actor="bob")
    assert set(restored.repositories) == {"app", "other"}
    assert restored.gone == ()
    assert await world.usage(project_id) == before
    assert before[0] == before_all[0]
    assert await world.value("SELECT access_version FROM projects") == 3


async def test_a_deleted_project_is_given_back_to_the_last_row(world: World) -> None:
    """After its window nothing of a project is left, and its name can be used meanwhile."""
    project_id = await world.project()
    await world.image(project_id, world.layer(), tags=["v1"])
    await world.image(project_id, world.layer(), path="other", tags=["v1"])
    deletion = ProjectDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, **ALICE)
    again = await world.project()
    with pytest.raises(Conflict):
        await deletion.restore(deleted.id, actor="bob")
    await _drain(world)
    await assert_nothing_left(world.database, world.store)
    assert [row[0] for row in await world.rows("SELECT id FROM projects")] == [again]


async def test_a_repository_that_is_being_purged_stays_behind(world: World) -> None:
    """A restored project reports the repositories whose purge has begun."""
    project_id = await world.project()
    await world.image(project_id, world.layer(), tags=["v1"])
    await world.image(project_id, world.layer(), path="other", tags=["v1"])
    deletion = ProjectDeletion(world.database, world.periods)
    deleted = await deletion.delete(project_id, **ALICE)
    await world.sql("UPDATE repositories SET purge_after = 1 WHERE name = 'other'")
    await Reclaim(world.database, world.store, world.periods).run_once()
    restored = await deletion.restore(deleted.id, actor="bob")
    assert (restored.repositories, restored.gone) == (("app",), ("other",))
