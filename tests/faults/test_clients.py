# SPDX-License-Identifier: Apache-2.0
"""Clients that stall, vanish, do nothing, or are many."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.crash.pushing import Acknowledged, PushingClient, check_pulls, digest_of
from tests.databases import Databases
from tests.faults.background import running
from tests.faults.content import begin_upload, push_image, received, some_bytes
from tests.faults.disks import MEGABYTE
from tests.faults.raw import (
    allow_connections,
    connect,
    read_head,
    read_to_the_end,
    send_head,
    vanish,
)
from tests.faults.server import Server, wait_for

STALLED = 200
IDLE = 2000


def open_files(server: Server) -> int:
    """Descriptors of all its processes."""
    return sum(process.num_fds() for process in server.processes())


def threads(server: Server) -> int:
    """Threads of all its processes."""
    return sum(process.num_threads() for process in server.processes())


def slowest_of(server: Server, acknowledged: Acknowledged) -> float:
    """The longest of a few pulls and probes, in seconds."""
    slowest = 0.0
    for _ in range(5):
        began = time.monotonic()
        check_pulls(server.registry, acknowledged)
        slowest = max(slowest, time.monotonic() - began)
    return slowest


def test_stalled_downloads_cost_little_and_end(tmp_path: Path) -> None:
    """Each takes less than 1 MB and no thread, nobody else notices, and after the time for a transfer it is closed."""
    allow_connections(STALLED)
    with Server(tmp_path, {"LONGSHORE_TRANSFER_TIMEOUT": "8s"}) as server, ExitStack() as stack:
        with server.registry.client(server.registry.admin) as client:
            large = some_bytes(32 * MEGABYTE)
            push_image(client, "library/large", "1", b"{}", large)
            small = push_image(client, "library/small", "1", b"{}", some_bytes(10_000))
        slowest_of(server, small)
        memory, files, before = server.memory(), open_files(server), threads(server)
        path = f"/v2/library/large/blobs/{digest_of(large)}"
        stalled = [stack.enter_context(connect(server.registry, buffer=4096)) for _ in range(STALLED)]
        for connection in stalled:
            send_head(connection, server.registry, "GET", path)
        for connection in stalled:
            assert read_head(connection).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        assert open_files(server) >= files + 2 * STALLED
        assert (server.memory() - memory) / STALLED < MEGABYTE
        assert threads(server) - before <= 8
        assert slowest_of(server, small) < 2
        wait_for(lambda: open_files(server) <= files + 10, 30, "the end of stalled downloads")
        assert time.monotonic() - began > 4
        assert read_to_the_end(stalled[0]) < len(large)
        check_pulls(server.registry, small)
        server.finish()


def test_stalled_and_vanished_uploads_go_on(tmp_path: Path) -> None:
    """What arrived is kept, whether the client stands still or breaks off, and the upload goes on from there."""
    settings = {"LONGSHORE_TRANSFER_TIMEOUT": "4s"}
    blob, arrives = some_bytes(3 * MEGABYTE), 1_500_000
    with (
        Server(tmp_path, settings) as server,
        server.registry.client(server.registry.admin) as client,
        ExitStack() as stack,
    ):
        server.settle()
        memory, files = server.memory(), open_files(server)
        uploads = [begin_upload(client, "library/stalled") for _ in range(20)]
        for number, upload in enumerate(uploads):
            connection = stack.enter_context(connect(server.registry))
            send_head(connection, server.registry, "PATCH", upload, len(blob))
            connection.sendall(blob[:arrives])
            if number % 2:
                time.sleep(0.05)
                vanish(connection)
        wait_for(lambda: open_files(server) <= files + 12, 30, "the end of the uploads' connections")
        # Of a client that vanishes the kernel drops what the server hadn't read yet.
        for upload in uploads[::2]:
            wait_for(partial(_all_arrived, client, upload, arrives), 15, "all that the stalled client had sent")
        for upload in uploads:
            offset = received(client, upload)
            assert offset <= arrives
            answer = client.put(upload, params={"digest": digest_of(blob)}, content=blob[offset:])
            assert answer.status_code == httpx.codes.CREATED, answer.text
        assert client.get(f"/v2/library/stalled/blobs/{digest_of(blob)}").content == blob
        assert server.memory() - memory < 40 * MEGABYTE
        server.finish()


def _all_arrived(client: httpx.Client, upload: str, size: int) -> bool:
    return received(client, upload) == size


def test_vanished_downloads_leave_nothing(tmp_path: Path) -> None:
    """Clients that break off in the middle of a download cost no descriptor and no error in the log."""
    with Server(tmp_path, {}) as server:
        with server.registry.client(server.registry.admin) as client:
            large = some_bytes(16 * MEGABYTE)
            push_image(client, "library/large", "1", b"{}", large)
        files = open_files(server)
        for _ in range(50):
            connection = connect(server.registry, buffer=4096)
            send_head(connection, server.registry, "GET", f"/v2/library/large/blobs/{digest_of(large)}")
            read_head(connection)
            vanish(connection)
        wait_for(lambda: open_files(server) <= files + 2, 10, "the end of the downloads")
        server.finish()


def test_idle_connections_cost_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two thousand clients that keep their connections take a few kilobytes each, and others are served as before."""
    allow_connections(IDLE)
    limited = ("prlimit", "--nofile=1024:8192")
    with Server(tmp_path, {}, prefix=limited) as server, ExitStack() as stack:
        with server.registry.client(server.registry.admin) as client:
            kept = push_image(client, "library/kept", "1", b"{}", some_bytes(10_000))
        slowest_of(server, kept)
        before, memory = slowest_of(server, kept), server.memory()
        idle = [stack.enter_context(connect(server.registry)) for _ in range(IDLE)]
        for connection in idle:
            send_head(connection, server.registry, "GET", "/livez")
        for connection in idle:
            assert read_head(connection).startswith(b"HTTP/1.1 200")
        each = (server.memory() - memory) / IDLE
        assert each < 64 * 1024
        assert slowest_of(server, kept) < before + 1
        for connection in idle:
            send_head(connection, server.registry, "GET", "/livez")
            assert read_head(connection).startswith(b"HTTP/1.1 200")
        with capsys.disabled():
            print(f"\n{each / 1024:.1f} KiB for each idle connection")  # noqa: T201 - the figure that was asked for
        server.finish()


