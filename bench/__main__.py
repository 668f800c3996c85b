# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: measures Longshore beside its peers and writes the tables into bench/RESULTS.md."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bench import listing, machine, pulling, reading, report, signing_in, starting, writing
from bench.choosing import one_of_each_database, one_of_each_store, pushable
from bench.content import Corpus
from bench.gate import check_gate
from bench.load import GateFailed, Loader
from bench.longshore import CONFIGURATIONS, Longshore
from bench.measure import Bench, Case
from bench.peers import PEERS
from bench.prepared import Preparation
from bench.servers import Server
from bench.sizes import SIZES, Size

_RESULTS = Path(__file__).parent / "RESULTS.md"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "longshore-bench"
_TITLES = {
    "W1": "W1: manifests, 64 connections",
    "W2": "W2: tokens, 64 connections",
    "W3": "W3: small blobs, 64 connections",
    "W4": "W4: image pulls (CPU for each GB)",
    "W5": "W5: large pushes (CPU for each GB)",
    "W6": "W6: CI storm, images of two 1 KiB blobs, 64 clients",
    "W7": "W7: lists of the distribution protocol",
    "W9": "W9: lists of a portal, 64 connections",
    "W12": "W12: start and idle",
}
_SERVERS = [configuration.name for configuration in CONFIGURATIONS] + [kind.name for kind in PEERS]


def main() -> int:
    """Parses the call and runs it; the exit code is 1 when the gate failed and 2 when something is missing."""
    options = _parser().parse_args()
    try:
        _run(options, SIZES[options.size])
    except machine.Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except GateFailed as error:
        sys.stderr.write(f"The gate failed, this workload doesn't count: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--workload", choices=list(_TITLES), nargs="+", default=list(_TITLES), help="default: all")
    parser.add_argument("--server", choices=_SERVERS, nargs="+", help="default: all that the machine has")
    parser.add_argument("--size", choices=list(SIZES), default="default", help="default: default")
    parser.add_argument("--rounds", type=int, help="of each server and case (default: that of the size)")
    parser.add_argument("--seconds", type=float, help="of each round of load (default: that of the size)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="LONGSHORE_NAME=VALUE", help="a setting of Longshore"
    )
    parser.add_argument("--directory", type=Path, help="where the data goes meanwhile (default: the temporary folder)")
    parser.add_argument("--cache", type=Path, default=_CACHE, help=f"where prepared data is kept (default: {_CACHE})")
    parser.add_argument("--output", type=Path, help=f"default: {_RESULTS} for the default size, nowhere for others")
    return parser


def _run(options: argparse.Namespace, size: Size) -> None:
    began = time.monotonic()
    output = options.output or (_RESULTS if options.size == "default" else None)
    cores = machine.Cores.choose()
    machine.require("wrk", "wrk")
    machine.require("taskset", "util-linux")
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    # This process asks and checks, and stays off the servers' core.
    os.sched_setaffinity(0, {cores.load})
    with tempfile.TemporaryDirectory(prefix="longshore-bench-", dir=options.directory) as folder:
        scratch = Path(folder)
        # PostgreSQL's own user has to reach its folder.
        scratch.chmod(0o755)
        loader = Loader(core=cores.load, scratch=scratch, client=machine.client(scratch))
        servers = _servers(scratch, cores, options)
        _check_room(scratch, size, servers)
        rounds, seconds = options.rounds or size.rounds, options.seconds or size.seconds
        bench = Bench(
            servers=servers, cores=cores, scratch=scratch, loader=loader, rounds=rounds, seconds=seconds, say=_say
        )
        run = report.Run(
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            command=f"python -m bench {shlex.join(sys.argv[1:])}".strip(),
            machine=f"{machine.description()}, {machine.file_system(scratch)}",
            load=load,
            rounds=f"{rounds} rounds of {seconds:g} s ({min(rounds, size.long_rounds)} where a round takes long)",
            versions=[f"{server.name}: {server.version()}" for server in servers],
        )
        preparation = Preparation(cache=options.cache, loader=loader, size=size, size_name=options.size, say=_say)
        try:
            corpus = preparation.lay(servers)
            # Each workload is written when it is over: one that fails doesn't take the others along.
            for section in _measure(bench, corpus, size, options.workload):
                _say(f"\n{section.table}")
                if output is not None:
                    report.write(output, [section], run)
                    _say(f"written to {output}")
        except Exception:
            _keep_logs(servers, options.cache / "logs")
            raise
        finally:
            for server in servers:
                with suppress(OSError):
                    server.kill()
    _say(f"the whole run took {time.monotonic() - began:.0f} s")


