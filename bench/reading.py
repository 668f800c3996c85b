# SPDX-License-Identifier: Apache-2.0
"""The workloads of small answers: manifests (W1), small blobs and mounts (W3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from bench.choosing import direct, one_of_each_database, ours, pushable, with_files
from bench.content import Corpus, check_images, checked
from bench.gate import check_scale
from bench.load import Request, zipf
from bench.measure import Bench, Case, Sample
from bench.servers import PROJECT, Server

_CONNECTIONS = 64
# So many mounts a second no server does: a round comes to no blob twice.
_MOUNTS_A_SECOND = 8_000
_RATE = 2_000
_SAMPLE = 3

Paths = Sequence[tuple[str, str]]
"""Repository and path of each request."""


def manifests(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """W1: HEAD and GET by tag and by digest, in the whole of the scale set, hot and cold, and beside one and many tags.

    What Longshore stores the bytes of blobs in doesn't matter here, so one configuration of each database is measured.
    """
    scale = corpus.scale
    hot, cold = scale.hot(), scale.cold()
    by_tag = [(one.repository, f"manifests/{one.tags[0]}") for one in hot]
    by_digest = [(one.repository, f"manifests/{one.digest}") for one in hot]
    one, many = scale.lonely(), scale.crowded()
    lists: list[tuple[str, str, str, Paths]] = [
        ("get-tag", "manifest GET by tag, hot", "GET", by_tag),
        ("get-digest", "manifest GET by digest, hot", "GET", by_digest),
        ("head-tag", "manifest HEAD by tag, hot", "HEAD", by_tag),
        ("head-digest", "manifest HEAD by digest, hot", "HEAD", by_digest),
        ("get-tag-cold", "manifest GET by tag, cold", "GET", _named([(a.repository, a.tags[0]) for a in cold])),
        ("get-digest-cold", "manifest GET by digest, cold", "GET", _named([(a.repository, a.digest) for a in cold])),
        ("get-one", "manifest GET by tag, 1 tag in the repository", "GET", _named([(one.repository, one.tags[0])])),
        (
            "get-many",
            f"manifest GET by tag, {scale.size.many_tags:,} tags in the repository",
            "GET",
            _named([(a.repository, tag) for a, tag in many]),
        ),
    ]

    def check(server: Server) -> None:
        check_scale(server, corpus, most=_SAMPLE)

    servers = one_of_each_database(bench.servers)
    for key, title, method, paths in lists:
        # The other registries are asked for what is hot only: cold, they would look through as many files.
        chosen = [*ours(servers), *with_files(servers)] if key.endswith("-cold") else servers
        yield _reading(bench, corpus, Case(key=key, title=title), method, paths, check, servers=chosen)
    yield _reading(
        bench,
        corpus,
        Case(key="get-tag-paced", title=f"manifest GET by tag, hot, {_RATE:,} each second"),
        "GET",
        by_tag,
        check,
        servers=ours(servers),
        rate=_RATE,
    )


def small_blobs(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """W3: GET and HEAD of 1 KiB blobs, and mounts of them into other repositories."""
    chosen = [corpus.images[number] for number in zipf(len(corpus.images), corpus.scale.size.hot)]
    paths = [(image.repository, f"blobs/{image.blobs[1]}") for image in chosen]

    def check(server: Server) -> None:
        check_images(server, corpus.images, corpus.authorization[server.name], most=_SAMPLE)

    for method in ("GET", "HEAD"):
        case = Case(key=f"blob-{method.lower()}", title=f"1 KiB blob {method}")
        yield _reading(bench, corpus, case, method, paths, check, servers=direct(bench.servers))
    yield _mounts(bench, corpus)


def _named(references: Sequence[tuple[str, str]]) -> Paths:
    return [(repository, f"manifests/{reference}") for repository, reference in references]


def _reading(
    bench: Bench,
    corpus: Corpus,
    case: Case,
    method: str,
    paths: Paths,
    check: Callable[[Server], None],
    *,
    servers: Sequence[Server],
    rate: float = 0,
) -> Case:
    asked: dict[str, int] = {}

    def run(server: Server, _: int) -> Sample:
        # A round begins where the last one ended: what is cold is asked for again only after everything else.
        begin = asked.get(server.name, 0) % len(paths)
        requests = [
            Request(method=method, path=f"/v2/{name}/{tail}", authorization=corpus.opens(server, name))
            for name, tail in [*paths[begin:], *paths[:begin]]
        ]
        sample = read(bench, server, requests, connections=_CONNECTIONS, rate=rate)
        asked[server.name] = begin + int(sample.operations)
        check(server)
        return sample

    return bench.interleave(case, run, servers=servers)


def read(bench: Bench, server: Server, requests: Sequence[Request], *, connections: int, rate: float = 0) -> Sample:
    """Sends the requests round and round, as fast as the server takes them or at a rate.

    Raises:
        GateFailed: an answer was no success.
    """
    file = bench.loader.requests(requests)
    # wrk waits for the body that a HEAD's answer doesn't have, and knows no rates.
    if rate or requests[0].method == "HEAD":
        arguments = ["-requests", str(file), "-connections", str(connections), "-seconds", str(bench.seconds)]
        return bench.timed(
            server, lambda: bench.loader.run(server, "requests", *arguments, "-rate", str(rate)), "requests"
        )
    return bench.timed(
        server,
        lambda: bench.loader.wrk(server, file, connections=connections, seconds=bench.seconds),
        "requests",
    )


def _mounts(bench: Bench, corpus: Corpus) -> Case:
    """Every mount of a round brings a blob to a repository that lacks it, until the list is over."""
    blobs = sum(len(image.blobs) for image in corpus.images)
    count = max(1, round(_MOUNTS_A_SECOND * bench.seconds / blobs))

    def run(server: Server, number: int) -> Sample:
        targets = [f"{PROJECT}/mounts/{number}/{target}" for target in range(count)]
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
        sample = read(bench, server, requests, connections=_CONNECTIONS)
        blob = corpus.images[0].blobs[0]
        checked(server, f"/v2/{targets[0]}/blobs/{blob}", opens.get(targets[0], ""), blob)
        return sample

    return bench.interleave(Case(key="mount", title="cross-repository mount"), run, servers=pushable(bench.servers))
