# SPDX-License-Identifier: Apache-2.0
"""Exchanges of the certificate that don't come to their end: what the new processes have begun is finished all the same."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import socket
import ssl
import time
from pathlib import Path

import psutil
import pytest

from tests.acceptance.certificates import Pair, make_pair
from tests.acceptance.server import log_tail
from tests.acceptance.test_tls import ADMIN, TLSServer, tls_server

SIZE = 30_000_000
SECONDS = 4.0
PIECES = 20


def _serving(server: TLSServer) -> set[psutil.Process]:
    """The HTTP processes: the worker role's process has let go of the listening sockets."""
    children = psutil.Process(server.process.pid).children()
    return {child for child in children if any(c.laddr.port == server.port for c in child.net_connections())}


def _connect_to(server: TLSServer, pair: Pair) -> ssl.SSLSocket:
    """A connection that is shown this certificate: until all processes have it, another attempt may meet another one."""
    expected = ssl.PEM_cert_to_DER_cert(pair.chain.read_text())
    until = time.monotonic() + 20
    while time.monotonic() < until:
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        secure = ssl._create_unverified_context().wrap_socket(plain)  # noqa: S323
        if secure.getpeercert(binary_form=True) == expected:
            return secure
        secure.close()
    raise AssertionError("no process shows the new certificate")


def _children(server: TLSServer) -> set[int]:
    """All processes of the server, asked of the kernel directly: a look takes much less than a start."""
    parent = server.process.pid
    return {int(number) for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()}


def _hold_one_back(server: TLSServer, old: set[int]) -> int:
    """Stops one of two new processes before it can be ready."""
    until = time.monotonic() + 20
    while not (fresh := _children(server) - old):
        assert time.monotonic() < until
        time.sleep(0.002)
    process = fresh.pop()
    os.kill(process, signal.SIGSTOP)
    return process


def _take_slowly(connection: ssl.SSLSocket) -> str:
    """The digest of the body that arrives."""
    found, head = hashlib.sha256(), b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        assert piece, "the connection was cut off"
        head += piece
    head, _, body = head.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    taken = 0
    while True:
        found.update(body)
        taken += len(body)
        if taken == SIZE:
            break
        if taken % (SIZE // PIECES) < len(body):
            time.sleep(SECONDS / PIECES)
        body = connection.recv(65536)
        assert body, f"the connection was cut off after {taken} bytes"
    return f"sha256:{found.hexdigest()}"


@pytest.mark.parametrize("reason", ["a new process ended while it started", "the server is shutting down"])
def test_what_a_new_process_serves_is_finished_although_the_exchange_fails(tmp_path: Path, reason: str) -> None:
    """One new process serves, the other never gets ready: the first one's transfers aren't cut off."""
    first, second = make_pair(tmp_path, "first"), make_pair(tmp_path, "second")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    shutil.copy(first.chain, chain)
    shutil.copy(first.key, key)
    content = os.urandom(SIZE)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with tls_server(tmp_path, chain, key, LONGSHORE_WORKERS="2") as server:
        with server.client() as client:
            assert client.post(f"/v2/library/x/blobs/uploads/?digest={digest}", content=content).status_code == 201
        old, known = _serving(server), _children(server)
        shutil.copy(second.chain, chain)
        shutil.copy(second.key, key)
        server.process.send_signal(signal.SIGHUP)
        held = _hold_one_back(server, known)
        with _connect_to(server, second) as connection:
            login = base64.b64encode(":".join(ADMIN).encode()).decode()
            ask = f"GET /v2/library/x/blobs/{digest} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\n\r\n"
            connection.sendall(ask.encode())
            if "shutting down" in reason:
                server.process.send_signal(signal.SIGTERM)
            else:
                os.kill(held, signal.SIGKILL)
            until = time.monotonic() + 20
            while not server.logged(reason):
                assert time.monotonic() < until, log_tail(server.log)
                time.sleep(0.05)
            assert _take_slowly(connection) == digest
        if "shutting down" not in reason:
            # Those that showed the new certificate go, and nobody is turned away.
            server.wait_for(lambda: _serving(server) == old)
            assert {server.subject() for _ in range(6)} == {"first"}
