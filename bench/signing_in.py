# SPDX-License-Identifier: Apache-2.0
"""W2: what a client does before its first pull: a password for a token, the token for a HEAD."""

from __future__ import annotations

import http.client
from collections.abc import Iterable

from bench.asking import basic, get
from bench.choosing import one_of_each_database, ours
from bench.content import Corpus
from bench.load import GateFailed
from bench.longshore import Longshore, token_path
from bench.measure import Bench, Case, Sample
from bench.servers import Server

_CONNECTIONS = 64


def logins(bench: Bench, corpus: Corpus) -> Iterable[Case]:
    """Logs in again and again, each time for one repository of the hot list. The peers have no token service of their own."""
    servers = ours(one_of_each_database(bench.servers))
    for who, title in (("robot", "robot's secret"), ("user", "user's password")):

        def run(server: Server, _: int, who: str = who) -> Sample:
            if not isinstance(server, Longshore):
                raise TypeError(f"{server.name} has no token service")
            password = server.logins()[who]
            file = bench.scratch / "logins.txt"
            file.write_text(
                "".join(
                    f"{token_path(one.repository, 'pull')}\t{password}\t/v2/{one.repository}/manifests/{one.tags[0]}\n"
                    for one in corpus.scale.hot()
                ),
                encoding="ascii",
            )
            _check_passwords(server, corpus, password)
            arguments = ["-requests", str(file), "-connections", str(_CONNECTIONS), "-seconds", str(bench.seconds)]
            return bench.timed(server, lambda: bench.loader.run(server, "logins", *arguments), "logins")

        yield bench.interleave(Case(key=who, title=f"{title} to token to first HEAD"), run, servers=servers)


def _check_passwords(server: Longshore, corpus: Corpus, right: str) -> None:
    """A wrong password gets no token. The right one is from now on remembered: its hash is paid once, not in a round."""
    name = corpus.scale.hot()[0].repository
    for password, wanted in ((basic("robot", "wrong"), http.client.UNAUTHORIZED), (right, http.client.OK)):
        status, _ = get(server.port, token_path(name, "pull"), password)
        if status != wanted:
            raise GateFailed(f"{server.name} answered {status} instead of {wanted} to a password")
