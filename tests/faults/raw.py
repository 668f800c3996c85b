# SPDX-License-Identifier: Apache-2.0
"""HTTP by hand, for clients that stop in the middle of it."""

from __future__ import annotations

import base64
import resource
import socket
import struct

from tests.acceptance.server import Registry

_HEAD_END = b"\r\n\r\n"


def allow_connections(count: int) -> None:
    """Lets this process have so many open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 512:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 512, hard), hard))


def connect(registry: Registry, *, buffer: int = 0) -> socket.socket:
    """A connection, which takes hardly more than `buffer` bytes that nobody reads."""
    host, _, port = registry.host.partition(":")
    connection = socket.socket()
    if buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(30)
    connection.connect((host, int(port)))
    return connection


def send_head(connection: socket.socket, registry: Registry, method: str, path: str, length: int = 0) -> None:
    """The head of a request of the administrator's."""
    login = base64.b64encode(f"{registry.admin.username}:{registry.admin.password}".encode()).decode()
    connection.sendall(
        f"{method} {path} HTTP/1.1\r\nHost: {registry.host}\r\nAuthorization: Basic {login}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {length}\r\n\r\n".encode()
    )


def read_head(connection: socket.socket) -> bytes:
    """The head of the answer, and whatever came of its body with it."""
    head = b""
    while _HEAD_END not in head:
        piece = connection.recv(1024)
        assert piece, f"the connection was closed after {head!r}"
        head += piece
    return head


def read_to_the_end(connection: socket.socket) -> int:
    """How many bytes come until the server closes the connection."""
    count = 0
    try:
        while piece := connection.recv(1 << 20):
            count += len(piece)
    except ConnectionResetError:
        pass
    return count


def vanish(connection: socket.socket) -> None:
    """Breaks the connection off, as a client does that is killed or loses its network."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
