# SPDX-License-Identifier: Apache-2.0
"""What the supervisor and its HTTP processes tell each other: a few bytes of memory that survive the fork."""

from __future__ import annotations

import mmap
import os
import signal
import struct
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, generate_latest

LEAVE = signal.SIGUSR1
"""The supervisor sends it to a process that is to stop accepting and to go on with the connections it has."""

_NUMBER = struct.Struct("d")


class ServerState:
    """What all processes of a server know: whether it is complete, whether it drains, and when its certificate expires."""

    def __init__(self, processes: int = 1) -> None:
        self._processes = processes
        self._memory = mmap.mmap(-1, 1 + _NUMBER.size + processes)

    @property
    def complete(self) -> bool:
        """Whether each of the processes has once been ready: from then on any connection finds one that can serve it."""
        return all(self._memory[1 + _NUMBER.size :])

    def count(self, number: int) -> None:
        """The process of this number is ready."""
        self._memory[1 + _NUMBER.size + number] = 1

    @property
    def draining(self) -> bool:
        """Whether the server is on its way out."""
        return self._memory[0] == 1

    def drain(self) -> None:
        """From now on the server is unready."""
        self._memory[0] = 1

    @property
    def certificate_expiry(self) -> float:
        """When the certificate that is served expires, in seconds since 1970; 0 without TLS."""
        return float(_NUMBER.unpack_from(self._memory, 1)[0])

    @certificate_expiry.setter
    def certificate_expiry(self, seconds: float) -> None:
        _NUMBER.pack_into(self._memory, 1, seconds)


class ProcessState:
    """What the supervisor and one HTTP process know of each other. It is made before the process.

    Attributes:
        number: The process' number among those of the server, from 0.
        patience: How many seconds the process may take before it accepts connections although it can't serve them.
        successor: Whether it takes the place of another one: then it has to be able to serve everything, not just pushes and
            pulls, which a first start is quicker with.
        on_leave: What the process does, beside answering with `Connection: close`, when it is to accept no more.
    """

    def __init__(self, server: ServerState, number: int = 0, *, patience: float = 0.0, successor: bool = False) -> None:
        self.number = number
        self.successor = successor
        self.patience = patience
        self.on_leave: Callable[[], None] | None = None
        self._server = server
        self._memory = mmap.mmap(-1, 2)

    @property
    def server(self) -> ServerState:
        """What all processes of the server know."""
        return self._server

    @property
    def ready(self) -> bool:
        """Whether the process has been able to serve everything."""
        return self._memory[0] == 1

    def become_ready(self) -> None:
        """The process has opened everything."""
        self._memory[0] = 1
        self._server.count(self.number)

    @property
    def closing(self) -> bool:
        """Whether each connection is to end with the answer that goes out on it next."""
        return self._memory[1] == 1

    def close_connections(self) -> None:
        """From now on no answer leaves a connection open, so that none has a request on it when the process stops."""
        self._memory[1] = 1

    def ask_to_leave(self, process: int) -> None:
        """Tells the process, by its number, to accept no more; called by the supervisor."""
        self.close_connections()
        os.kill(process, LEAVE)

    def leave(self) -> None:
        """Stops accepting; called in the process."""
        if self.on_leave is not None:
            self.on_leave()


def server_metrics(server: ServerState) -> bytes:
    """What /metrics says of the server as a whole; nothing without TLS."""
    if not server.certificate_expiry:
        return b""
    registry = CollectorRegistry()
    Gauge(
        "longshore_tls_certificate_expiry_seconds",
        "When the certificate that is served expires, in seconds since 1970. Absent without TLS.",
        registry=registry,
    ).set(server.certificate_expiry)
    return generate_latest(registry)
