# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import prometheus_client
from prometheus_client import CollectorRegistry, generate_latest

from longshore.edge.observing import Histogram

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
