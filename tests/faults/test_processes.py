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


def test_processes_that_start_turn_nobody_away(tmp_path: Path, settings: dict[str, str]) -> None:
    """While HTTP process and worker are replaced new connections wait for the next one: none is answered 503."""
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
            known = server.processes()
            for process in known:
                process.kill()
            wait_for(lambda: len({*server.processes()} - {*known}) == len(known), 10, "new processes")
            time.sleep(1)
        assert set(answered) == {401}, answered
        wait_for(lambda: len(server.events("reclaim_started")) == 2, 10, "the worker's work")
        server.settle()
        server.finish()
