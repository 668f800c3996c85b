# SPDX-License-Identifier: Apache-2.0
"""What /metrics says of the database: the same from every process, because all of them ask the database."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from longshore.registry.reclaim import Reclaim


async def registry_metrics(reclaim: Reclaim) -> bytes:
    """How deep the queues of reclaim are, what it has done, and whether it is paused."""
    registry = CollectorRegistry()
    waiting = Gauge("longshore_reclaim_waiting", "Rows that are due, at most 10,001.", ("step",), registry=registry)
    handled = Gauge("longshore_reclaim_handled", "Rows that were handled.", ("step",), registry=registry)
    freed = Gauge("longshore_reclaim_bytes", "Bytes that were given back.", ("step",), registry=registry)
    paused = Gauge("longshore_reclaim_paused", "1 while people paused the step.", ("step",), registry=registry)
    for step in await reclaim.states():
        waiting.labels(step.name).set(step.depth)
        handled.labels(step.name).set(step.handled)
        freed.labels(step.name).set(step.bytes)
        paused.labels(step.name).set(1 if step.paused else 0)
    return generate_latest(registry)
