# SPDX-License-Identifier: Apache-2.0
"""podman, buildah and skopeo."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

import pytest

from tests.acceptance.clients import Buildah, ContainersClient, Podman, Skopeo
from tests.acceptance.images import INDEX, MANIFEST, file_digest, make_image, make_index
from tests.acceptance.server import Registry


def build(buildah: Buildah, folder: Path, name: str, architecture: str = "amd64") -> None:
    """Builds an image from nothing with a file of random bytes."""
    folder.mkdir()
    (folder / "content").write_bytes(os.urandom(20_000))
    container = buildah.run("from", "scratch").strip()
    buildah.run("copy", container, str(folder / "content"), "/content")
    buildah.run("config", "--arch", architecture, "--os", "linux", "--cmd", "/content", container)
    buildah.run("commit", "--rm", container, name)


def image_id(client: ContainersClient, reference: str) -> str:
    """The ID of an image of the local store: the digest of its configuration, which names each layer's content."""
    return client.run("inspect", "--type", "image", "--format", "{{.FromImageID}}", reference).strip()


@pytest.mark.parametrize(("form", "media_type"), [("oci", MANIFEST), ("v2s2", None)], ids=["oci", "docker"])
def test_what_buildah_pushes_podman_pulls(
    buildah: Buildah, podman: Podman, server: Registry, private: str, tmp_path: Path, form: str, media_type: str | None
) -> None:
    """An image that buildah made from nothing arrives at podman with the same configuration and digest."""
    buildah.login(server.admin)
    podman.login(server.admin)
    build(buildah, tmp_path / "context", "made")
    reference = f"{buildah.repository(private)}:{form}"
    digest_file = tmp_path / "digest"
    buildah.run("push", "--format", form, "--digestfile", str(digest_file), "made", f"docker://{reference}")
    digest = digest_file.read_text().strip()
    stored = server.manifest(f"{private}/image", form)
    assert stored.headers["Docker-Content-Digest"] == digest
    expected = media_type or "application/vnd.docker.distribution.manifest.v2+json"
    assert stored.headers["Content-Type"] == expected
    podman.run("pull", reference)
    assert podman.run("image", "inspect", "--format", "{{.Digest}}", reference).strip() == digest
    config = f"sha256:{podman.run('image', 'inspect', '--format', '{{.Id}}', reference).strip()}"
    assert config == stored.json()["config"]["digest"]


