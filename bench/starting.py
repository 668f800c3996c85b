# SPDX-License-Identifier: Apache-2.0
"""W12: from the start of the process to the first manifest that a client with a token gets, and what an idle server costs."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable, Sequence

from bench import machine
from bench.asking import get
from bench.choosing import direct, ours
from bench.content import Corpus, Image, pushed_images, targets_file
from bench.load import GateFailed
from bench.measure import Bench, Case, Sample
from bench.servers import PROJECT, Server
from bench.writing import fresh

_POLL_SECONDS = 0.003
_LONGEST = 60.0
_SETTLE_SECONDS = 1.0
_IDLE_SECONDS = 1.5


def starts(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """The server stops and starts again on its data, empty and full; its database and its store go on running.

    CPU time is that of the start.
    """
    share = corpus.scale.size.idle_share
    started = ours(bench.servers)
    with fresh(started, bench.scratch / "fresh", (bench.cores.server,)):
        pushed = {server.name: _push_one(bench, server) for server in started}

        def run_empty(server: Server, _: int) -> Sample:
            return _start(server, *pushed[server.name], share)

        case = Case(key="empty", title="start to first authorised pull, empty", cpu_unit="ms")
        yield bench.interleave(case, run_empty, servers=started)

    def run(server: Server, _: int) -> Sample:
        image = corpus.images[0]
        return _start(server, image, corpus.opens(server, image.repository), share)

    title = f"start to first authorised pull, {corpus.scale.count:,} artifacts"
    yield bench.interleave(Case(key="full", title=title, cpu_unit="ms"), run, servers=direct(bench.servers))


def _push_one(bench: Bench, server: Server) -> tuple[Image, str]:
    """The one image of an empty server, and what opens it."""
    names: Sequence[str] = [f"{PROJECT}/first"]
    opens = server.authorization(names)
    output = bench.scratch / "first.jsonl"
    targets = targets_file(bench.loader, opens, names)
    bench.loader.run(server, "images", "-repositories", str(targets), "-images", "1", "-output", str(output))
    return pushed_images(output)[0], opens.get(names[0], "")


def _start(server: Server, image: Image, authorization: str, share: float) -> Sample:
    path = f"/v2/{image.repository}/manifests/{image.tag}"
    server.stop()
    began = time.perf_counter()
    server.launch()
    _first_pull(server, path, authorization)
    took = time.perf_counter() - began
    time.sleep(_SETTLE_SECONDS * share)
    spent = machine.cpu_seconds(server.pid)
    time.sleep(_IDLE_SECONDS * share)
    idle = (machine.cpu_seconds(server.pid) - spent) / (_IDLE_SECONDS * share)
    memory = machine.memory(server.pid)
    figures = {
        "first_pull_ms": took * 1000,
        "idle_mb": memory.shared_once,
        "idle_rss_mb": memory.resident,
        "processes": memory.processes,
        "idle_cpu_ms": idle * 1000,
    }
    if beside := server.backing_memory():
        figures["backing_mb"] = beside
    return Sample(operations=1, cpu_seconds=spent, figures=figures)


def _first_pull(server: Server, path: str, authorization: str) -> None:
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        try:
            if get(server.port, path, authorization)[0] == http.client.OK:
                return
        except OSError:
            pass
        time.sleep(_POLL_SECONDS)
    raise GateFailed(f"{server.name} gave no manifest within {_LONGEST:.0f} s of its start")
