# SPDX-License-Identifier: Apache-2.0
"""What the outside may know of every request: one log line and a few numbers.

Log lines are gathered and written a few times a second, and nothing is formatted on the request's path. The numbers are kept by
prometheus-client in files that all processes share, so that any process answers /metrics for all of them.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from longshore.edge.request import Request
from longshore.edge.response import Sender

_FLUSH_SECONDS = 0.2
_MOST_WAITING = 2_000
# What is written at once to a pipe with other writers stays in one piece up to this length.
_ATOMIC_WRITE = 4096

REQUESTS = Counter(
    "longshore_http_requests",
    "HTTP requests that were answered, by route, method and status.",
    ("route", "method", "status"),
)
DURATION = Histogram(
    "longshore_http_request_duration_seconds",
    "From the request's head to the last byte of the answer, by route.",
    ("route",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)
RECEIVED = Counter("longshore_http_received_bytes", "Bytes of request bodies that arrived.")
SENT = Counter("longshore_http_sent_bytes", "Bytes of response bodies that were sent.")
IN_FLIGHT = Gauge("longshore_http_requests_in_flight", "Requests being answered now.", multiprocess_mode="livesum")


def metrics_text() -> bytes:
    """The numbers of all processes, in Prometheus' text format."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library has no annotation here
    return generate_latest(registry)


class Observer:
    """Takes note of every request of this process."""

    def __init__(self, *, text: bool, output: int = 1) -> None:
        self._text = text
        self._output = output
        self._lines: list[dict[str, Any]] = []
        self._requests: dict[tuple[str, str, int], Counter] = {}
        self._durations: dict[str, Histogram] = {}

    def begin(self) -> float:
        """A request begins; returns the moment for `end`."""
        IN_FLIGHT.inc()
        return time.perf_counter()

    def end(self, request: Request, sender: Sender, route: str, began: float, *, outcome: str = "") -> None:
        """A request was answered, or its client went away."""
        seconds = time.perf_counter() - began
        IN_FLIGHT.dec()
        key = (route, request.method, sender.status)
        requests = self._requests.get(key)
        if requests is None:
            requests = self._requests[key] = REQUESTS.labels(route, request.method, str(sender.status))
        requests.inc()
        duration = self._durations.get(route)
        if duration is None:
            duration = self._durations[route] = DURATION.labels(route)
        duration.observe(seconds)
        if request.received:
            RECEIVED.inc(request.received)
        if sender.sent:
            SENT.inc(sender.sent)
        if len(self._lines) >= _MOST_WAITING:
            self.flush()
        self._lines.append(
            {
                "time": time.time(),
                "request_id": request.id,
                "method": request.method,
                "path": request.path,
                "status": sender.status,
                "outcome": outcome,
                "principal": request.actor,
                "repository": request.repository,
                "digest": request.digest,
                "received": request.received,
                "sent": sender.sent,
                "seconds": seconds,
            }
        )

    async def run(self) -> None:
        """Writes what has gathered a few times a second, until it is cancelled; then once more."""
        try:
            while True:
                await asyncio.sleep(_FLUSH_SECONDS)
                self.flush()
        finally:
            self.flush()

    def flush(self) -> None:
        """Writes what has gathered."""
        lines, self._lines = self._lines, []
        if not lines:
            return
        block = bytearray()
        for line in lines:
            encoded = self._encode(line)
            if len(block) + len(encoded) > _ATOMIC_WRITE and block:
                self._write(block)
                block = bytearray()
            block += encoded
        self._write(block)

    def _encode(self, line: dict[str, Any]) -> bytes:
        stamp = datetime.fromtimestamp(line["time"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {name: value for name, value in line.items() if name != "time" and value not in {"", 0}}
        fields["seconds"] = round(line["seconds"], 6)
        if self._text:
            words = " ".join(f"{name}={msgspec.json.encode(value).decode()}" for name, value in fields.items())
            return f"{stamp} [info] request {words}\n".encode()
        return msgspec.json.encode({"timestamp": stamp, "level": "info", "event": "request", **fields}) + b"\n"

    def _write(self, block: bytearray) -> None:
        # A log that can't be written must not stop the registry.
        with suppress(OSError):
            os.write(self._output, block)
