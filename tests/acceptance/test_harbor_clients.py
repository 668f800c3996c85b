# SPDX-License-Identifier: Apache-2.0
"""Clients that were written for Harbor and know nothing of Longshore do their work here, each in an environment of its own.

Their scenarios are in the folder `harbor`: each resource created, listed, filtered, sorted, paged to the end, changed, deleted.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.clients import TOOLS, Crane, find_tool, unavailable
from tests.acceptance.images import make_image
from tests.acceptance.server import Registry

SCRIPTS = Path(__file__).with_name("harbor")
CLIENTS = TOOLS / "harbor-clients"
PYTHON = CLIENTS / "python" / "bin" / "python"
_BESIDE = Path(__file__).parents[2].with_name("shared") / "reference" / "harbor-api-v2.0.yaml"
CONTRACT = Path(os.environ.get("HARBOR_CONTRACT", _BESIDE))


def scenarios(script: str) -> list[str]:
    """The names of a script's scenarios."""
    return re.findall(r"^(?:async )?(?:def|function) scenario_(\w+)", (SCRIPTS / script).read_text(), re.MULTILINE)


@pytest.fixture
def seeded(server: Registry, crane: Crane, tmp_path: Path) -> str:
    """A new project with what every script expects of it."""
    project = server.make_project(public=False)
    crane.login(server.admin)
    for repository, tags in (("app", ("v1", "v2", "v3")), ("base", ("v1",)), ("web", ("v1",))):
        for tag in tags:
            image = make_image(tmp_path / f"{repository}-{tag}", 2_000)
            crane.run("push", str(image.folder), f"{crane.repository(project, repository)}:{tag}")
    return project


def run(program: str, script: str, server: Registry, project: str, scenario: str, **environment: str) -> None:
    """Runs a scenario and fails with what the client said."""
    arguments = [str(SCRIPTS / script), server.url, server.admin.username, server.admin.password, project, scenario]
    done = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{script} {scenario}\n{done.stdout}\n{done.stderr}"


def require(path: Path, what: str) -> None:
    """Skips when a client isn't there."""
    if not path.exists():
        unavailable(f"{what} isn't installed; .ci/install-tools installs it (as root, on Debian 12)")


@pytest.mark.parametrize("scenario", scenarios("with_generated.py"))
def test_generated_client(server: Registry, seeded: str, scenario: str) -> None:
    """The client that the OpenAPI generator makes from Harbor's contract works through every resource."""
    if PYTHON.exists() and not CONTRACT.exists():
        # Harbor's document isn't ours to ship, so a machine may have everything else and no document to make a client from.
        pytest.skip(f"Harbor's contract isn't at {CONTRACT}: set HARBOR_CONTRACT and run .ci/install-tools again")
    require(CLIENTS / "generated" / "v2_swagger_client", "the client generated from Harbor's contract")
    run(str(PYTHON), "with_generated.py", server, seeded, scenario, PYTHONPATH=str(CLIENTS / "generated"))


@pytest.mark.parametrize("scenario", scenarios("with_harborapi.py"))
def test_harborapi(server: Registry, seeded: str, scenario: str) -> None:
    """Python's harborapi, which checks every answer against its models, works through every resource."""
    require(PYTHON, "harborapi")
    run(str(PYTHON), "with_harborapi.py", server, seeded, scenario)


@pytest.mark.parametrize("scenario", scenarios("with_hapic.cjs"))
def test_hapic(server: Registry, seeded: str, scenario: str) -> None:
    """Node's @hapic/harbor works through all that it knows."""
    modules = CLIENTS / "node" / "node_modules"
    require(modules / "@hapic" / "harbor", "@hapic/harbor")
    run(find_tool("node"), "with_hapic.cjs", server, seeded, scenario, NODE_PATH=str(modules))
