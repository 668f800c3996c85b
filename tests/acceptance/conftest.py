# SPDX-License-Identifier: Apache-2.0
"""One server and one daemon of each kind for all acceptance tests; projects and clients fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.clients import Buildah, Cosign, Cosign2, Cosign3, Crane, Helm, Oras, Podman, Regctl, Skopeo
from tests.acceptance.engines import Buildctl, CriPull, Ctr, Docker, run_buildkitd, run_containerd, run_dockerd
from tests.acceptance.kinds import Kind
from tests.acceptance.server import Registry, serve


@pytest.fixture(scope="session", params=[Kind.EMBEDDED, Kind.OBJECTS], ids=lambda kind: kind.value)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A running ``longshore serve`` with empty data: the smallest there is, and the one for production."""
    kind: Kind = request.param
    with serve(tmp_path_factory.mktemp(f"server-{kind.value}"), kind.settings(request)) as registry:
        yield registry


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Path]:
    """The socket of a running dockerd."""
    with run_dockerd() as socket:
        yield socket


@pytest.fixture(scope="session")
def containerd() -> Iterator[Path]:
    """The folder of a running containerd."""
    with run_containerd() as folder:
        yield folder


@pytest.fixture(scope="session")
def buildkitd(server: Registry) -> Iterator[Path]:
    """The socket of a running buildkitd."""
    with run_buildkitd(server) as socket:
        yield socket


@pytest.fixture
def private(server: Registry) -> str:
    """The name of a new private project."""
    return server.make_project(public=False)


@pytest.fixture
def public(server: Registry) -> str:
    """The name of a new public project."""
    return server.make_project(public=True)


@pytest.fixture
def docker(server: Registry, dockerd: Path, tmp_path: Path) -> Docker:
    """docker, not logged in."""
    return Docker(server, tmp_path / "docker", dockerd)


@pytest.fixture
def podman(server: Registry, tmp_path: Path) -> Podman:
    """podman, not logged in."""
    return Podman(server, tmp_path / "podman")


@pytest.fixture
def buildah(server: Registry, tmp_path: Path) -> Buildah:
    """buildah, not logged in."""
    return Buildah(server, tmp_path / "buildah")


@pytest.fixture
def skopeo(server: Registry, tmp_path: Path) -> Skopeo:
    """skopeo, not logged in."""
    return Skopeo(server, tmp_path / "skopeo")


@pytest.fixture
def crane(server: Registry, tmp_path: Path) -> Crane:
    """crane, not logged in."""
    return Crane(server, tmp_path / "crane")


@pytest.fixture
def oras(server: Registry, tmp_path: Path) -> Oras:
    """oras, not logged in."""
    return Oras(server, tmp_path / "oras")


@pytest.fixture
def regctl(server: Registry, tmp_path: Path) -> Regctl:
    """regctl, not logged in."""
    return Regctl(server, tmp_path / "regctl")


@pytest.fixture
def helm(server: Registry, tmp_path: Path) -> Helm:
    """helm, not logged in."""
    return Helm(server, tmp_path / "helm")


@pytest.fixture(params=[Cosign2, Cosign3])
def cosign(request: pytest.FixtureRequest, server: Registry, tmp_path: Path) -> Cosign:
    """Give cosign of both major versions, not logged in."""
    made = request.param(server, tmp_path / "cosign")
    assert isinstance(made, Cosign)
    return made


@pytest.fixture
def ctr(server: Registry, containerd: Path, tmp_path: Path) -> Ctr:
    """Give ctr of containerd."""
    return Ctr(server, tmp_path / "ctr", containerd)


@pytest.fixture
def cri_pull(server: Registry, containerd: Path, tmp_path: Path) -> CriPull:
    """The client of containerd's Kubernetes interface."""
    return CriPull(server, tmp_path / "cri", containerd)


@pytest.fixture
def buildctl(server: Registry, buildkitd: Path, tmp_path: Path) -> Buildctl:
    """Give buildctl, not logged in."""
    return Buildctl(server, tmp_path / "buildctl", buildkitd)
