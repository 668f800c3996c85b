# SPDX-License-Identifier: Apache-2.0
"""The kinds of server that the same clients are tried with, as settings."""

from __future__ import annotations

import secrets
import subprocess
from enum import Enum

import pytest

from tests.objectstore import ObjectStore
from tests.postgresql import programs


class Kind(Enum):
    """Where a server keeps things."""

    EMBEDDED = "sqlite"
    """SQLite and a folder, one HTTP process."""
    POSTGRESQL = "postgresql"
    """PostgreSQL and a folder, two HTTP processes."""
    OBJECTS = "objects"
    """PostgreSQL and an S3 server, two HTTP processes."""

    def settings(self, request: pytest.FixtureRequest, *, redirect: bool = True) -> dict[str, str]:
        """The environment variables of a server of this kind with empty data; without `redirect` it sends all bytes itself."""
        if self is Kind.EMBEDDED:
            return {}
        url: str = request.getfixturevalue("postgresql_server")
        name = f"acceptance_{secrets.token_hex(4)}"
        subprocess.run([programs() / "createdb", f"--maintenance-db={url}/postgres", name], check=True)
        settings = {
            "LONGSHORE_DATABASE_URL": f"{url}/{name}",
            "LONGSHORE_SECRET_KEY": secrets.token_hex(32),
            "LONGSHORE_WORKERS": "2",
        }
        if self is Kind.OBJECTS:
            store: ObjectStore = request.getfixturevalue("object_store")
            # Another name than the registry's, as anybody would have it: clients are sent there for the bytes of blobs.
            public = store.endpoint.replace("127.0.0.1", "localhost")
            bucket = store.bucket(name.replace("_", "-"))
            settings["LONGSHORE_STORAGE_URL"] = store.url(bucket, public_endpoint=public)
            settings["LONGSHORE_STORAGE_REDIRECT"] = "auto" if redirect else "never"
        return settings
