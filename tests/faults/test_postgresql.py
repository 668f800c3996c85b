# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL is gone, hangs, is locked, or has moved elsewhere; and comes back."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.crash.pushing import Acknowledged, PushingClient, check_pulls, check_refusal, digest_of
from tests.faults.background import running
from tests.faults.content import begin_upload, push_blob, push_image, slowly, some_bytes
from tests.faults.disks import MEGABYTE
from tests.faults.postgresql import query
from tests.faults.server import Server, wait_for
from tests.postgresql import Cluster, cluster

RECOVERED_SECONDS = 10.0
"""From the cause going away to serving again, on a machine that does other things too."""


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL server of this module's own, since it will be stopped."""
    with cluster() as made:
        yield made


@pytest.fixture
def url(postgresql: Cluster) -> str:
    """An empty database."""
    if postgresql.process is None:
        postgresql.start()
    name = f"faults_{uuid.uuid4().hex}"
    query(f"{postgresql.url}/postgres", f"CREATE DATABASE {name}", "SELECT 1")
    return f"{postgresql.url}/{name}"


@contextmanager
def pushing(server: Server, count: int = 3) -> Iterator[Acknowledged]:
    """Clients that push all the time, and fail the test when they are answered what they should not be."""
    acknowledged = Acknowledged()
    clients = [PushingClient(server.registry, number, number, acknowledged) for number in range(count)]
    for client in clients:
        client.start()
    try:
        yield acknowledged
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(90)
    for client in clients:
        assert not client.is_alive()
        assert client.failure is None, client.failure


def check_quiet(server: Server, most: int) -> None:
    """An outage is told in a few lines, not by the second."""
    told = [line for line in server.events() if line["level"] != "info"]
    assert len(told) <= most, told


def test_the_database_goes_away_and_comes_back(tmp_path: Path, postgresql: Cluster, url: str) -> None:
    """What needs it is told 503 and when to try again, what doesn't goes on, and it all comes back by itself."""
    with Server(tmp_path, {"LONGSHORE_DATABASE_URL": url}) as server, server.registry.client() as stranger:
        with server.registry.client(server.registry.admin) as client, pushing(server) as acknowledged:
            before = push_image(client, "library/before", "1", b"{}", some_bytes(100_000))
            for how in (signal.SIGINT, signal.SIGQUIT):
                time.sleep(1)
                postgresql.stop(how)
                began = time.monotonic()
                check_refusal(client.get("/v2/library/before/manifests/1"), 503)
                message = check_refusal(push_blob(client, "library/before", b"during"), 503)
                assert "database" in message
                assert time.monotonic() - began < 5
                assert stranger.get("/livez").status_code == httpx.codes.OK
                wait_for(lambda: stranger.get("/readyz").status_code == 503, 10, "unready")
                assert "database" in stranger.get("/readyz").json()["reason"]
                time.sleep(2)
                postgresql.start()
                wait_for(server.ready, RECOVERED_SECONDS, "ready again")
                wait_for(
                    lambda: push_blob(client, "library/before", b"after").status_code == httpx.codes.CREATED,
                    RECOVERED_SECONDS,
                    "a push",
                )
            pushed = len(acknowledged.manifests)
            wait_for(lambda: len(acknowledged.manifests) > pushed, RECOVERED_SECONDS, "the pushing clients' pushes")
        assert acknowledged.refused[503] > 0
        server.settle()
        check_pulls(server.registry, before)
        check_pulls(server.registry, acknowledged)
        check_quiet(server, most=14)
        server.finish()


@pytest.mark.parametrize("seconds", [12, pytest.param(60, marks=pytest.mark.long)])
def test_a_database_that_hangs_costs_a_bounded_time(
    tmp_path: Path, postgresql: Cluster, url: str, seconds: float
) -> None:
    """Nothing of it answers, not even with a refusal: each request is told 503 in time, and nothing piles up."""
    settings = {"LONGSHORE_DATABASE_URL": url, "LONGSHORE_WORKERS": "1"}
    with Server(tmp_path, settings) as server, server.registry.client(server.registry.admin) as client:
        before = push_image(client, "library/before", "1", b"{}", some_bytes(100_000))
        server.settle()
        memory, threads = server.memory(), [process.num_threads() for process in server.processes()]
        answers: Counter[int] = Counter()

        def ask(number: int) -> None:
            with server.registry.client(server.registry.admin) as own:
                answer = (
                    own.get("/v2/library/before/manifests/1")
                    if number % 2
                    else push_blob(own, "library/hung", some_bytes(1000, number))
                )
            if not answer.is_success:
                check_refusal(answer, 503)
            answers[answer.status_code] += 1

        with ThreadPoolExecutor(64) as threaded:
            with postgresql.frozen():
                began = time.monotonic()
                asked = [threaded.submit(ask, number) for number in range(128)]
                wait([*asked], seconds)
                assert client.get("/livez", timeout=1).status_code == httpx.codes.OK
                assert not server.ready()
                if seconds > 30:
                    # All that was asked has been answered, long before anybody's patience is over.
                    assert time.monotonic() - began < 50
                    assert answers == {503: 128}
            for done in asked:
                done.result()
        assert answers[503] > 32
        assert answers.total() == 128
        wait_for(server.ready, RECOVERED_SECONDS, "ready again")
        wait_for(
            lambda: push_blob(client, "library/hung", b"after").status_code == httpx.codes.CREATED,
            RECOVERED_SECONDS,
            "a push",
        )
        check_pulls(server.registry, before)
        assert server.memory() - memory < 30_000_000
        grown = [process.num_threads() - known for process, known in zip(server.processes(), threads, strict=True)]
        assert max(grown) < 20, grown
        server.finish()


