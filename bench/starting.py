# SPDX-License-Identifier: Apache-2.0
"""From the start of the process to the first authorised pull, and what an idle server costs (W12)."""

from __future__ import annotations

import time
from collections.abc import Iterable

from bench import machine
from bench.content import Corpus
from bench.measure import Bench, Case, GateFailed, Sample
from bench.servers import Server, get

_POLL_SECONDS = 0.003
_LONGEST = 60.0
_SETTLE_SECONDS = 3.0
_IDLE_SECONDS = 5.0


def starts(bench: Bench, corpus: Corpus, *, idle_share: float = 1.0) -> Iterable[Case]:
    """W12: the server stops and starts again on its data; CPU time is that of the start."""

    def run(server: Server, _: int) -> Sample:
        image = corpus.images[0]
        opens = corpus.opens(server, image.repository)
        server.stop()
        began = time.perf_counter()
        server.launch()
        _first_pull(server, image.manifest_path, opens)
        took = time.perf_counter() - began
        time.sleep(_SETTLE_SECONDS * idle_share)
        spent = machine.cpu_seconds(server.pid)
        time.sleep(_IDLE_SECONDS * idle_share)
        idle = (machine.cpu_seconds(server.pid) - spent) / (_IDLE_SECONDS * idle_share)
        memory = machine.memory(server.pid)
        return Sample(
            operations=1,
            cpu_seconds=spent,
            figures={
                "first_pull_ms": took * 1000,
                "idle_mb": memory.shared_once,
                "idle_rss_mb": memory.resident,
                "processes": memory.processes,
                "idle_cpu_ms": idle * 1000,
            },
        )

    yield bench.interleave(Case(title="start to first authorised pull", cpu_unit="ms"), run)


def _first_pull(server: Server, path: str, authorization: str) -> None:
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        try:
            if get(server.port, path, authorization)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(_POLL_SECONDS)
    raise GateFailed(f"{server.name} gave no manifest within {_LONGEST:.0f} s of its start")
