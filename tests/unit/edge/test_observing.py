# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from longshore.edge.asgi import Message
from longshore.edge.observing import Histogram, Observer
from longshore.edge.origin import TrustedProxies
from longshore.edge.request import Request
from longshore.edge.response import Response, Sender
from longshore.lifecycle import ProcessState, ServerState

BUCKETS = (0.001, 0.01, 0.1, 1.0)
AMOUNTS = (0.0, 0.001, 0.0011, 0.01, 0.5, 0.5, 1.0, 1.5, 600.0)


def test_many_observations_at_once_are_those_one_by_one() -> None:
    """A histogram shows the same after one call with all amounts as after one call for each."""
    together, one_by_one = CollectorRegistry(), CollectorRegistry()
    Histogram("seconds", "What it took.", ("route",), buckets=BUCKETS, registry=together).labels("a").observe_all(
        AMOUNTS
    )
    plain = prometheus_client.Histogram("seconds", "What it took.", ("route",), buckets=BUCKETS, registry=one_by_one)
    for amount in AMOUNTS:
        plain.labels("a").observe(amount)

    def shown(registry: CollectorRegistry) -> list[bytes]:
        return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]

    assert shown(together) == shown(one_by_one)
    assert b'seconds_count{route="a"} 9.0' in shown(together)


class Log:
    """What an observer writes, one text for each time that it writes."""

    def __init__(self, *, text: bool) -> None:
        self._reader, self._writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.observer = Observer(text=text, output=self._writer.fileno())

    async def request(self, path: str) -> None:
        async def receive() -> Message:
            await asyncio.Event().wait()
            raise AssertionError

        async def send(_message: Message) -> None:
            pass

        began = self.observer.begin()
        scope: dict[str, Any] = {
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [],
            "client": ("::1", 1),
        }
        request = Request(scope, receive, proxies=TrustedProxies(), body_seconds=1)
        sender = Sender(send, stall_seconds=1, state=ProcessState(ServerState()))
        await sender.respond(request, Response(200, [], b"body"))
        self.observer.end(request, sender, "v2.manifests", began)

    def written(self) -> list[bytes]:
        self.observer.flush()
        found = []
        while True:
            try:
                found.append(self._reader.recv(1_000_000))
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log(text=False)
    yield log
    log.close()


async def test_a_request_is_one_line(log: Log) -> None:
    """A line is one JSON object with the moment to the millisecond and what is known of the request."""
    before = time.time()
    await log.request("/v2/demo/app/manifests/latest")
    (line,) = map(json.loads, log.written())
    assert line.keys() == {
        "timestamp", "level", "event", "request_id", "method", "path", "status", "source", "sent", "seconds"
    }  # fmt: skip
    assert (line["event"], line["path"], line["status"], line["sent"]) == (
        "request",
        "/v2/demo/app/manifests/latest",
        200,
        4,
    )
    assert before - 0.001 <= datetime.fromisoformat(line["timestamp"]).timestamp() <= time.time()
    assert 0 <= line["seconds"] < 1


async def test_lines_are_written_whole(log: Log) -> None:
    """Lines leave in pieces that a pipe with other writers keeps together: whole lines, 4096 bytes or one longer line."""
    paths = [f"/{number}/{'x' * (10_000 if number == 150 else number % 50)}" for number in range(300)]
    for path in paths:
        await log.request(path)
    pieces = log.written()
    assert [json.loads(line)["path"] for piece in pieces for line in piece.splitlines()] == paths
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert [len(piece) for piece in pieces if len(piece) > 4096 and piece.count(b"\n") > 1] == []
    assert len(pieces) < len(paths) / 2
    assert log.written() == []


async def test_text_can_not_break_out_of_its_line() -> None:
    """In the text form too, a path with line breaks and control characters stays in one line."""
    log = Log(text=True)
    await log.request("/a\nb\x1b[31m")
    (written,) = log.written()
    assert written.count(b"\n") == 1
    assert b"\x1b" not in written
    assert b"path=/a\\nb" in written
    log.close()
