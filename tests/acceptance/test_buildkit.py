# SPDX-License-Identifier: Apache-2.0
"""BuildKit: builds that pull their base from the registry, push their result there, and keep their cache there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.acceptance.clients import Crane
from tests.acceptance.engines import Buildctl
from tests.acceptance.images import CACHE_CONFIG, INDEX, MANIFEST, make_image
from tests.acceptance.server import Registry


def make_context(folder: Path, base: str) -> Path:
    """A build of two stages on a base image of the registry."""
    folder.mkdir()
    for name in ("one", "two"):
        (folder / name).write_bytes(os.urandom(30_000))
    (folder / "Dockerfile").write_text(
        f"FROM scratch AS first\nCOPY one /one\nFROM {base}\nCOPY --from=first /one /one\nCOPY two /two\n"
    )
    return folder


def push_base(crane: Crane, project: str, folder: Path) -> str:
    """Pushes the base image and gives its name."""
    base = f"{crane.repository(project, 'base')}:v1"
    crane.login(crane.registry.admin)
    crane.run("push", str(make_image(folder, 40_000).folder), base)
    return base


@pytest.mark.parametrize(
    ("as_manifest", "media_type"), [("false", INDEX), ("true", MANIFEST)], ids=["index", "manifest"]
)
def test_a_build_and_its_cache(
    buildctl: Buildctl,
    crane: Crane,
    server: Registry,
    private: str,
    tmp_path: Path,
    as_manifest: str,
    media_type: str,
) -> None:
    """A build with a private base is pushed; after the local cache is gone, another build uses the registry's."""
    buildctl.login(server.admin)
    context = make_context(tmp_path / "context", push_base(crane, private, tmp_path / "base"))
    target, cache = f"{buildctl.repository(private)}:built", f"{buildctl.repository(private)}:cache"
    export = f"type=registry,ref={cache},mode=max,image-manifest={as_manifest}"
    metadata = tmp_path / "metadata.json"
    buildctl.build(context, target, "--export-cache", export, "--metadata-file", str(metadata))
    built = json.loads(metadata.read_text())
    assert server.digest(f"{private}/image", "built") == built["containerimage.digest"]
    crane.run("validate", "--remote", target)
    stored = server.manifest(f"{private}/image", "cache")
    assert stored.headers["Content-Type"] == media_type
    entries = stored.json()
    listed = entries["manifests"] if media_type == INDEX else [entries["config"]]
    assert CACHE_CONFIG in [entry["mediaType"] for entry in listed]
    buildctl.run("prune", "--all")
    said = buildctl.build(
        context, f"{target}-again", "--import-cache", f"type=registry,ref={cache}", "--metadata-file", str(metadata)
    )
    assert said.count("CACHED") >= 2
    assert (
        server.manifest(f"{private}/image", "built-again").json()["layers"]
        == (server.manifest(f"{private}/image", "built").json()["layers"])
    )
    buildctl.build(context, target, "--export-cache", export)
    buildctl.run("prune", "--all")


def test_a_build_without_a_login_is_refused(
    buildctl: Buildctl, crane: Crane, private: str, public: str, tmp_path: Path
) -> None:
    """Without credentials a private base can't be pulled, and a public one can but nothing can be pushed."""
    for project in (private, public):
        context = make_context(tmp_path / project, push_base(crane, project, tmp_path / f"base-{project}"))
        source = ["--local", f"context={context}", "--local", f"dockerfile={context}"]
        build = ["build", "--frontend", "dockerfile.v0", "--progress", "plain", *source]
        push = ["--output", f"type=image,name={buildctl.repository(public)}:v1,push=true"]
        if project == public:
            buildctl.run(*build)
        else:
            buildctl.refused(*build)
        said = buildctl.refused(*build, *push)
        assert "401" in said or "unauthorized" in said.lower() or "denied" in said.lower()
