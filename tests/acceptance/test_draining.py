# SPDX-License-Identifier: Apache-2.0
"""What a front proxy sees of a server that stops: unready first, no connection that ends under a request, then nobody."""

from __future__ import annotations

import base64
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.acceptance.replicas import ADMIN, Replica
from tests.acceptance.server import check_log, free_port, log_tail

HELLO = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def _draining(folder: Path) -> Iterator[Replica]:
    """A server that has a drain delay; the block stops it."""
    environment = {
        "PATH": os.environ["PATH"],
        "LONGSHORE_PORT": str(free_port()),
        "LONGSHORE_DATA_DIR": str(folder / "data"),
        "LONGSHORE_ADMIN_PASSWORD": ADMIN.password,
        "LONGSHORE_DRAIN_DELAY": "2s",
        "LONGSHORE_WORKERS": "2",
    }
    replica = Replica(folder, environment, "all")
    replica.start()
    try:
        yield replica
        assert replica.running.wait(30) == 0, log_tail(replica.log)
        check_log(replica.log)
    finally:
        if replica.running.poll() is None:
            replica.kill()


def _connect(replica: Replica) -> socket.socket:
    return socket.create_connection(("127.0.0.1", replica.port), timeout=10)


def test_who_comes_while_the_server_starts_waits(tmp_path: Path) -> None:
    """A proxy that knows of no readiness sends requests as soon as somebody listens: they are answered, not turned away."""
    with _draining(tmp_path) as replica:
        replica.running.send_signal(signal.SIGTERM)
        assert replica.running.wait(30) == 0
        answers: list[httpx.Response] = []

        def ask() -> None:
            until = time.monotonic() + 30
            while not answers and time.monotonic() < until:
                try:
                    answers.append(httpx.get(f"{replica.registry.url}/v2/", timeout=20))
                except httpx.ConnectError:
                    time.sleep(0.005)

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        replica.start()
        for thread in asking:
            thread.join(30)
        assert answers
        assert {answer.status_code for answer in answers} == {401}
        replica.running.send_signal(signal.SIGTERM)


def test_idle_connections_end_with_an_answer_while_the_server_drains(tmp_path: Path) -> None:
    """A proxy's kept connection is closed by an answer, not under its next request; unready says so as well."""
    with _draining(tmp_path) as replica, httpx.Client(base_url=replica.registry.url, trust_env=False) as client:
        assert "connection" not in client.get("/livez").headers
        replica.running.send_signal(signal.SIGTERM)
        until = time.monotonic() + 2
        while (answer := client.get("/readyz")).status_code == 200:
            assert time.monotonic() < until
        assert answer.status_code == 503
        for path in ("/livez", "/v2/", "/api/v2.0/ping"):
            answer = client.get(path)
            assert answer.headers["connection"] == "close", path
            assert answer.status_code < 500, path


@pytest.mark.parametrize("api", [False, True])
def test_an_answer_under_way_ends_its_connection_too(tmp_path: Path, api: bool) -> None:
    """A request that began before the server drained is answered after it, and its connection isn't used again."""
    login = base64.b64encode(f"{ADMIN.username}:{ADMIN.password}".encode()).decode()
    body = b'{"project_name": "spanning"}'
    with _draining(tmp_path) as replica, _connect(replica) as connection:
        line = "POST /api/v2.0/projects"
        if not api:
            with replica.registry.client(ADMIN) as client:
                line = f"PATCH {client.post('/v2/library/x/blobs/uploads/').headers['location']}"
        headers = f"Host: x\r\nAuthorization: Basic {login}\r\nContent-Length: {len(body)}\r\n"
        kind = "Content-Type: application/json\r\n" if api else ""
        connection.sendall(f"{line} HTTP/1.1\r\n{headers}{kind}\r\n".encode() + body[:5])
        time.sleep(0.3)
        replica.running.send_signal(signal.SIGTERM)
        until = time.monotonic() + 2
        while httpx.get(f"{replica.registry.url}/readyz").status_code == 200:
            assert time.monotonic() < until
        connection.sendall(body[5:])
        answer = connection.recv(4096)
        assert answer.startswith((b"HTTP/1.1 201", b"HTTP/1.1 202")), answer
        assert b"connection: close" in answer.lower()


def test_a_request_that_follows_its_connection_late_is_answered(tmp_path: Path) -> None:
    """Who has connected before the server stopped accepting may still ask; who comes later is refused at once."""
    with _draining(tmp_path) as replica:
        waiting = [_connect(replica) for _ in range(8)]
        replica.running.send_signal(signal.SIGTERM)
        until = time.monotonic() + 10
        while True:
            try:
                _connect(replica).close()
            except ConnectionRefusedError:
                break
            assert time.monotonic() < until
            time.sleep(0.02)
        for connection in waiting:
            connection.sendall(HELLO)
        for connection in waiting:
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b"connection: close" in answer.lower()
            connection.close()
