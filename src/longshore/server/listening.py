# SPDX-License-Identifier: Apache-2.0
"""The sockets that the server listens on: one for each HTTP process, kept by the supervisor.

The kernel spreads connections over sockets that share a port. A process that ends must not take its socket along, because the
connections that wait in it would be reset; so the supervisor holds every socket, and the process that follows goes on with it.
"""

from __future__ import annotations

import os
import socket

from longshore.config import Settings, SettingsError

BACKLOG = 2048


class Listeners:
    """The listening sockets, numbered like the processes."""

    def __init__(self, host: str, port: int, count: int, *, stall_seconds: float) -> None:
        """Listens from now on; a client that takes nothing for `stall_seconds` loses its connection.

        Raises:
            OSError: the address can't be had.
        """
        self._sockets: list[socket.socket] = []
        for _ in range(count):
            self._sockets.append(_listen(host, port, stall_seconds))
            port = port or self._sockets[0].getsockname()[1]

    def descriptor(self, number: int) -> int:
        """The file descriptor of one socket."""
        return self._sockets[number].fileno()

    def close(self) -> None:
        """Closes all, which refuses whoever comes when no process listens on them any more."""
        for listener in self._sockets:
            listener.close()

    def keep(self, number: int) -> None:
        """Closes all but one; called in the process that accepts from this one."""
        for other, listener in enumerate(self._sockets):
            if other != number:
                listener.close()

    def leave(self, number: int) -> None:
        """Accepts no more in this process, while others may go on with the same socket.

        Granian stops accepting only when it stops everything, and then gives up handshakes that have begun and connections
        whose first request is still on its way. So a socket that nobody connects to is put in the place of the real one:
        Granian waits there for connections that don't come, and goes on with those it has.
        """
        with socket.socket() as quiet:
            quiet.bind(("127.0.0.1", 0))
            quiet.listen(1)
            quiet.setblocking(False)
            os.dup2(quiet.fileno(), self.descriptor(number), inheritable=False)


def claim_port(settings: Settings) -> socket.socket:
    """Finds out whether the server will be able to listen, before anything is made or printed.

    Close what is returned when the listening sockets exist. Sockets of one user that share a port share its connections as
    well: without a claim two servers that start together would both find the port free, and each get a part of the requests.

    Raises:
        SettingsError: it won't.
    """
    claim = socket.socket(socket.AF_UNIX)
    try:
        family = _family(settings.host)
        address = socket.getaddrinfo(settings.host, settings.port, family, socket.SOCK_STREAM)[0][4]
        if settings.port:
            # A name that is no file and ends with its owner. Like ports it belongs to the network namespace.
            claim.bind(f"\0longshore {os.getuid()} {address}")
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        claim.close()
        raise SettingsError(
            f"LONGSHORE_HOST, LONGSHORE_PORT: can't listen on {settings.host} port {settings.port} ({error.strerror})."
            " Stop what listens there, or set LONGSHORE_PORT to another port"
        ) from error
    return claim


def _listen(host: str, port: int, stall_seconds: float) -> socket.socket:
    listener = socket.socket(_family(host))
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted connections inherit it: the end of an answer doesn't wait for the acknowledgement of its beginning.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Accepted connections inherit it. Nothing but the kernel can end one whose last bytes nobody takes: Granian would
        # wait for ever to send them.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall_seconds * 1000))
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
