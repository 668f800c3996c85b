# SPDX-License-Identifier: Apache-2.0
"""docker with a real dockerd."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import pytest

from tests.acceptance.clients import TOOLS, unavailable
from tests.acceptance.engines import Docker
from tests.acceptance.server import Registry

MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def build(docker: Docker, folder: Path, reference: str, *sizes: int) -> str:
    """Builds an image from nothing with a layer of random bytes for each size, and gives its ID."""
    folder.mkdir()
    lines = ["FROM scratch"]
    for number, size in enumerate(sizes):
        (folder / f"file{number}").write_bytes(os.urandom(size))
        lines.append(f"COPY file{number} /file{number}")
    (folder / "Dockerfile").write_text("\n".join([*lines, 'CMD ["/file0"]']))
    docker.run("build", "--quiet", "--tag", reference, str(folder))
    return image_id(docker, reference)


def image_id(docker: Docker, reference: str) -> str:
    """The ID of an image of the daemon: the digest of its configuration, which names each layer's content."""
    return docker.run("image", "inspect", "--format", "{{.Id}}", reference).strip()


def pull_again(docker: Docker, reference: str) -> str:
    """Removes the image from the daemon, pulls it, and gives the ID of what arrived."""
    docker.run("image", "rm", "--force", reference)
    docker.run("pull", reference)
    return image_id(docker, reference)


@pytest.mark.parametrize("sizes", [(1,), (0, 1_000, 3_000_000), (40 * 1024 * 1024,)], ids=["byte", "layers", "large"])
def test_what_docker_pushes_it_pulls_again(
    docker: Docker, server: Registry, private: str, tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    """An image of any size comes back with the same configuration, layers and manifest digest."""
    docker.login(server.admin)
    reference = f"{docker.repository(private)}:v1"
    built = build(docker, tmp_path / "context", reference, *sizes)
    pushed = docker.run("push", reference)
    assert pull_again(docker, reference) == built
    digest = server.digest(f"{private}/image", "v1")
    assert digest in pushed
    by_digest = f"{docker.repository(private)}@{digest}"
    docker.run("pull", by_digest)
    assert image_id(docker, by_digest) == built


def test_a_second_push_mounts_the_layers(docker: Docker, server: Registry, private: str, tmp_path: Path) -> None:
    """A layer that the registry has in another repository of the project isn't sent again."""
    docker.login(server.admin)
    first, second = (f"{docker.repository(private, name)}:v1" for name in ("first", "second"))
    built = build(docker, tmp_path / "context", first, 200_000)
    docker.run("push", first)
    docker.run("tag", first, second)
    assert f"Mounted from {private}/first" in docker.run("push", second)
    docker.run("image", "rm", "--force", first)
    assert pull_again(docker, second) == built
    assert "Layer already exists" in docker.run("push", second)


def test_docker_pushes_a_manifest_list(docker: Docker, server: Registry, private: str, tmp_path: Path) -> None:
    """``docker manifest`` makes an image of two platforms, and a pull of it picks this machine's."""
    docker.login(server.admin)
    repository = docker.repository(private)
    built = {name: build(docker, tmp_path / name, f"{repository}:{name}", 5_000) for name in ("amd64", "arm64")}
    for name in built:
        docker.run("push", f"{repository}:{name}")
    listed = f"{repository}:all"
    docker.run("manifest", "create", "--insecure", listed, *(f"{repository}:{name}" for name in built))
    for name in built:
        docker.run("manifest", "annotate", "--os", "linux", "--arch", name, listed, f"{repository}:{name}")
    said = docker.run("manifest", "push", "--insecure", listed)
    stored = server.manifest(f"{private}/image", "all")
    assert stored.headers["Docker-Content-Digest"] in said
    assert stored.headers["Content-Type"] == MANIFEST_LIST
    inspected = docker.json("manifest", "inspect", "--insecure", listed)
    assert inspected == stored.json()
    docker.run("image", "rm", "--force", *(f"{repository}:{name}" for name in built))
    docker.run("pull", "--platform", "linux/amd64", listed)
    assert image_id(docker, listed) == built["amd64"]


def test_docker_moves_a_tag(docker: Docker, server: Registry, private: str, tmp_path: Path) -> None:
    """A second push to a tag moves it; the first image is still there by its digest."""
    docker.login(server.admin)
    reference = f"{docker.repository(private)}:latest"
    first = build(docker, tmp_path / "first", reference, 2_000)
    docker.run("push", reference)
    digest = server.digest(f"{private}/image", "latest")
    second = build(docker, tmp_path / "second", reference, 2_000)
    docker.run("push", reference)
    assert pull_again(docker, reference) == second
    docker.run("pull", f"{docker.repository(private)}@{digest}")
    assert image_id(docker, f"{docker.repository(private)}@{digest}") == first


def test_docker_refuses_a_wrong_password(docker: Docker, server: Registry) -> None:
    """A login with a wrong password fails and keeps nothing."""
    said = docker.refused(*docker.login_arguments(server.wrong_login), text=server.wrong_login.password)
    assert "unauthorized" in said.lower()
    configuration = docker.home / ".docker" / "config.json"
    assert not configuration.exists() or not json.loads(configuration.read_text()).get("auths")


def test_anonymous_docker_reads_only_what_is_public(
    docker: Docker, server: Registry, private: str, tmp_path: Path
) -> None:
    """Without a login, library can be pulled from, a private project can't, and nothing can be pushed."""
    docker.login(server.admin)
    name = f"image-{secrets.token_hex(4)}"
    public_image, private_image = (f"{docker.repository(project, name)}:v1" for project in ("library", private))
    built = build(docker, tmp_path / "context", public_image, 2_000)
    docker.run("tag", public_image, private_image)
    docker.run("push", public_image)
    docker.run("push", private_image)
    docker.run("logout", server.host)
    docker.run("image", "rm", "--force", private_image)
    assert pull_again(docker, public_image) == built
    docker.refused("pull", private_image)
    docker.run("tag", public_image, f"{docker.repository('library', name)}:v2")
    docker.refused("push", f"{docker.repository('library', name)}:v2")


def test_a_debian_image_runs_after_its_pull(docker: Docker, server: Registry, private: str) -> None:
    """A real base image of thousands of files is pulled, unpacked, and its programs run."""
    base = TOOLS / "debian-base.tar"
    if not base.exists():
        unavailable(f"{base} isn't there; .ci/install-tools makes it")
    docker.login(server.admin)
    reference = f"{docker.repository(private, 'debian')}:12"
    imported = docker.run("import", "--change", 'CMD ["/bin/bash"]', str(base), reference).strip()
    docker.run("push", reference)
    assert pull_again(docker, reference) == imported
    container = docker.run("create", "--network", "none", reference, "cat", "/etc/debian_version").strip()
    assert docker.run("start", "--attach", container).startswith("12.")