@pytest.mark.parametrize("how", ["stopped", "read-only"])
def test_the_database_moves_to_another_server(tmp_path: Path, how: str) -> None:
    """Of several servers in the URL the one that takes writes is found again: after a stop, after a change of roles."""
    with ExitStack() as stack:
        first = stack.enter_context(cluster())
        query(f"{first.url}/postgres", "CREATE DATABASE longshore", "SELECT 1")
        second = stack.enter_context(first.standby())
        hosts = f"127.0.0.1:{first.port},127.0.0.1:{second.port}"
        settings = {"LONGSHORE_DATABASE_URL": f"postgresql://postgres@{hosts}/longshore"}
        server = stack.enter_context(Server(tmp_path, settings))
        client = stack.enter_context(server.registry.client(server.registry.admin))
        before = push_image(client, "library/moved", "1", b"{}", some_bytes(100_000))
        wait_for(
            lambda: query(f"{first.url}/postgres", "SELECT replay_lsn = pg_current_wal_lsn() FROM pg_stat_replication"),
            20,
            "the standby to catch up",
        )
        if how == "stopped":
            first.stop(signal.SIGINT)
        else:
            # As a standby does, it refuses writes on the connections that are there.
            refuse = "ALTER SYSTEM SET default_transaction_read_only = on"
            query(f"{first.url}/postgres", refuse, "SELECT pg_reload_conf()")
        second.promote()
        wait_for(lambda: push_blob(client, "library/moved", b"after").status_code == httpx.codes.CREATED, 60, "a push")
        assert query(f"{second.url}/longshore", "SELECT count(*) FROM blobs") == 3
        server.settle()
        check_pulls(server.registry, before)
        server.finish()


def test_transfers_outlive_an_outage(tmp_path: Path, postgresql: Cluster, url: str) -> None:
    """A download and an upload that began before it end well if the database is back when the upload ends."""
    with Server(tmp_path, {"LONGSHORE_DATABASE_URL": url}) as server:
        large, blob = some_bytes(24 * MEGABYTE), some_bytes(2 * MEGABYTE, 1)
        with server.registry.client(server.registry.admin) as client:
            push_image(client, "library/large", "1", b"{}", large)
            upload = begin_upload(client, "library/slow")

        def pull(_stopping: threading.Event) -> None:
            path = f"/v2/library/large/blobs/{digest_of(large)}"
            with (
                server.registry.client(server.registry.admin) as own,
                own.stream("GET", path) as answer,
            ):
                content = b""
                for piece in answer.iter_raw(MEGABYTE):
                    content += piece
                    time.sleep(6 / 24)
            assert content == large

        def push(_stopping: threading.Event) -> None:
            with server.registry.client(server.registry.admin) as own:
                answer = own.put(upload, params={"digest": digest_of(blob)}, content=slowly(blob, 8))
            assert answer.status_code == httpx.codes.CREATED, answer.text

        with running(pull), running(push):
            time.sleep(1.5)
            postgresql.stop()
            time.sleep(2)
            postgresql.start()
        server.settle()
        with server.registry.client(server.registry.admin) as client:
            assert client.get(f"/v2/library/slow/blobs/{digest_of(blob)}").content == blob
        server.finish()


def test_a_lock_in_the_database_holds_up_writers_only(tmp_path: Path, postgresql: Cluster, url: str) -> None:
    """A push waits for a lock of seconds; of a longer one it is told 503 in time. Pulls don't notice."""
    with Server(tmp_path, {"LONGSHORE_DATABASE_URL": url}) as server:
        with server.registry.client(server.registry.admin) as client:
            before = push_image(client, "library/locked", "1", b"{}", some_bytes(100_000))
            statuses: list[int] = []

            def push(stopping: threading.Event) -> None:
                number = threading.get_ident()
                with server.registry.client(server.registry.admin) as own:
                    while not stopping.is_set():
                        answer = push_blob(own, "library/locked", some_bytes(500, number + len(statuses)))
                        if answer.status_code != httpx.codes.CREATED:
                            check_refusal(answer, 503)
                        statuses.append(answer.status_code)

            slowest = 0.0
            for seconds, refused in ((3.0, False), (13.0, True)):
                with running(push, count=12):
                    with locked(url):
                        until = time.monotonic() + seconds
                        while time.monotonic() < until:
                            began = time.monotonic()
                            check_pulls(server.registry, before)
                            slowest = max(slowest, time.monotonic() - began)
                            time.sleep(0.2)
                    pushed = len(statuses)
                    wait_for(partial(_served, statuses, pushed), RECOVERED_SECONDS, "pushes")
                assert (503 in statuses) == refused
        assert slowest < 2
        server.finish()


def _served(statuses: list[int], since: int) -> bool:
    return statuses[since:].count(httpx.codes.CREATED) > 12


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another session holds the rows of all repositories and of the ledger."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(url))
    try:
        loop.run_until_complete(connection.execute("BEGIN"))
        loop.run_until_complete(connection.execute("SELECT 1 FROM repositories FOR UPDATE"))
        loop.run_until_complete(connection.execute("SELECT 1 FROM project_usage FOR UPDATE"))
        yield
    finally:
        loop.run_until_complete(connection.close())
        loop.close()
