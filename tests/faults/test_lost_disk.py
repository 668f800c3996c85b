# SPDX-License-Identifier: Apache-2.0
"""The store's disk is taken away or refuses writes; so does the database's; and SQLite is locked by somebody else."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.crash.pushing import check_pulls, check_refusal, digest_of
from tests.databases import Databases
from tests.faults.background import running
from tests.faults.content import push_blob, push_image, some_bytes
from tests.faults.disks import MEGABYTE, image_disk, small_disk
from tests.faults.server import Server, wait_for

RECOVERED_SECONDS = 10.0


@pytest.fixture
def settings(databases: Databases) -> dict[str, str]:
    """What makes a server use the database of the test."""
    return {} if databases.path is not None else {"LONGSHORE_DATABASE_URL": databases.url}


def pushed(client: httpx.Client, blob: bytes) -> bool:
    """Whether a push is taken; refused it is tried again."""
    answer = push_blob(client, "library/after", blob)
    if answer.status_code == httpx.codes.CREATED:
        return True
    check_refusal(answer, 503, 507)
    return False


def test_the_disk_of_the_store_is_taken_away(tmp_path: Path, settings: dict[str, str]) -> None:
    """What needs bytes is told 503, the rest is served; nothing is written where the disk was, not by a restart either."""
    store = tmp_path / "store"
    with (
        image_disk(store, tmp_path / "image", 64) as disk,
        Server(tmp_path / "server", {**settings, "LONGSHORE_STORAGE_URL": store.as_uri()}) as server,
        server.registry.client(server.registry.admin) as client,
    ):
        kept = push_image(client, "library/kept", "1", b"{}", some_bytes(MEGABYTE))
        disk.unmount()
        check_refusal(client.get(f"/v2/library/kept/blobs/{digest_of(b'{}')}"), 503)
        check_refusal(push_blob(client, "library/kept", b"lost?"), 503)
        assert client.get("/v2/library/kept/manifests/1").status_code == httpx.codes.OK
        wait_for(lambda: not server.ready(), 10, "unready")
        with server.registry.client() as stranger:
            wait_for(lambda: "storage" in stranger.get("/readyz").text, 10, "its reason")
        # Whoever starts anew now must not take the empty folder for a new store.
        for process in server.processes():
            process.kill()
        time.sleep(4)
        assert list(store.iterdir()) == []
        assert not server.ready()
        with server.registry.client(server.registry.admin) as again:
            check_refusal(again.get("/v2/library/kept/manifests/1"), 503)
        disk.mount()
        wait_for(server.ready, RECOVERED_SECONDS, "ready again")
        wait_for(lambda: pushed(client, b"after"), RECOVERED_SECONDS, "a push")
        server.settle()
        check_pulls(server.registry, kept)
        server.finish()


def test_the_disk_of_the_store_is_read_only(tmp_path: Path, settings: dict[str, str]) -> None:
    """Pulls go on, pushes get 503 that says why; writable again they go on by themselves."""
    store = tmp_path / "store"
    with (
        small_disk(store, 64) as disk,
        Server(tmp_path / "server", {**settings, "LONGSHORE_STORAGE_URL": store.as_uri()}) as server,
        server.registry.client(server.registry.admin) as client,
    ):
        kept = push_image(client, "library/kept", "1", b"{}", some_bytes(MEGABYTE))
        disk.remount("ro")
        assert "read-only" in check_refusal(push_blob(client, "library/kept", b"lost?"), 503)
        check_pulls(server.registry, kept)
        digest = digest_of(kept.manifests["library/kept", "1"])
        assert client.delete(f"/v2/library/kept/manifests/{digest}").status_code == httpx.codes.ACCEPTED
        disk.remount("rw")
        wait_for(lambda: pushed(client, b"after"), RECOVERED_SECONDS, "a push")
        server.finish()


def test_the_disk_of_the_database_turns_read_only(tmp_path: Path) -> None:
    """After an error of its disk the kernel takes no more writes: pulls go on, pushes get 503, nothing is lost."""
    data = tmp_path / "server" / "data"
    with (
        image_disk(data, tmp_path / "image", 64) as disk,
        Server(tmp_path / "server", {"LONGSHORE_STORAGE_URL": (tmp_path / "store").as_uri()}) as server,
        server.registry.client(server.registry.admin) as client,
    ):
        kept = push_image(client, "library/kept", "1", b"{}", some_bytes(MEGABYTE))
        disk.fail()
        wait_for(lambda: not pushed(client, b"lost?"), 10, "a refusal")
        for _ in range(3):
            check_refusal(push_blob(client, "library/kept", b"lost?"), 503)
            check_pulls(server.registry, kept)
            time.sleep(1)
        assert server.process is not None
        assert server.process.poll() is None
        server.kill()
        disk.repair(tmp_path / "image")
        disk.mount()
        server.start()
        check_pulls(server.registry, kept)
        wait_for(lambda: pushed(client, b"after"), RECOVERED_SECONDS, "a push")
        server.finish()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process, for all that SQLite knows, is writing."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


@pytest.mark.parametrize(("seconds", "refused"), [(3, False), pytest.param(23, True, marks=pytest.mark.long)])
def test_sqlite_is_locked(tmp_path: Path, seconds: int, refused: bool) -> None:
    """A push waits for a lock of seconds; of a longer one it is told 503 in time. Pulls and /livez don't notice."""
    with Server(tmp_path, {}) as server, server.registry.client(server.registry.admin) as client:
        kept = push_image(client, "library/kept", "1", b"{}", some_bytes(MEGABYTE))
        statuses: list[int] = []

        def push(_stopping: object) -> None:
            with server.registry.client(server.registry.admin) as own:
                answer = push_blob(own, "library/kept", some_bytes(1000, len(statuses)))
            if answer.status_code != httpx.codes.CREATED:
                assert "locked" in check_refusal(answer, 503)
            statuses.append(answer.status_code)

        slowest = 0.0
        with running(push, count=4):
            with locked(tmp_path / "data" / "longshore.db"):
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    began = time.monotonic()
                    check_pulls(server.registry, kept)
                    assert client.get("/livez").status_code == httpx.codes.OK
                    slowest = max(slowest, time.monotonic() - began)
                    time.sleep(0.1)
            wait_for(lambda: pushed(client, b"after"), RECOVERED_SECONDS, "a push")
        assert set(statuses) == ({503} if refused else {201})
        assert slowest < 1
        server.finish()
