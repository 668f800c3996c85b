# SPDX-License-Identifier: Apache-2.0
"""The workloads that wrk drives: manifests (W1), small blobs and mounts (W3), large blobs (W4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.content import Corpus, Image, check_images, checked
from bench.measure import Bench, Case, Request, Sample, zipf
from bench.servers import PROJECT, Server

_CONNECTIONS = 64
_LARGE_CONNECTIONS = 16
_REQUESTS = 5_000
_MOUNT_TARGETS = 20


def manifests(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """W1: HEAD and GET by tag and by digest; a few images are asked for often, most seldom."""
    yield _reading(bench, corpus, Case(title="manifest GET by tag"), "GET", lambda image: f"manifests/{image.tag}")
    yield _reading(
        bench, corpus, Case(title="manifest GET by digest"), "GET", lambda image: f"manifests/{image.digest}"
    )
    yield _reading(bench, corpus, Case(title="manifest HEAD by tag"), "HEAD", lambda image: f"manifests/{image.tag}")


def small_blobs(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """W3: GET and HEAD of 1 KiB blobs, and mounts of them into other repositories."""
    yield _reading(bench, corpus, Case(title="1 KiB blob GET"), "GET", lambda image: f"blobs/{image.blobs[1]}")
    yield _reading(bench, corpus, Case(title="1 KiB blob HEAD"), "HEAD", lambda image: f"blobs/{image.blobs[1]}")
    yield _mounts(bench, corpus)


def large_blobs(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """W4: GET of one 10 MB blob by a few clients."""
    path = f"/v2/{corpus.large_repository}/blobs/{corpus.large_digest}"

    def run(server: Server, _: int) -> Sample:
        opens = corpus.opens(server, corpus.large_repository)
        sample = bench.read(
            server, [Request(method="GET", path=path, authorization=opens)], connections=_LARGE_CONNECTIONS
        )
        checked(server, path, opens, corpus.large_digest)
        return sample

    yield bench.interleave(Case(title="large blob GET", cpu_unit="ms"), run)


def _reading(bench: Bench, corpus: Corpus, case: Case, method: str, tail: Callable[[Image], str]) -> Case:
    chosen = [corpus.images[number] for number in zipf(len(corpus.images), _REQUESTS)]

    def run(server: Server, _: int) -> Sample:
        requests = [
            Request(
                method=method,
                path=f"/v2/{image.repository}/{tail(image)}",
                authorization=corpus.opens(server, image.repository),
            )
            for image in chosen
        ]
        sample = bench.read(server, requests, connections=_CONNECTIONS)
        check_images(server, corpus.images, corpus.authorization[server.name], most=5)
        return sample

    return bench.interleave(case, run)


def _mounts(bench: Bench, corpus: Corpus) -> Case:
    """Every mount of a round brings a blob to a repository that lacks it, until the list is over."""

    def run(server: Server, number: int) -> Sample:
        targets = [f"{PROJECT}/mounts/{number}/{target}" for target in range(_MOUNT_TARGETS)]
        opens = server.authorization(targets)
        requests = [
            Request(
                method="POST",
                path=f"/v2/{target}/blobs/uploads/?mount={blob}&from={image.repository}",
                authorization=opens.get(target, ""),
            )
            for target in targets
            for image in corpus.images
            for blob in image.blobs
        ]
        sample = bench.read(server, requests, connections=_CONNECTIONS)
        blob = corpus.images[0].blobs[0]
        checked(server, f"/v2/{targets[0]}/blobs/{blob}", opens.get(targets[0], ""), blob)
        return sample

    return bench.interleave(
        Case(title="cross-repository mount"), run, servers=[server for server in bench.servers if server.pushable]
    )