def _keep_logs(servers: Sequence[Server], folder: Path) -> None:
    """What the servers wrote would go with their data, and with it the reason why a run failed."""
    folder.mkdir(parents=True, exist_ok=True)
    for server in servers:
        if (log := server.folder / "server.log").exists():
            shutil.copyfile(log, folder / f"{server.name}.log")
    _say(f"the servers' logs are in {folder}")


def _servers(scratch: Path, cores: machine.Cores, options: argparse.Namespace) -> list[Server]:
    """The servers that are wanted and that the machine has.

    Raises:
        Unavailable: one that was named is missing, or clients can push to none.
    """
    settings = dict(setting.split("=", 1) for setting in options.set)
    wanted = options.server or [name for name in _SERVERS if not _missing(name)]
    for name in wanted:
        if missing := _missing(name):
            raise machine.Unavailable(f"{name} needs {', '.join(missing)}, which .ci/install-tools installs")
    here = [cores.server]
    servers: list[Server] = [
        Longshore(scratch / one.name, here, one, settings) for one in CONFIGURATIONS if one.name in wanted
    ]
    servers += [kind(scratch / kind.name, here) for kind in PEERS if kind.name in wanted]
    if not any(server.pushable for server in servers):
        raise machine.Unavailable(
            "nginx has nothing to serve without a server that clients can push to: name one more."
        )
    return servers


def _missing(name: str) -> list[str]:
    """The programs that a server needs and this machine doesn't have."""
    for configuration in CONFIGURATIONS:
        if configuration.name == name:
            return configuration.missing()
    return [] if machine.find(name) is not None else [name]


def _check_room(scratch: Path, size: Size, servers: Sequence[Server]) -> None:
    """Every server keeps what it was given and what one group of large pushes brings.

    Raises:
        Unavailable: the disk hasn't room for it.
    """
    pushed_to = pushable(one_of_each_store(servers))
    needed = 6 * size.pushed[1] * len(pushed_to) + 100_000 * size.scale_repositories * len(servers)
    if (free := shutil.disk_usage(scratch).free) < needed:
        raise machine.Unavailable(
            f"{scratch.parent} has {free / 1e9:.0f} GB left, the benchmark needs {needed / 1e9:.0f}: see --directory"
        )


def _measure(bench: Bench, corpus: Corpus, size: Size, wanted: Sequence[str]) -> Iterator[report.Section]:
    for server in bench.servers:
        server.start()
    reading_all = one_of_each_database(bench.servers) if "W1" in wanted else []
    for server in bench.servers:
        names = corpus.repositories(scale=server in reading_all)
        corpus.authorization[server.name] = server.authorization(names)
    check_gate(bench, corpus)
    for name, workload in _workloads(bench, corpus, size).items():
        if name in wanted:
            began = time.monotonic()
            _say(_TITLES[name])
            cases = list(workload())
            _say(f"  {name} took {time.monotonic() - began:.0f} s")
            yield report.section(name, _TITLES[name], cases)


def _workloads(bench: Bench, corpus: Corpus, size: Size) -> dict[str, Callable[[], Iterable[Case]]]:
    return {
        "W1": lambda: reading.manifests(bench, corpus),
        "W2": lambda: signing_in.logins(bench, corpus),
        "W3": lambda: reading.small_blobs(bench, corpus),
        "W4": lambda: pulling.pulls(bench, corpus),
        "W5": lambda: writing.large_pushes(bench, size),
        "W6": lambda: writing.storm(bench, corpus),
        "W7": lambda: listing.distribution_lists(bench, corpus),
        "W9": lambda: listing.portal_lists(bench, corpus),
        "W12": lambda: starting.starts(bench, corpus),
    }


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
