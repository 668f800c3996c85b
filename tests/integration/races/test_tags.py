# SPDX-License-Identifier: Apache-2.0
"""Races of those who decide about a tag with those who move it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from longshore.oci.errors import ManifestUnknown, PreconditionFailed
from longshore.oci.names import TagName
from longshore.registry.tags import Tags
from tests.builders import World
from tests.interleaving import Interleaved

_TAG = TagName.parse("latest")
_RETENTION = {"actor": "retention", "reason": "older than 7 days"}


async def test_tag_moved_during_retention(world: World) -> None:
    """What was decided about the digest that a tag had is not done to the one that it has by now."""
    project_id = await world.project()
    seen = await world.image(project_id, world.layer(), tags=["latest"])
    moved = await world.image(project_id, world.layer(), tags=["latest"])
    tags = Tags(world.database, world.periods)
    with pytest.raises(PreconditionFailed, match=str(moved)):
        await tags.delete(project_id, "app", _TAG, expected=seen, **_RETENTION)
    assert (await world.manifests.find(project_id, "app", _TAG)).digest == str(moved)
    await tags.delete(project_id, "app", _TAG, expected=moved, **_RETENTION)
    with pytest.raises(ManifestUnknown):
        await world.manifests.find(project_id, "app", _TAG)
    assert await world.live() == {str(seen), str(moved)}


async def test_tag_moved_during_retention_at_its_last_moment(world: World) -> None:
    """A push and the removal of one tag come one after the other: whichever is last, no push is lost."""
    project_id = await world.project()
    seen = await world.image(project_id, world.layer(), tags=["latest"])
    layer = world.layer()
    await world.upload(project_id, layer)

    async def push() -> str:
        return str(await world.image(project_id, layer, tags=["latest"], upload=False))

    interleaved = Interleaved(world.database, "DELETE FROM tags", push)
    refused = False
    try:
        await Tags(replace(world, database=interleaved).database, world.periods).delete(
            project_id, "app", _TAG, expected=seen, **_RETENTION
        )
    except PreconditionFailed:
        refused = True
    moved = await interleaved.outcome()
    assert (await world.manifests.find(project_id, "app", _TAG)).digest == moved
    history = [row[0] for row in await world.rows("SELECT action FROM tag_journal ORDER BY id")]
    assert history == (["created", "moved"] if refused else ["created", "deleted", "created"])