def test_podman_pushes_and_pulls(podman: Podman, server: Registry, private: str, tmp_path: Path) -> None:
    """An image that podman built, pushed and forgot is the very same one after a pull."""
    podman.login(server.admin)
    (tmp_path / "content").write_bytes(os.urandom(300_000))
    (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY content /content\n")
    reference = f"{podman.repository(private)}:v1"
    built = podman.run("build", "--quiet", "--tag", reference, str(tmp_path)).strip()
    podman.run("push", reference)
    podman.run("rmi", "--all", "--force")
    assert podman.run("pull", "--quiet", reference).strip() == built
    assert "Login Succeeded" in podman.run(*podman.login_arguments(server.admin), text=server.admin.password)
    podman.run("logout", server.host)
    podman.run("rmi", "--all", "--force")
    podman.refused("pull", reference)


def test_buildah_pushes_an_index(buildah: Buildah, server: Registry, private: str, tmp_path: Path) -> None:
    """A manifest list of two platforms goes up whole and comes down for each platform."""
    buildah.login(server.admin)
    buildah.run("manifest", "create", "both")
    for architecture in ("amd64", "arm64"):
        build(buildah, tmp_path / architecture, f"made-{architecture}", architecture)
        buildah.run("manifest", "add", "both", f"made-{architecture}")
    reference = f"{buildah.repository(private)}:both"
    buildah.run("manifest", "push", "--all", "both", f"docker://{reference}")
    stored = server.manifest(f"{private}/image", "both")
    assert stored.headers["Content-Type"] == INDEX
    children = {entry["platform"]["architecture"]: entry["digest"] for entry in stored.json()["manifests"]}
    assert set(children) == {"amd64", "arm64"}
    for architecture, digest in children.items():
        child = server.manifest(f"{private}/image", digest).json()
        pulled = buildah.run("pull", "--quiet", "--arch", architecture, reference).strip()
        assert f"sha256:{pulled}" == child["config"]["digest"]


@pytest.mark.parametrize("program", ["podman", "buildah", "skopeo"])
def test_a_wrong_password_is_refused(request: pytest.FixtureRequest, server: Registry, program: str) -> None:
    """The login with a wrong password fails and says that it is the password."""
    client: ContainersClient = request.getfixturevalue(program)
    said = client.refused(*client.login_arguments(server.wrong_login), text=server.wrong_login.password)
    assert "invalid username/password" in said or "unauthorized" in said.lower()


def test_skopeo_copies_between_layouts_and_registry(
    skopeo: Skopeo, server: Registry, private: str, tmp_path: Path
) -> None:
    """An image of three platforms goes up, across and down again without a changed byte."""
    skopeo.login(server.admin)
    image = make_index(tmp_path / "image")
    first, second = (f"docker://{skopeo.repository(private, name)}:v1" for name in ("first", "second"))
    skopeo.run("copy", "--all", "--preserve-digests", f"oci:{image.folder}", first)
    skopeo.run("copy", "--all", "--preserve-digests", first, second)
    back = tmp_path / "back"
    skopeo.run("copy", "--all", "--preserve-digests", second, f"oci:{back}")
    assert server.digest(f"{private}/second", "v1") == image.digest
    for pushed in image.folder.glob("blobs/sha256/*"):
        assert (back / "blobs" / "sha256" / pushed.name).read_bytes() == pushed.read_bytes()


def test_skopeo_lists_inspects_and_deletes(skopeo: Skopeo, server: Registry, private: str, tmp_path: Path) -> None:
    """Tags are listed, an image is described, and a deleted one is gone at once."""
    skopeo.login(server.admin)
    image = make_image(tmp_path / "image", 1_000)
    other = make_image(tmp_path / "other", 1_000)
    repository = f"docker://{skopeo.repository(private)}"
    for tag, source in (("one", image), ("two", image), ("three", other)):
        skopeo.run("copy", f"oci:{source.folder}", f"{repository}:{tag}", "--preserve-digests")
    assert skopeo.json("list-tags", repository)["Tags"] == ["one", "three", "two"]
    inspected = skopeo.json("inspect", f"{repository}:two")
    assert inspected["Digest"] == image.digest
    assert inspected["Layers"] == [layer.digest for layer in image.layers]
    assert skopeo.run("inspect", "--raw", f"{repository}:one") == image.blob(image.digest).read_text()
    skopeo.run("delete", f"{repository}:one")
    assert skopeo.json("list-tags", repository)["Tags"] == ["three"]
    skopeo.refused("inspect", f"{repository}:two")
    assert skopeo.json("inspect", f"{repository}:three")["Digest"] == other.digest


def test_skopeo_syncs_a_repository(skopeo: Skopeo, server: Registry, private: str, public: str, tmp_path: Path) -> None:
    """``skopeo sync`` takes every tag of a repository to a folder and to another project."""
    skopeo.login(server.admin)
    made = {tag: make_image(tmp_path / tag, 3_000) for tag in ("v1", "v2", "v3")}
    for tag, image in made.items():
        skopeo.run("copy", "--preserve-digests", f"oci:{image.folder}", f"docker://{skopeo.repository(private)}:{tag}")
    folder = tmp_path / "synced"
    skopeo.run("sync", "--src", "docker", "--dest", "dir", skopeo.repository(private), str(folder))
    for tag, image in made.items():
        assert file_digest(folder / f"image:{tag}" / "manifest.json") == image.digest
    skopeo.run("sync", "--src", "docker", "--dest", "docker", skopeo.repository(private), f"{server.host}/{public}")
    for tag, image in made.items():
        assert server.digest(f"{public}/image", tag) == image.digest


def test_anonymous_skopeo_reads_only_what_is_public(
    skopeo: Skopeo, server: Registry, private: str, tmp_path: Path
) -> None:
    """Without a login, library can be read, a private project can't, and a missing one looks just like that."""
    skopeo.login(server.admin)
    image = make_image(tmp_path / "image", 1_000)
    name = f"image-{secrets.token_hex(4)}"
    for project in ("library", private):
        target = f"docker://{skopeo.repository(project, name)}:v1"
        skopeo.run("copy", "--preserve-digests", f"oci:{image.folder}", target)
    skopeo.run("logout", server.host)
    inspected = json.loads(skopeo.run("inspect", f"docker://{skopeo.repository('library', name)}:v1"))
    assert inspected["Digest"] == image.digest
    missing = f"missing-{secrets.token_hex(4)}"
    answers = [
        skopeo.refused("inspect", f"docker://{skopeo.repository(project, name)}:v1").replace(project, "PROJECT")
        for project in (private, missing)
    ]
    assert "unauthorized" in answers[0].lower() or "denied" in answers[0].lower()
    without_time = [answer.partition("msg=")[2] for answer in answers]
    assert without_time[0] == without_time[1]
