# SPDX-License-Identifier: Apache-2.0
"""What the outside may know of every request: one log line and a few numbers.

Log lines are gathered and written a few times a second, and nothing is formatted on the request's path. The numbers are kept by
prometheus-client in files that all processes share, so that any process answers /metrics for all of them.
"""

from __future__ import annotations

import asyncio
import os
import time
from bisect import bisect_left
from collections import Counter as Counting
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import prometheus_client
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess

from longshore.edge.request import Request
from longshore.edge.response import Sender

_log = structlog.get_logger("longshore.edge")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_FLUSH_SECONDS = 0.2
_MOST_WAITING = 50_000
_LINES_AT_ONCE = 200
# What is written at once to a pipe with other writers stays in one piece up to this length.
_ATOMIC_WRITE = 4096

REQUESTS = Counter(
    "longshore_http_requests",
    "HTTP requests that were answered, by route, method and status.",
    ("route", "method", "status"),
)


class Histogram(prometheus_client.Histogram):
    """A histogram that takes many observations at once: each change of a shared number takes a lock and writes to a file."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observes each of the amounts."""
        counts = Counting(bisect_left(self._upper_bounds, amount) for amount in amounts)
        for place, count in counts.items():
            self._buckets[place].inc(count)
        self._sum.inc(sum(amounts))


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


class _Stamps:
    """Moments as text; many lines share a millisecond, and thousands a second."""

    def __init__(self) -> None:
        self._second, self._day_and_time = -1, ""
        self._millisecond, self._text = -1, ""

    def text(self, moment: float) -> str:
        """The moment, given in seconds since 1970."""
        millisecond = int(moment * 1000)
        if millisecond != self._millisecond:
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                self._second = second
                self._day_and_time = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._millisecond, self._text = millisecond, f"{self._day_and_time}.{rest:03d}Z"
        return self._text


# Thousands of lines wait between two looks of the garbage collector, and none can be a part of a cycle.
class _Line(msgspec.Struct, omit_defaults=True, gc=False):
    """One log line; what is empty is left out."""

    timestamp: str
    level: str
    event: str
    request_id: str
    method: str
    path: str
    status: int
    outcome: str = ""
    source: str = ""
    principal: str = "-"
    repository: str = ""
    digest: str = ""
    received: int = 0
    sent: int = 0
    seconds: float = 0.0


class Observer:
    """Takes note of every request of this process.

    A request only leaves a line behind; the numbers are counted and the lines written a few times a second.
    """

    def __init__(self, *, text: bool, output: int = 1) -> None:
        self._text = text
        self._output = output
        self._encoder = msgspec.json.Encoder()
        self._lines: list[tuple[float, str, _Line]] = []
        self._in_flight = 0
        self._dropped = 0
        self._stamps = _Stamps()

    def begin(self) -> float:
        """A request begins; returns the moment for `end`."""
        self._in_flight += 1
        return time.perf_counter()

    def end(self, request: Request, sender: Sender, route: str, began: float, *, outcome: str = "") -> None:
        """A request was answered, or its client went away."""
        self._in_flight -= 1
        if len(self._lines) >= _MOST_WAITING:
            # Whoever reads the log has stopped reading; pulls must not stop with it.
            self._dropped += 1
            return
        line = _Line(
            "",
            "info",
            "request",
            request.id,
            request.method,
            request.path,
            sender.status,
            outcome,
            request.source,
            request.actor,
            request.repository,
            request.digest,
            request.received,
            sender.sent,
            time.perf_counter() - began,
        )
        self._lines.append((time.time(), route, line))

    async def run(self) -> None:
        """Writes what has gathered a few times a second, until it is cancelled; then once more."""
        try:
            while True:
                await asyncio.sleep(_FLUSH_SECONDS)
                if self._lines or self._dropped:
                    # On another thread: a log that nobody reads blocks its writer.
                    await asyncio.to_thread(self.flush)
                else:
                    IN_FLIGHT.set(self._in_flight)
        finally:
            self.flush()

    def flush(self) -> None:
        """Counts and writes what has gathered."""
        lines, self._lines = self._lines, []
        dropped, self._dropped = self._dropped, 0
        if dropped:
            _log.warning("log lines dropped: the log was not read fast enough", lines=dropped)
        IN_FLIGHT.set(self._in_flight)
        if not lines:
            return
        self._count(lines)
        for moment, _, line in lines:
            line.timestamp = self._stamps.text(moment)
            line.seconds = round(line.seconds, 6)
        # In between others get a turn: nothing else runs in this process while lines are encoded.
        for start in range(0, len(lines), _LINES_AT_ONCE):
            self._write(self._encode([line for _, _, line in lines[start : start + _LINES_AT_ONCE]]))

    def _count(self, lines: list[tuple[float, str, _Line]]) -> None:
        requests = Counting((route, line.method, line.status) for _, route, line in lines)
        durations: defaultdict[str, list[float]] = defaultdict(list)
        received = sent = 0
        for _, route, line in lines:
            durations[route].append(line.seconds)
            received += line.received
            sent += line.sent
        for route, seconds in durations.items():
            DURATION.labels(route).observe_all(seconds)
        for (route, method, status), count in requests.items():
            REQUESTS.labels(route, method if method in _METHODS else "other", str(status)).inc(count)
        if received:
            RECEIVED.inc(received)
        if sent:
            SENT.inc(sent)

    def _encode(self, lines: list[_Line]) -> bytes:
        if self._text:
            return b"".join(map(_words, lines))
        return self._encoder.encode_lines(lines)

    def _write(self, text: bytes) -> None:
        # A log that can't be written must not stop the registry.
        with suppress(OSError):
            start = 0
            while start < len(text):
                # As many whole lines as fit, and a line that doesn't fit alone.
                end = text.rfind(b"\n", start, start + _ATOMIC_WRITE) + 1 or text.index(b"\n", start) + 1
                os.write(self._output, text[start:end])
                start = end


def _words(line: _Line) -> bytes:
    fields = msgspec.to_builtins(line)
    words = " ".join(f"{name}={value}" for name, value in fields.items() if name not in {"timestamp", "level", "event"})
    # The path is whatever a client sent: it must not end the line or speak to the terminal.
    return f"{line.timestamp} [info] request {words}".encode("unicode_escape") + b"\n"
