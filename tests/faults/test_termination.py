# SPDX-License-Identifier: Apache-2.0
"""A server is told to stop, or killed, while it transfers; another one goes on."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from tests.crash.pushing import check_pulls, digest_of
from tests.databases import Databases
from tests.faults.background import running
from tests.faults.content import begin_upload, push_image, received, slowly, some_bytes
from tests.faults.disks import MEGABYTE
from tests.faults.postgresql import query
from tests.faults.raw import connect, read_head, send_head
from tests.faults.server import Server, wait_for


def test_sigterm_lets_transfers_end(tmp_path: Path) -> None:
    """A download and an upload that are under way end well within the drain timeout, and the exit is clean."""
    with Server(tmp_path, {"LONGSHORE_DRAIN_TIMEOUT": "30s"}) as server:
        blob, large = some_bytes(2 * MEGABYTE), some_bytes(24 * MEGABYTE, 1)
        with server.registry.client(server.registry.admin) as client:
            push_image(client, "library/large", "1", b"{}", large)
            upload = begin_upload(client, "library/slow")
        begun, ended = threading.Barrier(3), []

        def push(_stopping: threading.Event) -> None:
            with server.registry.client(server.registry.admin) as own:
                begun.wait(10)
                answer = own.put(upload, params={"digest": digest_of(blob)}, content=slowly(blob, 4))
                ended.append(("push", answer.status_code))

        def pull(_stopping: threading.Event) -> None:
            with (
                server.registry.client(server.registry.admin) as own,
                own.stream("GET", f"/v2/library/large/blobs/{digest_of(large)}") as answer,
            ):
                begun.wait(10)
                content = b""
                for piece in answer.iter_raw(MEGABYTE):
                    content += piece
                    time.sleep(4 / 24)
                ended.append(("pull", answer.status_code if content == large else 0))

        with running(push), running(pull):
            begun.wait(10)
            time.sleep(1)
            assert server.process is not None
            server.process.terminate()
            time.sleep(0.5)
            with server.registry.client() as late, suppress(httpx.TransportError):
                assert late.get("/livez").status_code in {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}
            assert server.process.poll() is None
            assert server.process.wait(30) == 0
        assert sorted(ended) == [("pull", 200), ("push", 201)]
        server.start()
        with server.registry.client(server.registry.admin) as client:
            assert client.get(f"/v2/library/slow/blobs/{digest_of(blob)}").content == blob
        server.finish()


def test_a_transfer_that_stands_still_does_not_keep_the_server(tmp_path: Path) -> None:
    """After the drain timeout the server goes, whoever has not ended by then."""
    with Server(tmp_path, {"LONGSHORE_DRAIN_TIMEOUT": "3s"}) as server, ExitStack() as stack:
        with server.registry.client(server.registry.admin) as client:
            large = some_bytes(16 * MEGABYTE)
            kept = push_image(client, "library/large", "1", b"{}", large)
        stalled = stack.enter_context(connect(server.registry, buffer=4096))
        send_head(stalled, server.registry, "GET", f"/v2/library/large/blobs/{digest_of(large)}")
        read_head(stalled)
        began = time.monotonic()
        assert server.process is not None
        server.process.terminate()
        assert server.process.wait(30) == 0
        assert 2 < time.monotonic() - began < 12
        server.start()
        check_pulls(server.registry, kept)
        server.finish()


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
def test_an_upload_goes_on_at_another_server(tmp_path: Path, databases: Databases) -> None:
    """The server that receives an upload is killed: another one has what was acknowledged, and finishes it."""
    settings = {
        "LONGSHORE_DATABASE_URL": databases.url,
        "LONGSHORE_STORAGE_URL": (tmp_path / "store").as_uri(),
        "LONGSHORE_WORKERS": "1",
    }
    blob = some_bytes(4 * MEGABYTE)
    with (
        Server(tmp_path / "first", settings) as first,
        Server(tmp_path / "second", settings) as second,
        first.registry.client(first.registry.admin) as client,
        second.registry.client(second.registry.admin) as other,
    ):
        kept = push_image(client, "library/kept", "1", b"{}", some_bytes(MEGABYTE, 5))
        upload = begin_upload(client, "library/moved")
        assert client.patch(upload, content=blob[:MEGABYTE]).status_code == httpx.codes.ACCEPTED

        def push(_stopping: threading.Event) -> None:
            with pytest.raises(httpx.TransportError):
                client.patch(upload, content=slowly(blob[MEGABYTE:], 10))

        with running(push):
            time.sleep(2)
            first.kill()
        check_pulls(second.registry, kept)
        offset = received(other, upload)
        assert offset >= MEGABYTE
        # The lease of the one that died ends after thirty seconds, which aren't waited for here.
        query(databases.url, "UPDATE upload_sessions SET owner_until = 1 WHERE state = 'receiving'")
        answer = other.put(upload, params={"digest": digest_of(blob)}, content=blob[offset:], timeout=90)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        assert other.get(f"/v2/library/moved/blobs/{digest_of(blob)}").content == blob
        first.start()
        wait_for(first.ready, 10, "the first server")
        check_pulls(first.registry, kept)
        first.stop()
        second.finish()
