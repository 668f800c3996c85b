# SPDX-License-Identifier: Apache-2.0
"""A disk runs full: of the store, of the database, of both."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.crash.pushing import check_pulls, check_refusal, digest_of
from tests.databases import Databases
from tests.faults.background import running
from tests.faults.content import begin_upload, push_blob, push_image, push_manifest, received, slowly, some_bytes
from tests.faults.disks import MEGABYTE, Disk, small_disk
from tests.faults.server import Server, wait_for

RECOVERED_SECONDS = 10.0


@pytest.fixture
def settings(databases: Databases) -> dict[str, str]:
    """A server on the database of the test that gives space back without delay."""
    fast = {"LONGSHORE_RECLAIM_DELAY": "0", "LONGSHORE_TRASH_DAYS": "0", "LONGSHORE_UPLOAD_GRACE": "5s"}
    return fast if databases.path is not None else {**fast, "LONGSHORE_DATABASE_URL": databases.url}


def accepted(client: httpx.Client, repository: str, blob: bytes) -> bool:
    """Whether a push is taken; refused with 507 or 503 it is tried again."""
    answer = push_blob(client, repository, blob)
    if answer.status_code == httpx.codes.CREATED:
        return True
    check_refusal(answer, 503, 507)
    return False


def keep_full(disk: Disk, stopping: threading.Event) -> None:
    """Takes also the room that a refused push gives back."""
    while not stopping.is_set():
        disk.fill()
        time.sleep(0.05)


def test_the_disk_of_the_store_is_full(tmp_path: Path, settings: dict[str, str]) -> None:
    """Pushes get 507 and leave nothing to be seen; pulls, deletions and reclaim go on; with space pushes go on."""
    store = tmp_path / "store"
    with (
        small_disk(store, 64) as disk,
        Server(tmp_path / "server", {**settings, "LONGSHORE_STORAGE_URL": store.as_uri()}) as server,
        server.registry.client(server.registry.admin) as client,
    ):
        kept = push_image(client, "library/kept", "1", b"{}", some_bytes(4 * MEGABYTE))
        gone = push_image(client, "library/gone", "1", b"{}", some_bytes(16 * MEGABYTE))
        chunked = begin_upload(client, "library/kept")
        first = some_bytes(2 * MEGABYTE, 7)
        assert client.patch(chunked, content=first).status_code == httpx.codes.ACCEPTED
        disk.fill(leave=6 * MEGABYTE)
        # A body that fits in no way is refused while it streams in.
        large = some_bytes(12 * MEGABYTE, 1)
        message = check_refusal(push_blob(client, "library/kept", large), 507)
        assert "full" in message
        assert client.head(f"/v2/library/kept/blobs/{digest_of(large)}").status_code == httpx.codes.NOT_FOUND
        streamed = begin_upload(client, "library/kept")
        with running(partial(keep_full, disk)):
            answer = client.patch(streamed, content=slowly(some_bytes(5 * MEGABYTE, 9), 2))
            check_refusal(answer, 507)
            check_refusal(push_blob(client, "library/kept", some_bytes(MEGABYTE, 2)), 507)
            check_refusal(client.patch(chunked, content=some_bytes(MEGABYTE, 8)), 507)
        check_pulls(server.registry, kept)
        assert push_manifest(client, "library/kept", "2", *kept.blobs.values()).status_code == httpx.codes.CREATED
        digest = digest_of(gone.manifests["library/gone", "1"])
        assert client.delete(f"/v2/library/gone/manifests/{digest}").status_code == httpx.codes.ACCEPTED
        # What is deleted comes back as room, though the disk is full.
        wait_for(lambda: accepted(client, "library/kept", some_bytes(8 * MEGABYTE, 3)), 30, "a push into the room")
        disk.free()
        wait_for(lambda: accepted(client, "library/kept", large), RECOVERED_SECONDS, "a push")
        server.settle()
        check_pulls(server.registry, kept)
        server.finish()


def test_pushes_fill_the_one_disk_of_everything(tmp_path: Path) -> None:
    """Uploads are refused while there is still room for the database, so that deleting gives space back."""
    settings = {
        "LONGSHORE_STORAGE_RESERVE": "16MiB",
        "LONGSHORE_RECLAIM_DELAY": "0",
        "LONGSHORE_TRASH_DAYS": "0",
        "LONGSHORE_UPLOAD_GRACE": "5s",
    }
    with (
        small_disk(tmp_path / "server" / "data", 64),
        Server(tmp_path / "server", settings) as server,
        server.registry.client(server.registry.admin) as client,
    ):
        gone = push_image(client, "library/gone", "1", b"{}", some_bytes(8 * MEGABYTE))
        kept = push_image(client, "library/kept", "1", b"{}", some_bytes(4 * MEGABYTE))
        number = 0
        while accepted(client, "library/filling", some_bytes(4 * MEGABYTE, number)):
            assert push_manifest(client, "library/filling", "1", some_bytes(4 * MEGABYTE, number)).is_success
            number += 1
            assert number < 16
        digest = digest_of(gone.manifests["library/gone", "1"])
        assert client.delete(f"/v2/library/gone/manifests/{digest}").status_code == httpx.codes.ACCEPTED
        wait_for(lambda: accepted(client, "library/kept", some_bytes(3 * MEGABYTE, 99)), 30, "a push into the room")
        check_pulls(server.registry, kept)
        server.finish()


def test_the_disk_of_the_database_is_full(tmp_path: Path) -> None:
    """What has to be written is told 507; pulls go on; nothing that was acknowledged is lost; it recovers by itself."""
    settings = {"LONGSHORE_STORAGE_URL": (tmp_path / "store").as_uri()}
    with (
        small_disk(tmp_path / "server" / "data", 32) as disk,
        Server(tmp_path / "server", settings) as server,
        server.registry.client(server.registry.admin) as client,
    ):
        kept = push_image(client, "library/kept", "1", b"{}", some_bytes(MEGABYTE))
        disk.fill()
        refused = 0
        for number in range(400):
            # The journal has room left that it doesn't give back: it takes a few pushes to use it up.
            blob = some_bytes(1000, number)
            answer = push_blob(client, "library/kept", blob)
            if answer.status_code == httpx.codes.CREATED:
                kept.blobs["library/kept", digest_of(blob)] = blob
                continue
            assert "full" in check_refusal(answer, 507)
            refused += 1
            if refused == 20:
                break
        assert refused == 20
        check_refusal(push_manifest(client, "library/kept", "2", b"{}"), 507)
        check_pulls(server.registry, kept)
        time.sleep(3)
        told = [line for line in server.events() if line["level"] != "info"]
        assert len(told) < 6, told
        disk.free()
        wait_for(lambda: accepted(client, "library/kept", b"after"), RECOVERED_SECONDS, "a push")
        server.settle()
        check_pulls(server.registry, kept)
        server.finish()


def test_a_push_goes_on_when_the_database_has_room_again(tmp_path: Path) -> None:
    """A chunk that the full database couldn't record isn't acknowledged; the upload goes on from what was."""
    settings = {"LONGSHORE_STORAGE_URL": (tmp_path / "store").as_uri()}
    with (
        small_disk(tmp_path / "server" / "data", 32) as disk,
        Server(tmp_path / "server", settings) as server,
        server.registry.client(server.registry.admin) as client,
    ):
        upload = begin_upload(client, "library/chunked")
        blob = some_bytes(300_000)
        assert client.patch(upload, content=blob[:100_000]).status_code == httpx.codes.ACCEPTED
        disk.fill()
        while push_blob(client, "library/chunked", b"filling").status_code != 507:
            pass
        check_refusal(client.patch(upload, content=blob[100_000:200_000]), 507)
        disk.free()
        assert received(client, upload) == 100_000
        answer = client.put(upload, params={"digest": digest_of(blob)}, content=blob[100_000:], timeout=60)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        assert client.get(f"/v2/library/chunked/blobs/{digest_of(blob)}").content == blob
        server.finish()
