# SPDX-License-Identifier: Apache-2.0
"""The gate before everything: digests are right, strangers stay out, and what was acknowledged survives `kill -9`."""

from __future__ import annotations

import http.client
import subprocess
import time
from pathlib import Path

from bench.asking import get
from bench.content import GATE_SAMPLE, Corpus, check_images, checked, pushed_images, targets_file
from bench.load import GateFailed
from bench.longshore import Longshore
from bench.measure import Bench
from bench.servers import PROJECT, Server

_ACKNOWLEDGED = 20
_LONGEST = 60.0


def check_gate(bench: Bench, corpus: Corpus) -> None:
    """Passes when every server gives what it was given, and Longshore is locked and durable.

    Raises:
        GateFailed: something isn't so.
    """
    for server in bench.servers:
        _check_content(server, corpus)
        if isinstance(server, Longshore):
            _check_locked(server, corpus)
            _check_kill(bench, server)
            _check_content(server, corpus)
    bench.say("gate: digests right, strangers refused, acknowledged images there after kill -9")


def _check_content(server: Server, corpus: Corpus) -> None:
    check_images(server, corpus.images, corpus.authorization[server.name])
    layered = corpus.layered
    opens = corpus.opens(server, layered.repository)
    root = f"/v2/{layered.repository}"
    checked(server, f"{root}/manifests/{layered.tag}", opens, layered.digest)
    checked(server, f"{root}/manifests/{layered.manifest}", opens, layered.manifest)
    for blob in layered.blobs:
        checked(server, f"{root}/blobs/{blob.digest}", opens, blob.digest)
    check_scale(server, corpus, most=GATE_SAMPLE)


def check_scale(server: Server, corpus: Corpus, *, most: int) -> None:
    """Reads some manifests of the scale set, by tag and by digest.

    Raises:
        GateFailed: one is missing or different.
    """
    scale = corpus.scale
    chosen = [*((one, one.tags[0]) for one in scale.hot()[:most]), *scale.crowded()[:most]]
    for artifact, tag in [*chosen, (scale.lonely(), scale.lonely().tags[0])]:
        for reference in (tag, artifact.digest):
            path = f"/v2/{artifact.repository}/manifests/{reference}"
            checked(server, path, corpus.opens(server, artifact.repository), artifact.digest)


def _check_locked(server: Longshore, corpus: Corpus) -> None:
    image = corpus.images[0]
    for path in (f"/v2/{image.repository}/manifests/{image.tag}", f"/v2/{image.repository}/blobs/{image.blobs[0]}"):
        for authorization in ("", "Bearer abc.def.ghi"):
            status, _ = get(server.port, path, authorization)
            if status != http.client.UNAUTHORIZED:
                raise GateFailed(f"{path} answered {status} instead of 401 to {authorization or 'nobody'!r}")


def _check_kill(bench: Bench, server: Longshore) -> None:
    """Kills the server, its database and its store in the middle of pushes; what was acknowledged is there afterwards."""
    name = f"{PROJECT}/killed"
    opens = server.authorization([name])
    output = bench.scratch / "killed.jsonl"
    output.unlink(missing_ok=True)
    targets = targets_file(bench.loader, opens, [name])
    command = ["images", "-repositories", str(targets), "-images", "5000", "-seed", "77"]
    with bench.loader.running(server, *command, "-clients", "8", "-output", str(output)) as client:
        _wait_for_lines(output, _ACKNOWLEDGED, client)
        server.kill()
        client.wait(_LONGEST)
    server.start()
    acknowledged = pushed_images(output)
    check_images(server, acknowledged, opens, most=len(acknowledged))
    bench.say(f"gate: {server.name}: {len(acknowledged)} images were acknowledged before kill -9")


def _wait_for_lines(file: Path, count: int, client: subprocess.Popen[str]) -> None:
    """Waits until a file has that many lines.

    Raises:
        GateFailed: what writes it ended before.
    """
    deadline = time.monotonic() + _LONGEST
    while not file.exists() or file.read_bytes().count(b"\n") < count:
        if client.poll() is not None or time.monotonic() > deadline:
            client.kill()
            _, said = client.communicate()
            raise GateFailed(f"no {count} images were acknowledged: {said.strip()}")
        time.sleep(0.01)
