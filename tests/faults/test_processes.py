# SPDX-License-Identifier: Apache-2.0
"""A process of a server dies: the others serve, and what it was doing goes on elsewhere."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.databases import Databases
from tests.faults.background import running
from tests.faults.server import Server, wait_for


@pytest.fixture
def settings(databases: Databases) -> dict[str, str]:
    """What makes a server use the database of the test."""
    return {} if databases.path is not None else {"LONGSHORE_DATABASE_URL": databases.url}


def test_a_process_that_starts_turns_nobody_away(tmp_path: Path, settings: dict[str, str]) -> None:
    """While the HTTP process is replaced new connections wait for the next one: none is answered 503."""
    with Server(tmp_path, {**settings, "LONGSHORE_WORKERS": "1"}) as server:
        server.settle()
        answered: Counter[int] = Counter()

        def ask(stopping: threading.Event) -> None:
            while not stopping.is_set():
                connection = http.client.HTTPConnection(server.registry.host, timeout=30)
                try:
                    connection.request("GET", "/v2/")
                    answer = connection.getresponse()
                    answered[answer.status] += 1
                except OSError:
                    pass  # It was this one's that died.
                finally:
                    connection.close()

        with running(ask):
            known = {process.pid for process in server.processes()}
            server.processes()[-1].kill()
            wait_for(lambda: any(process.pid not in known for process in server.processes()), 10, "a new process")
            time.sleep(1)
        assert set(answered) == {401}, answered
        server.settle()
        server.finish()