_PROBE = """
import http.client, json, sys, time
host, seconds = sys.argv[1], float(sys.argv[2])
taken, until = [], time.monotonic() + seconds
while time.monotonic() < until:
    began = time.monotonic()
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200
    connection.close()
    taken.append(time.monotonic() - began)
    time.sleep(0.05)
print(json.dumps(taken))
"""


@contextmanager
def probed(server: Server, seconds: float) -> Iterator[list[float]]:
    """Asks `/livez` from a process of its own meanwhile; the list then has the seconds of each answer."""
    taken: list[float] = []
    command = [sys.executable, "-c", _PROBE, server.registry.host, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probe:
        try:
            yield taken
            output, _ = probe.communicate(timeout=seconds + 30)
        except BaseException:
            probe.kill()
            raise
    assert probe.returncode == 0
    taken.extend(json.loads(output))


def test_many_pull_while_some_push(tmp_path: Path, databases: Databases) -> None:
    """64 clients that pull and 16 that push all succeed, memory stays flat, and a probe is answered within a second."""
    settings = {} if databases.path is not None else {"LONGSHORE_DATABASE_URL": databases.url}
    seconds = 6.0
    with Server(tmp_path, settings) as server:
        with server.registry.client(server.registry.admin) as client:
            image = push_image(client, "library/pulled", "1", b"{}", some_bytes(4 * MEGABYTE), some_bytes(100_000))
        layers = [f"/v2/library/pulled/blobs/{digest}" for _, digest in image.blobs]
        done: Counter[str] = Counter()

        def pull(stopping: threading.Event) -> None:
            with server.registry.client(server.registry.admin) as own:
                while not stopping.is_set():
                    for path in ("/v2/library/pulled/manifests/1", *layers):
                        with own.stream("GET", path) as answer:
                            assert answer.status_code == httpx.codes.OK
                            size = sum(len(piece) for piece in answer.iter_raw(1 << 20))
                        assert size == int(answer.headers["Content-Length"])
                    done["pulls"] += 1

        acknowledged = Acknowledged()
        clients = [PushingClient(server.registry, number, number, acknowledged) for number in range(16)]
        memory: list[int] = []
        with probed(server, seconds) as taken, running(pull, count=64):
            for pushing in clients:
                pushing.start()
            for _ in range(6):
                time.sleep(seconds / 6)
                memory.append(server.memory())
            for pushing in clients:
                pushing.stopping.set()
            for pushing in clients:
                pushing.join(60)
        assert [pushing.failure for pushing in clients if pushing.failure is not None] == []
        assert acknowledged.interrupted == 0
        assert not acknowledged.refused
        assert done["pulls"] > 64
        assert len(acknowledged.manifests) > 16
        assert max(taken) < 1, sorted(taken)[-5:]
        assert memory[-1] - statistics.median(memory[1:3]) < 64 * MEGABYTE, memory
        check_pulls(server.registry, acknowledged)
        server.finish()
