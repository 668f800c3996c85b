# SPDX-License-Identifier: Apache-2.0
"""containerd: through ctr, and through the Kubernetes runtime interface with a pull secret."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from tests.acceptance.clients import Crane, pull_secret
from tests.acceptance.engines import CriPull, Ctr
from tests.acceptance.images import Image, make_image, make_index
from tests.acceptance.server import Registry


def pushed(crane: Crane, image: Image, reference: str) -> Image:
    """Pushes an image with crane, logged in as the administrator."""
    crane.login(crane.registry.admin)
    crane.run("push", str(image.folder), reference)
    return image


def images_of(ctr: Ctr) -> dict[str, str]:
    """The digest of each image that containerd has, by its name."""
    rows = [line.split() for line in ctr.run("images", "ls").splitlines()[1:]]
    return {row[0]: row[2] for row in rows}


def test_ctr_pulls_and_pushes(ctr: Ctr, crane: Crane, server: Registry, private: str, tmp_path: Path) -> None:
    """An image of three platforms is pulled whole, pushed to another repository, and keeps each of its digests."""
    source, target = f"{ctr.repository(private)}:v1", f"{ctr.repository(private, 'copy')}:v1"
    image = pushed(crane, make_index(tmp_path / "image"), source)
    ctr.run("images", "pull", *ctr.plain_http, *ctr.user(server.admin), "--all-platforms", source)
    assert images_of(ctr)[source] == image.digest
    stored = ctr.run("content", "ls", "--quiet").split()
    assert {layer.digest for layer in image.layers} <= set(stored)
    ctr.run("images", "tag", source, target)
    ctr.run("images", "push", *ctr.plain_http, *ctr.user(server.admin), target)
    assert server.digest(f"{private}/copy", "v1") == image.digest


def test_ctr_is_refused_with_a_wrong_password(
    ctr: Ctr, crane: Crane, server: Registry, private: str, tmp_path: Path
) -> None:
    """A wrong password neither pulls from a private project nor pushes to it."""
    reference = f"{ctr.repository(private)}:v1"
    pushed(crane, make_image(tmp_path / "image", 1_000), reference)
    said = ctr.refused("images", "pull", *ctr.plain_http, *ctr.user(server.wrong_login), reference)
    assert "401" in said or "unauthorized" in said.lower()
    ctr.run("images", "pull", *ctr.plain_http, *ctr.user(server.admin), reference)
    other = f"{ctr.repository(private, 'other')}:v1"
    ctr.run("images", "tag", reference, other)
    ctr.refused("images", "push", *ctr.plain_http, *ctr.user(server.wrong_login), other)


def test_ctr_pulls_public_images_without_credentials(ctr: Ctr, crane: Crane, private: str, tmp_path: Path) -> None:
    """Without credentials, library can be pulled from and a private project can't."""
    name = f"image-{secrets.token_hex(4)}"
    image = make_image(tmp_path / "image", 70_000)
    public_image, private_image = (f"{ctr.repository(project, name)}:v1" for project in ("library", private))
    pushed(crane, image, public_image)
    pushed(crane, image, private_image)
    ctr.run("images", "pull", *ctr.plain_http, public_image)
    assert images_of(ctr)[public_image] == image.digest
    ctr.refused("images", "pull", *ctr.plain_http, private_image)


@pytest.mark.parametrize("platforms", ["one", "three"])
def test_a_kubelet_pulls_with_a_pull_secret(
    cri_pull: CriPull, crane: Crane, server: Registry, private: str, tmp_path: Path, platforms: str
) -> None:
    """A pull through the runtime interface with an image pull secret gets exactly what was pushed."""
    layout = tmp_path / "image"
    reference = f"{cri_pull.repository(private)}:{platforms}"
    image = pushed(crane, make_image(layout, 500_000) if platforms == "one" else make_index(layout), reference)
    secret = pull_secret(server, server.admin, tmp_path / "secret.json")
    pulled = json.loads(cri_pull.run("--secret", str(secret), reference))
    assert f"{cri_pull.repository(private)}@{image.digest}" in pulled["repo_digests"]
    assert reference in pulled["repo_tags"]
    again = json.loads(cri_pull.run("--secret", str(secret), f"{cri_pull.repository(private)}@{image.digest}"))
    assert again["id"] == pulled["id"]


def test_a_kubelet_without_the_right_secret_is_refused(
    cri_pull: CriPull, crane: Crane, server: Registry, private: str, tmp_path: Path
) -> None:
    """Neither no secret nor one with a wrong password pulls from a private project."""
    reference = f"{cri_pull.repository(private)}:v1"
    pushed(crane, make_image(tmp_path / "image", 1_000), reference)
    wrong = pull_secret(server, server.wrong_login, tmp_path / "secret.json")
    for arguments in ([reference], ["--secret", str(wrong), reference]):
        said = cri_pull.refused(*arguments)
        assert "401" in said or "unauthorized" in said.lower() or "denied" in said.lower()


def test_a_kubelet_pulls_public_images_without_a_secret(cri_pull: CriPull, crane: Crane, tmp_path: Path) -> None:
    """A pull from library needs no secret."""
    reference = f"{cri_pull.repository('library', f'image-{secrets.token_hex(4)}')}:v1"
    image = pushed(crane, make_image(tmp_path / "image", 1_000), reference)
    pulled = json.loads(cri_pull.run(reference))
    assert pulled["repo_digests"] == [f"{reference.rpartition(':')[0]}@{image.digest}"]
