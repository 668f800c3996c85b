# SPDX-License-Identifier: Apache-2.0
"""What people do to names over the API: tags that are made, kept or refused, and descriptions."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pytest

from longshore.database.connection import Connection
from longshore.oci.digest import Digest
from longshore.oci.errors import BadRequest, Conflict, ManifestUnknown, NameUnknown, Unsupported
from longshore.oci.names import TagName
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.descriptions import LONGEST, Descriptions
from longshore.registry.errors import Held, PartOfIndex
from longshore.registry.immutability import NoImmutableTags
from longshore.registry.models import Repository
from longshore.registry.tags import Tags
from tests.builders import World

ONE = TagName.parse("1")


class Immutable(NoImmutableTags):
    """Every tag is immutable."""

    async def among(self, connection: Connection, repository: Repository, names: Collection[str]) -> frozenset[str]:
        del connection, repository
        return frozenset(names)


async def told(world: World, kind: str) -> list[Any]:
    return [
        json.loads(row[0])
        for row in await world.rows("SELECT payload FROM events WHERE kind = :kind ORDER BY id", kind=kind)
    ]


async def test_a_tag_is_made_on_any_artifact(world: World) -> None:
    """Also on a child, which is listed from then on; the event tells it."""
    project = await world.project()
    child = await world.image(project, world.layer())
    await world.index(project, child, tags=["latest"])
    tags = Tags(world.database, world.periods)
    await tags.create(project, "app", ONE, child, actor="ada")
    assert await world.value("SELECT artifact_count FROM repositories") == 2
    made = (await told(world, "tag.created"))[0]
    assert (made["repository"], made["tag"], made["digest"], made["actor"]) == ("app", "1", str(child), "ada")


async def test_a_tag_that_is_there_is_not_made_again(world: World) -> None:
    """On whichever artifact; nor on one that isn't there, nor in a proxy's project."""
    project = await world.project()
    image = await world.image(project, world.layer(), tags=["1"])
    other = await world.image(project, world.layer())
    tags = Tags(world.database, world.periods)
    for digest in (image, other):
        with pytest.raises(Conflict):
            await tags.create(project, "app", ONE, digest, actor="ada")
    with pytest.raises(ManifestUnknown):
        await tags.create(project, "app", TagName.parse("2"), Digest.of(b"nothing"), actor="ada")
    with pytest.raises(NameUnknown):
        await tags.create(project, "nothing", TagName.parse("2"), image, actor="ada")
    await world.sql("UPDATE projects SET sparse = 'any'")
    with pytest.raises(Unsupported):
        await tags.create(project, "app", TagName.parse("2"), image, actor="ada")
    assert await told(world, "tag.created") == []


async def test_an_immutable_tag_stays(world: World) -> None:
    """In Harbor's words, for the tag and for its artifact."""
    project = await world.project()
    image = await world.image(project, world.layer(), tags=["1"])
    words = "the tag 1 configured as immutable, cannot be deleted"
    with pytest.raises(Held, match=words):
        await Tags(world.database, world.periods, Immutable()).delete(project, "app", ONE, actor="a", reason="b")
    deletion = ManifestDeletion(world.database, world.periods, Immutable())
    with pytest.raises(Held, match=words):
        await deletion.delete(project, "app", image, actor="a", reason="b")


async def test_what_a_live_index_contains_is_not_deleted(world: World) -> None:
    """With a code of its own, spelled as Harbor does."""
    project = await world.project()
    child = await world.image(project, world.layer())
    await world.index(project, child)
    with pytest.raises(PartOfIndex) as refused:
        await ManifestDeletion(world.database, world.periods).delete(project, "app", child, actor="a", reason="b")
    assert (refused.value.code, refused.value.status) == ("VIOLATE_FOREIGN_KEY_CONSTRAINT", 412)


async def test_a_repository_is_described(world: World) -> None:
    """Its time moves and an event tells it, once for each change."""
    project = await world.project()
    await world.image(project, world.layer())
    await world.sql("UPDATE repositories SET updated_at = 7")
    descriptions = Descriptions(world.database)
    for _ in range(2):
        await descriptions.write(project, "app", "# Über uns", actor="ada")
    assert await world.value("SELECT description FROM repositories") == "# Über uns"
    assert await world.value("SELECT updated_at FROM repositories") > 7
    assert len(await told(world, "repository.updated")) == 1
    for text in ("x" * (LONGEST + 1), "a\0b"):
        with pytest.raises(BadRequest, match="description"):
            await descriptions.write(project, "app", text, actor="ada")
    with pytest.raises(NameUnknown):
        await descriptions.write(project, "nothing", "text", actor="ada")
