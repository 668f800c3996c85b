# SPDX-License-Identifier: Apache-2.0
"""What supervisor and processes tell each other."""

from __future__ import annotations

from longshore.lifecycle import ProcessState, ServerState, server_metrics


def test_a_server_is_complete_when_each_process_was_ready() -> None:
    """One process that is ready doesn't make a server ready: a connection may meet another one."""
    server = ServerState(2)
    first, second = ProcessState(server, 0), ProcessState(server, 1)
    first.become_ready()
    assert first.ready
    assert not second.ready
    assert not server.complete
    second.become_ready()
    assert server.complete
    # A process that is started again, in the place of one that ended, doesn't take the server back.
    assert not ProcessState(server, 1).ready
    assert server.complete


def test_draining_and_closing_are_told_apart() -> None:
    """Processes that are replaced end their connections, but the server as a whole doesn't drain."""
    server = ServerState()
    process = ProcessState(server)
    process.close_connections()
    assert process.closing
    assert not server.draining
    server.drain()
    assert server.draining


def test_without_tls_no_metric_speaks_of_a_certificate() -> None:
    """An expiry of 0 would look like a certificate that expired in 1970."""
    server = ServerState()
    assert server_metrics(server) == b""
    server.certificate_expiry = 1_800_000_000.5
    assert b"longshore_tls_certificate_expiry_seconds 1.8000000005e+09" in server_metrics(server)
