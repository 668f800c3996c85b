# SPDX-License-Identifier: Apache-2.0
"""One server of each kind for the runs of the conformance suite."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.server import Registry, serve
from tests.postgresql import programs


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A running ``longshore serve`` with empty data: one process on SQLite, two on PostgreSQL."""
    settings: dict[str, str] = {}
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server")
        name = f"conformance_{secrets.token_hex(4)}"
        subprocess.run([programs() / "createdb", f"--maintenance-db={url}/postgres", name], check=True)
        settings = {
            "LONGSHORE_DATABASE_URL": f"{url}/{name}",
            "LONGSHORE_SECRET_KEY": secrets.token_hex(32),
            "LONGSHORE_WORKERS": "2",
        }
    with serve(tmp_path_factory.mktemp(f"server-{request.param}"), settings) as registry:
        yield registry
