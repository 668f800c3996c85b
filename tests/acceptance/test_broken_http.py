# SPDX-License-Identifier: Apache-2.0
"""Broken HTTP over real sockets: whatever arrives, the server answers below 500 or hangs up, and serves the next one."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.acceptance.kinds import Kind
from tests.acceptance.server import Registry
from tests.integration.distribution.strange import one_wrong_part

SECONDS = 10.0

# What stands before the empty line, and what comes after it. `HOST` and `AUTH` are filled in.
BROKEN = {
    "no request at all": b"\r\n\r\n",
    "binary": bytes(range(256)),
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no version": b"GET /v2/\r\n\r\n",
    "HTTP 1.0 without Host": b"GET /v2/ HTTP/1.0\r\n\r\n",
    "HTTP 1.1 without Host": b"GET /v2/ HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "an unknown version": b"GET /v2/ HTTP/9.9\r\nHOST\r\n",
    "an odd method": b"G\xc3\x89T /v2/ HTTP/1.1\r\nHOST\r\n",
    "a method of another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no path": b"GET HTTP/1.1\r\nHOST\r\n",
    "an absolute target": b"GET http://elsewhere.test/v2/ HTTP/1.1\r\nHOST\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\nHOST\r\n",
    "a space in the path": b"GET /v2/a b/tags/list HTTP/1.1\r\nHOST\r\n",
    "broken percent encoding": b"GET /v2/%zz%/%FF%FE%00/tags/list HTTP/1.1\r\nHOSTAUTH\r\n",
    "half of a character": b"GET /v2/demo/%C3/tags/list?last=%C3&n=%E2%82 HTTP/1.1\r\nHOSTAUTH\r\n",
    "raw bytes in the path": b"GET /v2/\xff\xfe/tags/list HTTP/1.1\r\nHOSTAUTH\r\n",
    "dots in the path": b"GET /v2/../../etc/passwd HTTP/1.1\r\nHOSTAUTH\r\n",
    "a very long path": b"GET /v2/" + b"a/" * 20_000 + b"tags/list HTTP/1.1\r\nHOSTAUTH\r\n",
    "an endless path": b"GET /" + b"a" * 2_000_000,
    "an endless header": b"GET /v2/ HTTP/1.1\r\nX: " + b"a" * 2_000_000,
    "very many headers": b"GET /v2/ HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    "a header without a colon": b"GET /v2/ HTTP/1.1\r\nHOSTnonsense\r\n\r\n",
    "a header with a zero": b"GET /v2/ HTTP/1.1\r\nHOSTX: a\x00b\r\n\r\n",
    "a header that is not ASCII": b"GET /v2/ HTTP/1.1\r\nHOSTAUTHX-Request-Id: \xff\xfe\r\nAccept: \xe2\x82\xac\r\n\r\n",
    "a folded header": b"GET /v2/ HTTP/1.1\r\nHOSTX: a\r\n b\r\n\r\n",
    "a negative length": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHContent-Length: -1\r\n\r\n",
    "no number as length": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHContent-Length: ten\r\n\r\n",
    "an enormous length": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHContent-Length: "
    + b"9" * 40
    + b"\r\n\r\n",
    "two lengths": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v2/ HTTP/1.1\r\nHOST\r\n",
    "a form with a broken chunk": b"POST /service/token HTTP/1.1\r\nHOSTContent-Type: application/x-www-form-urlencoded\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a form that breaks off": b"POST /service/token HTTP/1.1\r\nHOSTContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 100\r\n\r\nabc",
    "an API body that breaks off": b"POST /api/v2.0/projects HTTP/1.1\r\nHOSTAUTHContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{}",
    "an unknown encoding": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHTransfer-Encoding: rot13\r\n\r\nab",
    "no chunk size": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "an enormous chunk": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHTransfer-Encoding: chunked\r\n\r\n"
    + b"f" * 40
    + b"\r\n",
    "a chunk without end": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nabcdefgh\r\n",
    "an expectation": b"PUT /v2/demo/app/manifests/x HTTP/1.1\r\nHOSTAUTHExpect: 200-maybe\r\nContent-Length: 0\r\n\r\n",
    "an upgrade": b"GET /v2/ HTTP/1.1\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
}


# What is no request never comes as far as a store.
pytestmark = pytest.mark.parametrize("server", [Kind.EMBEDDED], ids=lambda kind: kind.value, indirect=True)


@pytest.fixture(scope="module")
def repository(server: Registry) -> str:
    """A repository with one blob of 8 MiB; its name."""
    name = f"{server.make_project(public=False, prefix='broken')}/app"
    payload = bytes(8 * 1024 * 1024)
    with server.client(server.admin) as client:
        digest = f"sha256:{hashlib.sha256(payload).hexdigest()}"
        answer = client.post(f"/v2/{name}/blobs/uploads/?digest={digest}", content=payload)
    assert answer.status_code == httpx.codes.CREATED
    return name


@contextmanager
def connection(server: Registry) -> Iterator[socket.socket]:
    """A bare connection."""
    host, _, port = server.host.partition(":")
    with socket.create_connection((host, int(port)), SECONDS) as sock:
        yield sock


def filled(server: Registry, text: bytes) -> bytes:
    """The request with a host and the administrator's credentials."""
    credentials = base64.b64encode(f"{server.admin.username}:{server.admin.password}".encode())
    return text.replace(b"HOST", f"Host: {server.host}\r\n".encode()).replace(
        b"AUTH", b"Authorization: Basic " + credentials + b"\r\n"
    )


