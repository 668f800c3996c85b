# SPDX-License-Identifier: Apache-2.0
"""Additions come from the artifact's own blobs."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest

from longshore.artifacts.additions import Additions
from longshore.artifacts.contents import Contents
from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from longshore.oci.errors import BadRequest, NotFound, Unprocessable
from tests.builders import World

CHART = "application/vnd.cncf.helm.config.v1+json"
CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
MODEL = "application/vnd.cncf.model.config.v1+json"
SBOM = "application/vnd.goharbor.harbor.sbom.v1"


def packed(mode: str, **files: bytes) -> bytes:
    """A tar archive of these files, in which `__` of a name stands for a slash and `_` for a dot."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]  # a mode of the test's choice
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "/").replace("_", "."))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


async def artifact(
    world: World, config: tuple[str, Any], *layers: tuple[str, bytes, dict[str, str]], **members: Any
) -> int:
    """Pushes an artifact; its id."""
    project = await world.value("SELECT id FROM projects") or await world.project()
    content = json.dumps(config[1]).encode()
    for blob in (content, *(layer[1] for layer in layers)):
        await world.upload(project, blob)
    document = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": {"mediaType": config[0], "digest": str(Digest.of(content)), "size": len(content)},
        "layers": [
            {"mediaType": kind, "digest": str(Digest.of(blob)), "size": len(blob), "annotations": annotations}
            for kind, blob, annotations in layers
        ],
        **members,
    }
    digest = await world.push(project, document)
    number: int = await world.value("SELECT id FROM manifests WHERE digest = :digest", digest=str(digest))
    return number


def additions(world: World) -> Additions:
    return Additions(world.database, Contents(world.database, world.store, world.blobs))


async def test_the_history_of_an_image_stands_in_its_config(world: World) -> None:
    """As the config has it; an image without one has an empty list."""
    history = [{"created": "2026-01-01T00:00:00Z", "created_by": "RUN make"}, {"empty_layer": True}]
    image = await artifact(world, (mediatypes.OCI_CONFIG, {"os": "linux", "history": history}))
    bare = await artifact(world, (mediatypes.DOCKER_CONFIG, {"os": "linux"}))
    found = await additions(world).read(image, "build_history")
    assert json.loads(found.content) == history
    assert found.content_type == "application/json; charset=utf-8"
    assert (await additions(world).read(bare, "build_history")).content == b"[]"


async def test_a_chart_has_values_readme_and_dependencies(world: World) -> None:
    """Its own, not those of the charts below it."""
    files = {
        "app__charts__db__values_yaml": b"wrong",
        "app__values_yaml": b"replicas: 1\n",
        "app__README_md": b"# App\n",
    }
    needs = [{"name": "db", "version": "1.x", "repository": "https://charts.example.org", "condition": "db.enabled"}]
    chart = await artifact(
        world, (CHART, {"name": "app", "dependencies": needs}), (CHART_LAYER, packed("w:gz", **files), {})
    )
    reader = additions(world)
    for _ in range(2):
        assert (await reader.read(chart, "values.yaml")).content == b"replicas: 1\n"
    assert (await reader.read(chart, "values.yaml")).content_type == "text/plain; charset=utf-8"
    readme = await reader.read(chart, "readme.md")
    assert (readme.content, readme.content_type) == (b"# App\n", "text/markdown; charset=utf-8")
    assert json.loads((await reader.read(chart, "dependencies")).content) == [
        {"name": "db", "version": "1.x", "repository": "https://charts.example.org"}
    ]
    with pytest.raises(BadRequest, match="build_history isn't supported for CHART"):
        await reader.read(chart, "build_history")


async def test_a_chart_without_readme_or_with_a_broken_archive_says_so(world: World) -> None:
    """Nothing is made up, and nothing breaks."""
    chart = await artifact(world, (CHART, {"name": "a"}), (CHART_LAYER, packed("w:gz", app__values_yaml=b"x"), {}))
    broken = await artifact(world, (CHART, {"name": "b"}), (CHART_LAYER, b"no archive", {}))
    with pytest.raises(NotFound, match=r"readme\.md"):
        await additions(world).read(chart, "readme.md")
    with pytest.raises(Unprocessable):
        await additions(world).read(broken, "values.yaml")


async def test_a_model_has_readme_license_and_files(world: World) -> None:
    """From raw and from packed layers; the files by their annotations, with the sizes that they had."""
    path = "org.cncf.model.filepath"
    metadata = {"org.cncf.model.file.metadata+json": json.dumps({"name": "w", "size": 7000})}
    model = await artifact(
        world,
        (MODEL, {"descriptor": {"name": "m"}}),
        ("application/vnd.cncf.model.weight.v1.raw", b"weights", {path: "sub/weights.bin", **metadata}),
        ("application/vnd.cncf.model.doc.v1.raw", b"# Model", {path: "README.md"}),
        ("application/vnd.cncf.model.doc.v1.tar", packed("w", LICENSE=b"free"), {path: "LICENSE"}),
    )
    reader = additions(world)
    assert (await reader.read(model, "readme.md")).content == b"# Model"
    assert (await reader.read(model, "license")).content == b"free"
    assert json.loads((await reader.read(model, "files")).content) == [
        {
            "name": "sub",
            "type": "directory",
            "children": [{"name": "weights.bin", "type": "file", "size": 7000}],
        },
        {"name": "LICENSE", "type": "file", "size": 10240},
        {"name": "README.md", "type": "file", "size": 7},
    ]


async def test_an_sbom_is_found_from_its_image_too(world: World) -> None:
    """The accessory itself, and the image that it belongs to."""
    image = await artifact(world, (mediatypes.OCI_CONFIG, {"os": "linux"}))
    with pytest.raises(NotFound):
        await additions(world).read(image, "sbom")
    digest = await world.value("SELECT digest FROM manifests WHERE id = :id", id=image)
    subject = {"mediaType": mediatypes.OCI_MANIFEST, "digest": digest, "size": 2}
    sbom = await artifact(world, (SBOM, {}), ("application/spdx+json", b'{"spdx":1}', {}), subject=subject)
    for number in (image, sbom):
        found = await additions(world).read(number, "sbom")
        assert (found.content, found.content_type) == (b'{"spdx":1}', SBOM)
