# SPDX-License-Identifier: Apache-2.0
"""cosign 2 and 3 with a key of their own: nothing of Sigstore's services is needed."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.clients import Cosign, Cosign2, Crane
from tests.acceptance.images import Image, make_image, make_index
from tests.acceptance.server import Registry


def pushed(crane: Crane, image: Image, project: str) -> str:
    """Pushes an image and gives the reference by digest."""
    crane.login(crane.registry.admin)
    crane.run("push", str(image.folder), f"{crane.repository(project)}:v1")
    return f"{crane.repository(project)}@{image.digest}"


def test_cosign_signs_and_verifies(
    cosign: Cosign, crane: Crane, server: Registry, private: str, tmp_path: Path
) -> None:
    """A signature is stored as its version does it, verifies, and another image has none."""
    cosign.login(server.admin)
    signed = pushed(crane, make_image(tmp_path / "signed", 5_000), private)
    cosign.sign(signed)
    verified = cosign.run(*cosign.verify_arguments(signed))
    assert signed.partition("@")[2] in verified
    tags = crane.run("ls", crane.repository(private)).split()
    digest = signed.partition("@")[2]
    with server.client(server.admin) as client:
        referrers = client.get(f"/v2/{private}/image/referrers/{digest}").json()["manifests"]
    if isinstance(cosign, Cosign2):
        assert tags == [f"{digest.replace(':', '-')}.sig", "v1"]
        assert referrers == []
    else:
        assert tags == ["v1"]
        assert [entry["artifactType"] for entry in referrers] == ["application/vnd.dev.sigstore.bundle.v0.3+json"]
    unsigned = pushed(crane, make_image(tmp_path / "unsigned", 5_000), private)
    cosign.refused(*cosign.verify_arguments(unsigned))


def test_cosign_signs_an_index(cosign: Cosign, crane: Crane, server: Registry, private: str, tmp_path: Path) -> None:
    """The signature of an image of several platforms belongs to its index, and a second one is added to the first."""
    cosign.login(server.admin)
    signed = pushed(crane, make_index(tmp_path / "index"), private)
    cosign.sign(signed)
    cosign.sign(signed)
    assert signed.partition("@")[2] in cosign.run(*cosign.verify_arguments(signed))


def test_cosign_needs_the_right_key(
    cosign: Cosign, crane: Crane, server: Registry, private: str, tmp_path: Path
) -> None:
    """A signature doesn't verify with another key."""
    cosign.login(server.admin)
    signed = pushed(crane, make_image(tmp_path / "image", 5_000), private)
    cosign.sign(signed)
    other = type(cosign)(server, tmp_path / "other")
    other.login(server.admin)
    other.refused(*other.verify_arguments(signed))


def test_cosign_may_not_sign_without_a_login(cosign: Cosign, crane: Crane, public: str, tmp_path: Path) -> None:
    """Who may only read can't add a signature, and the image stays unsigned."""
    image = pushed(crane, make_image(tmp_path / "image", 5_000), public)
    said = cosign.refused("sign", "--yes", "--key", "cosign.key", "--allow-http-registry", *cosign.sign_offline, image)
    assert "unauthorized" in said.lower()
    cosign.refused(*cosign.verify_arguments(image))