def exchange(server: Registry, request: bytes) -> bytes:
    """What the server says to these bytes before it hangs up, or before we have said that nothing more comes."""
    received = b""
    with connection(server) as sock, suppress(ConnectionError, TimeoutError, OSError):
        sock.settimeout(0.5)
        sock.sendall(request)
        with suppress(TimeoutError):
            while piece := sock.recv(65_536):
                received += piece
        sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65_536):
            received += piece
    return received


def statuses(received: bytes) -> list[int]:
    """The statuses of all answers that came."""
    found = []
    for line in received.split(b"\r\n"):
        start = line.rfind(b"HTTP/1.")
        if start >= 0 and line[start + 9 : start + 12].isdigit():
            found.append(int(line[start + 9 : start + 12]))
    return found


def is_well(server: Registry) -> None:
    """The server serves the next one."""
    with server.client(server.admin) as client:
        assert client.get("/v2/").status_code == httpx.codes.OK


@pytest.mark.parametrize("what", BROKEN)
def test_broken_requests(server: Registry, what: str) -> None:
    """What is no request is answered below 500 or not at all, and harms nobody else."""
    answers = statuses(exchange(server, filled(server, BROKEN[what])))
    assert all(status < 500 for status in answers), (what, answers)
    is_well(server)


def test_every_part_wrong_over_the_wire(server: Registry) -> None:
    """The requests with one wrong part, as the server really parses them: below 500 each."""
    unanswered = 0
    for request in one_wrong_part():
        lines = [f"{name}: {value}" for name, value in request.headers]
        names = {name for name, _ in request.headers}
        head = [f"{request.method} {request.target} HTTP/1.1", *lines, "Connection: close"]
        if "content-length" not in names:
            head.append(f"Content-Length: {len(request.body)}")
        text = "\r\n".join(head).encode("latin-1") + b"\r\n"
        text += (b"" if "host" in names else b"HOST") + (b"" if "authorization" in names else b"AUTH") + b"\r\n"
        answers = statuses(exchange(server, filled(server, text) + request.body))
        assert all(status < 500 for status in answers), (request, answers)
        unanswered += not answers
    assert unanswered == 0
    is_well(server)


def test_a_refused_body_gets_its_answer(server: Registry, repository: str) -> None:
    """A client that sends megabytes before it listens is told why they were refused, on a connection that stays."""
    with server.client(server.admin) as client:
        location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
    size = 20 * 1024 * 1024
    head = (
        f"PATCH {location} HTTP/1.1\r\nHOSTAUTHContent-Range: 7-{size + 6}\r\nContent-Length: {size}\r\n\r\n".encode()
    )
    last = b"GET /v2/ HTTP/1.1\r\nHOSTAUTHConnection: close\r\n\r\n"
    received = b""
    with connection(server) as sock:
        sock.sendall(filled(server, head) + bytes(size) + filled(server, last))
        while piece := sock.recv(65_536):
            received += piece
    assert statuses(received) == [416, 200]


def test_clients_that_hang_up(server: Registry, repository: str) -> None:
    """Connections that end anywhere in a request or an answer leave a server that serves, and uploads that go on."""
    with server.client(server.admin) as client:
        location = client.post(f"/v2/{repository}/blobs/uploads/").headers["location"]
        digest = hashlib.sha256(bytes(8 * 1024 * 1024)).hexdigest()
    head = filled(server, f"PATCH {location} HTTP/1.1\r\nHOSTAUTHContent-Length: 10000000\r\n\r\n".encode())
    whole = head + b"x" * 100_000
    for cut in (0, 1, 10, len(head) - 4, len(head)):
        with connection(server) as sock:
            sock.sendall(whole[:cut])
    sent = 0
    with connection(server) as sock:
        sock.sendall(whole)
        sent = len(whole) - len(head)
        time.sleep(0.2)
    get = filled(server, f"GET /v2/{repository}/blobs/sha256:{digest} HTTP/1.1\r\nHOSTAUTH\r\n".encode())
    for taken in (0, 1, 100_000):
        with connection(server) as sock:
            sock.sendall(get)
            left = taken
            while left > 0:
                left -= len(sock.recv(min(left, 65_536)))
    is_well(server)
    deadline = time.monotonic() + SECONDS
    with server.client(server.admin) as client:
        arrived = ""
        while arrived != f"0-{sent - 1}" and time.monotonic() < deadline:
            arrived = client.get(location).headers["range"]
            time.sleep(0.05)
        assert arrived == f"0-{sent - 1}"
        rest = os.urandom(1000)
        assert client.patch(location, content=rest).status_code == httpx.codes.ACCEPTED
        whole_digest = hashlib.sha256(b"x" * sent + rest).hexdigest()
        answer = client.put(f"{location}?digest=sha256:{whole_digest}")
        assert answer.status_code == httpx.codes.CREATED
