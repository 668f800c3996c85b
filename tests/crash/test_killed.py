# SPDX-License-Identifier: Apache-2.0
"""`kill -9` of server processes while clients push: what was acknowledged is there."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.crash.pushing import Acknowledged, PushingClient, check_pulls
from tests.crash.server import KilledServer
from tests.databases import Databases
from tests.objectstore import ObjectStore

_CLIENTS = 4


def _seconds(config: pytest.Config) -> float:
    """LONGSHORE_FUZZ_SECONDS; otherwise a minute when it was asked for, twelve seconds among all others."""
    given = os.environ.get("LONGSHORE_FUZZ_SECONDS")
    if given is not None:
        return float(given)
    return 60.0 if "fuzz" in (config.option.markexpr or "") else 12.0


@pytest.mark.fuzz
@pytest.mark.timeout(0)
def test_every_acknowledged_push_survives_kills(
    databases: Databases, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Supervisor, HTTP processes and worker are killed at random; all that was answered with 201 pulls byte for byte.

    Beside SQLite the store is a folder, beside PostgreSQL it is a bucket.
    """
    seed = int(os.environ.get("LONGSHORE_FUZZ_SEED") or random.SystemRandom().randrange(1_000_000))
    choice = random.Random(seed)
    settings: dict[str, str] = {}
    if databases.path is None:
        store: ObjectStore = request.getfixturevalue("object_store")
        settings["LONGSHORE_DATABASE_URL"] = databases.url
        settings["LONGSHORE_STORAGE_URL"] = store.url(store.bucket(f"killed-{seed}"))
    acknowledged = Acknowledged()
    with KilledServer(tmp_path / "server", settings, choice=choice) as server:
        clients = [PushingClient(server.registry, number, seed, acknowledged) for number in range(_CLIENTS)]
        for client in clients:
            client.start()
        until = time.monotonic() + _seconds(request.config)
        while time.monotonic() < until:
            time.sleep(0.3 + choice.random() * 2)
            server.kill_something()
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(60)
            assert not client.is_alive()
            assert client.failure is None, f"seed {seed}: {client.failure}"
        server.settle()
        check_pulls(server.registry, acknowledged)
        server.verify()
        server.stop()
        server.verify()
    with capsys.disabled():
        print(  # noqa: T201 - the summary
            f"\n{databases.dialect.value} seed={seed} kills={dict(server.kills)} manifests={len(acknowledged.manifests)}"
            f" blobs={len(acknowledged.blobs)} interrupted={acknowledged.interrupted}"
        )
    assert acknowledged.manifests
    assert server.kills
