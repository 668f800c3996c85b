# SPDX-License-Identifier: Apache-2.0
"""A repository's row that goes because nothing is in it, at the moment when something comes."""

from __future__ import annotations

from dataclasses import replace

from structlog.testing import capture_logs

from longshore.oci.digest import Digest
from longshore.registry.blobs import MountSource
from longshore.registry.expiry import EmptyRepositories
from longshore.registry.repository_deletion import RepositoryDeletion
from longshore.registry.repository_purge import RepositoryPurge
from tests.builders import World
from tests.interleaving import Interleaved


async def _empty_repository(world: World, project_id: int) -> None:
    """A row of a repository that an upload made and left."""
    upload = await world.uploads.start(project_id, "app")
    await world.uploads.cancel(project_id, "app", upload.id)
    await world.sql("UPDATE repositories SET created_at = 1 WHERE name = 'app'")


async def test_empty_repository_goes_while_an_upload_starts(world: World) -> None:
    """The upload starts in the repository, old or made anew; it never fails for the row's sake."""
    project_id = await world.project()
    await _empty_repository(world, project_id)
    sweep = EmptyRepositories(world.database)
    interleaved = Interleaved(world.database, "INSERT INTO upload_sessions", lambda: sweep.run(10))
    upload = await replace(world, database=interleaved).uploads.start(project_id, "app")
    await interleaved.outcome()
    assert (await world.uploads.status(project_id, "app", upload.id)).received == 0


async def test_empty_repository_goes_while_a_blob_is_mounted(world: World) -> None:
    """The mount succeeds, in the repository as it was or in a new one of its name."""
    project_id = await world.project()
    layer = world.layer()
    await world.upload(project_id, layer, "source")
    await _empty_repository(world, project_id)
    sweep = EmptyRepositories(world.database)
    interleaved = Interleaved(world.database, "INSERT INTO project_blobs", lambda: sweep.run(10))
    source = MountSource(project_id, "source", "demo")
    assert await replace(world, database=interleaved).blobs.mount(project_id, "app", Digest.of(layer), source)
    await interleaved.outcome()
    assert (await world.blobs.find(project_id, "app", Digest.of(layer))).size == len(layer)


async def test_upload_starts_while_its_empty_repository_goes(world: World) -> None:
    """The row that something has come into stays, and nobody is alarmed."""
    project_id = await world.project()
    await _empty_repository(world, project_id)
    interleaved = Interleaved(
        world.database, "DELETE FROM repositories", lambda: world.uploads.start(project_id, "app")
    )
    await EmptyRepositories(interleaved).run(10)
    upload = await interleaved.outcome()
    assert (await world.uploads.status(project_id, "app", upload.id)).received == 0


async def test_empty_repository_waits_for_an_upload_that_starts(world: World) -> None:
    """A removal that meets an upload before its commit finds the row in use: the row stays, and nobody is alarmed."""
    project_id = await world.project()
    await _empty_repository(world, project_id)
    sweep = EmptyRepositories(world.database)
    interleaved = Interleaved(world.database, "INSERT INTO upload_keys", lambda: sweep.run(10))
    with capture_logs() as logs:
        upload = await replace(world, database=interleaved).uploads.start(project_id, "app")
        await interleaved.outcome()
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
    assert (await world.uploads.status(project_id, "app", upload.id)).received == 0


async def test_deleted_repository_waits_for_an_upload_that_starts(world: World) -> None:
    """A purge without undelete window that meets an upload before its commit leaves the row, and nobody is alarmed."""
    project_id = await world.project(undelete_window=0)
    await _empty_repository(world, project_id)
    deletion = RepositoryDeletion(world.database, world.periods)

    async def delete_and_purge() -> None:
        await deletion.delete(project_id, "app", actor="alice", reason="test")
        await world.sql("UPDATE repositories SET purge_after = 1 WHERE purge_after IS NOT NULL")
        await RepositoryPurge(world.database).run(10)

    interleaved = Interleaved(world.database, "INSERT INTO upload_keys", delete_and_purge)
    with capture_logs() as logs:
        await replace(world, database=interleaved).uploads.start(project_id, "app")
        await interleaved.outcome()
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
