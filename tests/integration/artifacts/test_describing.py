# SPDX-License-Identifier: Apache-2.0
"""Artifacts are described when they are pushed, or soon after by the background step; what both write is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from longshore.artifacts.backlog import DescribeArtifacts
from longshore.artifacts.contents import Contents
from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from longshore.oci.manifest import Manifest, parse_manifest
from longshore.registry.reclaim import Reclaim
from tests.builders import World

HELM = "application/vnd.cncf.helm.config.v1+json"


def backlog(world: World) -> DescribeArtifacts:
    return DescribeArtifacts(world.database, Contents(world.database, world.store, world.blobs))


async def artifact(
    world: World, project: int, config_type: str, config: bytes, *layers: bytes, tags: tuple[str, ...] = (), **more: Any
) -> Digest:
    """Pushes an artifact with a config of its own."""
    for blob in (config, *layers):
        await world.upload(project, blob)
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": {"mediaType": config_type, "digest": str(Digest.of(config)), "size": len(config)},
        "layers": [{"mediaType": "a/b", "digest": str(Digest.of(layer)), "size": len(layer)} for layer in layers],
        **more,
    }
    return await world.push(project, document, tags=tags)


async def described(world: World, digest: Digest) -> tuple[str, str, Any, bool, bool]:
    """Type, media type and attributes; whether it is described, and whether it waits for that."""
    rows = await world.rows(
        "SELECT a.type, a.config_media_type, a.extra_attributes, a.described_at IS NOT NULL, a.describe_after IS NOT NULL"
        " FROM artifacts a JOIN manifests m ON m.id = a.manifest_id WHERE m.digest = :digest",
        digest=str(digest),
    )
    row = rows[0]
    return row[0], row[1], json.loads(row[2]), bool(row[3]), bool(row[4])


@pytest.mark.parametrize("describes", [True, False], ids=["at its push", "later"])
async def test_an_artifact_is_described_from_its_config(world: World, describes: bool) -> None:
    """A chart's fields are there after the push, and where its config couldn't be read, after the step."""
    world.describes = describes
    project = await world.project()
    chart = {"name": "app", "version": "1.2.3"}
    digest = await artifact(world, project, HELM, json.dumps(chart).encode(), b"chart", tags=("1.2.3",))
    if not describes:
        assert await described(world, digest) == ("CHART", HELM, {}, False, True)
        step = backlog(world)
        assert await step.depth() == 1
        assert (await step.run(10)).handled == 1
        assert await step.depth() == 0
    assert await described(world, digest) == ("CHART", HELM, chart, True, False)


@pytest.mark.parametrize("describes", [True, False], ids=["at its push", "later"])
async def test_a_bundle_shows_the_config_of_the_manifest_that_its_index_marks(world: World, describes: bool) -> None:
    """CNAB: the bundle file is the config of a child."""
    world.describes = describes
    project = await world.project()
    bundle = {"name": "app", "schemaVersion": "v1.0.0"}
    config = await artifact(world, project, "application/vnd.cnab.config.v1+json", json.dumps(bundle).encode())
    entry = {"mediaType": mediatypes.OCI_MANIFEST, "digest": str(config), "size": 2}
    index = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_INDEX,
        "annotations": {"org.opencontainers.artifactType": "application/vnd.cnab.manifest.v1"},
        "manifests": [{**entry, "annotations": {"io.cnab.manifest.type": "config"}}],
    }
    digest = await world.push(project, index, tags=["1"])
    await backlog(world).run(10)
    assert await described(world, digest) == ("CNAB", "application/vnd.cnab.manifest.v1", bundle, True, False)


async def test_a_config_that_is_not_there_yet_is_looked_for_again_once_a_day(world: World) -> None:
    """In a proxy's project a manifest may come long before its config."""
    project = await world.project(sparse="any")
    config = json.dumps({"name": "app"}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": {"mediaType": HELM, "digest": str(Digest.of(config)), "size": len(config)},
        "layers": [],
    }
    digest = await world.push(project, document, tags=["1"])
    step = backlog(world)
    await step.run(10)
    assert await step.depth() == 0
    assert await described(world, digest) == ("CHART", HELM, {}, False, True)
    await world.upload(project, config)
    await Reclaim(world.database, world.store, world.periods).run_once()
    await world.sql("UPDATE repository_blobs SET lease_until = 1 WHERE lease_until IS NOT NULL")
    await Reclaim(world.database, world.store, world.periods).run_once()
    await world.sql("UPDATE artifacts SET describe_after = 1")
    await step.run(10)
    assert await described(world, digest) == ("CHART", HELM, {"name": "app"}, True, False)


async def test_bytes_that_are_gone_delay_the_description_and_not_the_push(world: World) -> None:
    """The push goes through; the step tries again later and stops nobody."""
    project = await world.project()
    config = json.dumps({"name": "app"}).encode()
    await world.upload(project, config)
    await world.sql("UPDATE blobs SET damaged = true")
    world.describes = False
    facts = await world.describer.facts(project, "app", _chart(config), ())
    assert not facts.complete
    await world.sql("UPDATE blobs SET damaged = false")
    digest = await artifact(world, project, HELM, config, tags=("1",))
    await world.sql("UPDATE blobs SET damaged = true")
    step = backlog(world)
    with pytest.raises(Exception, match="damaged"):
        await step.settle((await step.due(1))[0])
    await world.sql("UPDATE blobs SET damaged = false")
    assert await described(world, digest) == ("CHART", HELM, {}, False, True)


async def test_what_turns_out_to_be_an_accessory_leaves_the_lists(world: World) -> None:
    """A row that was made without knowing is put right, and so are the numbers and the sizes of indexes."""
    world.describes = False
    project = await world.project()
    image = await world.image(project, world.layer(1000))
    index = await world.index(project, image, tags=["latest"])
    await artifact(
        world,
        project,
        mediatypes.OCI_CONFIG,
        b'{"os":"linux"}',
        tags=("nydus",),
        annotations={"io.goharbor.artifact.v1alpha1.acceleration.source.digest": str(image)},
    )
    size = await world.value(
        "SELECT a.size FROM artifacts a JOIN manifests m ON m.id = a.manifest_id WHERE m.digest = :digest",
        digest=str(index),
    )
    await world.sql(
        "UPDATE artifacts SET accessory_type = NULL, type = 'UNKNOWN', size = 1, described_at = NULL, describe_after = 0,"
        " listed = listed OR accessory_type IS NOT NULL"
    )
    await world.sql("UPDATE repositories SET artifact_count = 2")
    await world.sql("UPDATE project_usage SET artifact_count = 2")
    step = backlog(world)
    await step.run(10)
    assert await world.value("SELECT artifact_count FROM repositories") == 1
    assert size == await world.value(
        "SELECT a.size FROM artifacts a JOIN manifests m ON m.id = a.manifest_id WHERE m.digest = :digest",
        digest=str(index),
    )


def _chart(config: bytes) -> Manifest:
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": {"mediaType": HELM, "digest": str(Digest.of(config)), "size": len(config)},
        "layers": [],
    }
    return parse_manifest(json.dumps(document).encode(), None)
