# SPDX-License-Identifier: Apache-2.0
"""The workloads of lists: tags and the catalog by the distribution protocol (W7), artifacts as a portal asks for them (W9)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Sequence

from bench.asking import request
from bench.choosing import one_of_each_database, ours
from bench.content import Corpus
from bench.load import GateFailed, Request
from bench.longshore import Longshore
from bench.measure import Bench, Case, Sample
from bench.reading import read
from bench.servers import PROJECT, Server

_CONNECTIONS = 64
_PAGE = 1_000
_SHOWN = "with_tag=true&with_label=true&with_scan_overview=true&sort=-push_time"


def distribution_lists(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """W7: the tags of the repository that has many, whole and in pages, and pages of the catalog."""
    scale = corpus.scale
    many = next(iter(scale.crowd())).repository
    tags = sorted(tag for artifact in scale.crowd() for tag in artifact.tags)
    last = tags[-min(_PAGE, len(tags)) - 1] if len(tags) > _PAGE else ""
    names = [f"{PROJECT}/scale/app{number:05}" for number in range(scale.size.scale_repositories)]
    lists = [
        ("tags-whole", f"all {len(tags):,} tags", f"/v2/{many}/tags/list", 4, len(tags)),
        ("tags-first", f"first {_PAGE:,} tags", f"/v2/{many}/tags/list?n={_PAGE}", _CONNECTIONS, min(_PAGE, len(tags))),
        (
            "tags-last",
            f"last {_PAGE:,} tags",
            f"/v2/{many}/tags/list?n={_PAGE}&last={last}",
            _CONNECTIONS,
            min(_PAGE, len(tags)),
        ),
        (
            "catalog",
            f"{_PAGE:,} repositories of the catalog",
            f"/v2/_catalog?n={_PAGE}&last={names[len(names) // 2]}",
            16,
            1,
        ),
    ]
    for key, title, path, connections, least in lists:
        yield _list(bench, Case(key=key, title=title), [path], connections=connections, least=least)


def portal_lists(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """W9: pages of artifacts with their tags and labels, the newest first, of repositories and of a project of 100,000."""
    hot = corpus.scale.hot()
    repositories = [one.repository.partition("/")[2].replace("/", "%252F") for one in hot]
    below = f"/api/v2.0/projects/{PROJECT}"
    of_repositories = [f"{below}/repositories/{name}/artifacts?page_size=15&{_SHOWN}" for name in repositories]
    # The newest are those of the repository with many tags, a hundred each, which no page of a portal is made for.
    crowd = sum(1 for _ in corpus.scale.crowd())
    pages = {
        size: range(crowd // size + 2, min(crowd // size + 102, (crowd + corpus.scale.count) // size + 1))
        for size in (15, 100)
    }
    for key, title, paths in (
        ("repository-15", "15 artifacts of a repository", of_repositories),
        (
            "project-15",
            "15 artifacts of the project",
            [f"{below}/artifacts?page_size=15&page={page}&{_SHOWN}" for page in pages[15]],
        ),
        (
            "project-100",
            "100 artifacts of the project",
            [f"{below}/artifacts?page_size=100&page={page}&{_SHOWN}" for page in pages[100]],
        ),
        (
            "repositories",
            "100 repositories of the project",
            [f"{below}/repositories?page_size=100&page={page}" for page in range(1, 101)],
        ),
    ):
        yield _list(bench, Case(key=key, title=title), paths, connections=_CONNECTIONS, least=1)


def _list(bench: Bench, case: Case, paths: Sequence[str], *, connections: int, least: int) -> Case:
    def run(server: Server, _: int) -> Sample:
        if not isinstance(server, Longshore):
            raise TypeError(f"{server.name} has no such lists")
        password = server.logins()["user"]
        _check(server, paths[0], password, least)
        requests = [Request(method="GET", path=path, authorization=password) for path in paths]
        return read(bench, server, requests, connections=connections)

    return bench.interleave(case, run, servers=ours(one_of_each_database(bench.servers)))


def _check(server: Longshore, path: str, authorization: str, least: int) -> None:
    status, body = request(server.port, "GET", path, {"Authorization": authorization})
    items = json.loads(body) if status == http.client.OK else []
    if isinstance(items, dict):
        items = items.get("tags") or items.get("repositories") or []
    if len(items) < least:
        raise GateFailed(f"{server.name} answered {status} and {len(items)} items to {path}")
