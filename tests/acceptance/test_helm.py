# SPDX-License-Identifier: Apache-2.0
"""Helm 3 with charts made on the spot."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.acceptance.clients import Helm
from tests.acceptance.images import file_digest, make_chart
from tests.acceptance.server import Registry

CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"


def push_chart(helm: Helm, project: str, folder: Path, name: str, version: str) -> Path:
    """Packages a chart and pushes it; gives the package."""
    helm.run("package", str(make_chart(folder, name, version)), "--destination", str(folder))
    package = folder / f"{name}-{version}.tgz"
    helm.run("push", "--plain-http", str(package), f"oci://{helm.repository(project, 'charts')}")
    return package


def test_helm_pushes_and_pulls_a_chart(helm: Helm, server: Registry, private: str, tmp_path: Path) -> None:
    """A chart comes back as the same package, can be shown and rendered from the registry, and keeps its versions."""
    helm.login(server.admin)
    packages = {
        version: push_chart(helm, private, tmp_path / version, "boat", version)
        for version in ("0.1.0", "0.2.0+build.7")
    }
    chart = f"oci://{helm.repository(private, 'charts')}/boat"
    for version, package in packages.items():
        back = tmp_path / f"back-{version}"
        back.mkdir()
        helm.run("pull", "--plain-http", chart, "--version", version, "--destination", str(back))
        assert file_digest(back / package.name) == file_digest(package)
    assert "version: 0.1.0" in helm.run("show", "chart", "--plain-http", chart, "--version", "0.1.0")
    assert "kind: ConfigMap" in helm.run("template", "--plain-http", "name", chart, "--version", "0.2.0+build.7")
    stored = server.manifest(f"{private}/charts/boat", "0.2.0_build.7").json()
    assert stored["config"]["mediaType"] == CHART_CONFIG


def test_helm_finds_the_newest_version(helm: Helm, server: Registry, private: str, tmp_path: Path) -> None:
    """A version range is answered from the list of tags."""
    helm.login(server.admin)
    for version in ("1.2.0", "1.10.0", "2.0.0"):
        push_chart(helm, private, tmp_path / version, "boat", version)
    chart = f"oci://{helm.repository(private, 'charts')}/boat"
    assert "version: 1.10.0" in helm.run("show", "chart", "--plain-http", chart, "--version", "^1.0.0")
    assert "version: 2.0.0" in helm.run("show", "chart", "--plain-http", chart)


def test_helm_is_refused_with_a_wrong_password(helm: Helm, server: Registry) -> None:
    """A login with a wrong password says so."""
    said = helm.refused(*helm.login_arguments(server.wrong_login), text=server.wrong_login.password)
    assert "unauthorized" in said.lower()


def test_anonymous_helm_reads_only_what_is_public(helm: Helm, server: Registry, private: str, tmp_path: Path) -> None:
    """Without a login, a chart of library can be pulled and one of a private project can't."""
    name = f"boat-{secrets.token_hex(4)}"
    helm.login(server.admin)
    for project in ("library", private):
        push_chart(helm, project, tmp_path / project, name, "1.0.0")
    helm.run("registry", "logout", server.host)
    public_chart, private_chart = (
        f"oci://{helm.repository(project, 'charts')}/{name}" for project in ("library", private)
    )
    helm.run("pull", "--plain-http", public_chart)
    helm.refused("pull", "--plain-http", private_chart, "--version", "1.0.0")
