# SPDX-License-Identifier: Apache-2.0
"""W4: whole images by many clients at once, and pulls that go on in the middle of a layer."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterable

from bench import machine
from bench.asking import get
from bench.choosing import senders_of_blobs
from bench.content import Corpus, checked
from bench.load import GateFailed
from bench.measure import Bench, Case, Sample, spending
from bench.servers import Server

_CLIENTS = (1, 16, 64, 256)
_RESUMING = 16
_WARM = 0.5


def pulls(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """An index, its manifest, a configuration and seven layers, again and again, each client on one connection."""
    size = sum(blob.size for blob in corpus.layered.blobs)
    for clients in _CLIENTS:

        def run(server: Server, number: int, clients: int = clients) -> Sample:
            sample = _pull(bench, corpus, server, clients, "-tag", corpus.layered.tag)
            layer = corpus.layered.blobs[number % len(corpus.layered.blobs)]
            path = f"/v2/{corpus.layered.repository}/blobs/{layer.digest}"
            checked(server, path, corpus.opens(server, corpus.layered.repository), layer.digest)
            return sample

        title = f"image of {size / 1e6:.0f} MB, {clients} client{'s' if clients > 1 else ''}"
        yield bench.interleave(
            Case(key=f"pull-{clients}", title=title, cpu_unit="ms"), run, servers=senders_of_blobs(bench.servers)
        )
    yield _resumed(bench, corpus)


def _pull(bench: Bench, corpus: Corpus, server: Server, clients: int, *what: str) -> Sample:
    """Counts from the client's first line to its second, between which every client is at work."""
    layered = corpus.layered
    arguments = ["-repository", layered.repository, *what, "-clients", str(clients)]
    arguments += ["-authorization", corpus.opens(server, layered.repository)]
    arguments += ["-warm", str(min(_WARM, bench.seconds)), "-seconds", str(bench.seconds)]
    peak = machine.Peak(server.pid)
    with bench.loader.running(server, "pulls", *arguments) as client:
        lines = client.stdout
        if lines is None:
            raise AssertionError
        first = lines.readline()
        busy, began = machine.cpu_seconds(client.pid), time.perf_counter()
        with spending(server) as spent:
            second = lines.readline()
        share = 100 * (machine.cpu_seconds(client.pid) - busy) / (time.perf_counter() - began)
        _, said = client.communicate(timeout=60)
    if client.returncode:
        raise GateFailed(f"{server.name}: pulling with {clients} clients: {said.strip()}")
    before, after = json.loads(first), json.loads(second)
    gigabytes = (after["bytes"] - before["bytes"]) / 1e9
    return Sample(
        operations=gigabytes,
        cpu_seconds=spent.cpu,
        backing_seconds=spent.backing,
        figures={
            "megabytes_per_second": 1000 * gigabytes / (after["seconds"] - before["seconds"]),
            "grown": peak.grown(),
            "load_busy": share,
        },
    )


def _resumed(bench: Bench, corpus: Corpus) -> Case:
    """The second half of the largest layer, as a client asks for it whose connection broke in the middle."""
    layer = corpus.layered.largest
    repository = corpus.layered.repository
    path = f"/v2/{repository}/blobs/{layer.digest}"
    middle = layer.size // 2
    rest = f"bytes={middle}-"

    def run(server: Server, _: int) -> Sample:
        what = ["-blob", layer.digest, "-size", str(layer.size), "-offset", str(middle)]
        sample = _pull(bench, corpus, server, _RESUMING, *what)
        opens = corpus.opens(server, repository)
        whole = checked(server, path, opens, layer.digest)
        status, body = get(server.port, path, opens, rest)
        if status != http.client.PARTIAL_CONTENT or body != whole[middle:]:
            raise GateFailed(
                f"{server.name}: {path} with {rest} answered {status} with {len(body)} bytes, not the rest"
            )
        return sample

    title = f"second half of a layer by Range, {_RESUMING} clients"
    return bench.interleave(
        Case(key="resume", title=title, cpu_unit="ms"), run, servers=senders_of_blobs(bench.servers)
    )
