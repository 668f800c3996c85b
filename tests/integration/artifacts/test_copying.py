# SPDX-License-Identifier: Apache-2.0
"""Copies: no byte moves, everything that belongs to an artifact comes along, and nobody sees a part of it."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from longshore.artifacts.copying import Copying, Place
from longshore.database.connection import Connection
from longshore.oci.digest import Digest
from longshore.oci.errors import ManifestUnknown, NameUnknown, Unsupported
from longshore.oci.names import TagName
from longshore.registry.errors import Held, QuotaExceeded
from longshore.registry.immutability import NoImmutableTags
from longshore.registry.models import Repository
from tests.builders import World


class Immutable(NoImmutableTags):
    """Every tag is immutable."""

    async def among(self, connection: Connection, repository: Repository, names: Collection[str]) -> frozenset[str]:
        del connection, repository
        return frozenset(names)


def copying(world: World, immutable: NoImmutableTags | None = None) -> Copying:
    return Copying(world.database, world.manifests, world.blobs, immutable)


async def names_in(world: World, path: str) -> dict[str, str]:
    """What the tags of a repository point to."""
    rows = await world.rows(
        "SELECT t.name, m.digest FROM tags t JOIN manifests m ON m.id = t.manifest_id JOIN repositories r"
        " ON r.id = t.repository_id WHERE r.name = :path",
        path=path,
    )
    return {row[0]: row[1] for row in rows}


async def digests_in(world: World, path: str, *, listed: bool) -> set[str]:
    rows = await world.rows(
        "SELECT m.digest FROM artifacts a JOIN manifests m ON m.id = a.manifest_id JOIN repositories r"
        " ON r.id = a.repository_id WHERE r.name = :path AND (a.listed OR NOT CAST(:listed AS BOOLEAN))",
        path=path,
        listed=listed,
    )
    return {row[0] for row in rows}


async def test_an_index_comes_with_children_accessories_and_all_its_tags(world: World) -> None:
    """Named by one tag it brings them all; accessories of children and of accessories too; no byte is stored again."""
    here, there = await world.project("here"), await world.project("there")
    one, two = await world.image(here, world.layer()), await world.image(here, world.layer(), tags=["two"])
    index = await world.index(here, one, two, tags=["1", "latest"])
    about = await world.image(here, world.layer(), subject=one)
    signed = await world.image(here, world.layer(), subject=about)
    bundle = await world.index(here, await world.image(here, world.layer()), subject=index)
    await world.image(here, world.layer(), tags=["other"])
    blobs = await world.value("SELECT count(*) FROM blobs")
    target = Place(there, "there", "team/app")
    digest = await copying(world).copy(Place(here, "here", "app"), TagName.parse("1"), target, actor="test")
    assert digest == index
    assert await names_in(world, "team/app") == {"1": str(index), "latest": str(index)}
    assert await digests_in(world, "team/app", listed=True) == {str(index)}
    found = await digests_in(world, "team/app", listed=False)
    assert found == await digests_in(world, "app", listed=False) - {(await names_in(world, "app"))["other"]}
    assert {str(about), str(signed), str(bundle)} < found
    assert await world.value("SELECT count(*) FROM blobs") == blobs
    columns = "a.type, a.size, a.accessory_type, a.subject_digest, a.additions, a.extra_attributes"
    rows = await world.rows(
        f"SELECT m.digest, {columns} FROM artifacts a JOIN manifests m ON m.id = a.manifest_id"
        " JOIN repositories r ON r.id = a.repository_id WHERE r.name = 'team/app'"
    )
    for row in rows:
        original = await world.rows(
            f"SELECT m.digest, {columns} FROM artifacts a JOIN manifests m ON m.id = a.manifest_id"
            " JOIN repositories r ON r.id = a.repository_id WHERE r.name = 'app' AND m.digest = :digest",
            digest=row[0],
        )
        assert [row[number] for number in range(7)] == [original[0][number] for number in range(7)]


async def test_nobody_sees_a_part_of_a_copy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that stops before its last step has put nothing into any list, and is simply asked for again."""
    here, there = await world.project("here"), await world.project("there")
    child = await world.image(here, world.layer())
    index = await world.index(here, child, tags=["1"])
    await world.image(here, world.layer(), subject=index)
    source, target = Place(here, "here", "app"), Place(there, "there", "app")
    with monkeypatch.context() as patch:

        async def stop(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(Copying, "_refuse_immutable", stop)
        with pytest.raises(KeyboardInterrupt):
            await copying(world).copy(source, index, target, actor="test")
    assert await world.value("SELECT artifact_count FROM project_usage WHERE project_id = :id", id=there) == 0
    await copying(world).copy(source, index, target, actor="test")
    assert await world.value("SELECT artifact_count FROM project_usage WHERE project_id = :id", id=there) == 1


async def test_a_copy_again_or_onto_itself_changes_nothing(world: World) -> None:
    """Also the tags of the target that the source doesn't have stay."""
    here = await world.project("here")
    image = await world.image(here, world.layer(), tags=["1"])
    source, target = Place(here, "here", "app"), Place(here, "here", "copy")
    await copying(world).copy(source, image, target, actor="test")
    before = await world.usage(here)
    for place in (target, source):
        assert await copying(world).copy(source, image, place, actor="test") == image
    assert await world.usage(here) == before
    assert await names_in(world, "copy") == {"1": str(image)}
    assert await names_in(world, "app") == {"1": str(image)}


async def test_what_may_not_be_copied(world: World) -> None:
    """A source that isn't there, a proxy as target, an immutable tag that would move, a full project."""
    here, there = await world.project("here"), await world.project("there")
    image = await world.image(here, world.layer(3000), tags=["1"])
    source, target = Place(here, "here", "app"), Place(there, "there", "target")
    with pytest.raises(ManifestUnknown):
        await copying(world).copy(source, TagName.parse("nothing"), target, actor="test")
    with pytest.raises(ManifestUnknown):
        await copying(world).copy(source, Digest.of(b"nothing"), target, actor="test")
    with pytest.raises(NameUnknown):
        await copying(world).copy(Place(here, "here", "nothing"), image, target, actor="test")
    proxy = await world.project("proxy", sparse="any")
    with pytest.raises(Unsupported):
        await copying(world).copy(source, image, Place(proxy, "proxy", "app"), actor="test")
    full = await world.project("full", quota_bytes=1000)
    with pytest.raises(QuotaExceeded):
        await copying(world).copy(source, image, Place(full, "full", "app"), actor="test")
    other = await world.image(there, world.layer(), path="target", tags=["1"])
    with pytest.raises(Held, match="the tag 1 configured as immutable, cannot be updated"):
        await copying(world, Immutable()).copy(source, image, target, actor="test")
    assert await names_in(world, "target") == {"1": str(other)}
    assert await digests_in(world, "target", listed=False) == {str(other)}
