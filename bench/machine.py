# SPDX-License-Identifier: Apache-2.0
"""The machine: which core does what, what processes cost, and what there is to say about it beside a result."""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

TOOLS = Path(os.environ.get("LONGSHORE_TOOLS", "/opt/longshore-tools"))
_CLIENT_SOURCE = Path(__file__).parent / "client"


class Unavailable(Exception):  # noqa: N818 - a fact about the machine, said to the person who runs the benchmark
    """A program that the benchmark needs isn't installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Where the server under test runs, with its database and its object store, and where its load comes from.

    Attributes:
        server: The one core of the server.
        both: The two cores of the server where a workload gives it two. Of a machine with two cores, the load has one of
            them as well.
        load: The core of the load.
    """

    server: int
    both: tuple[int, int]
    load: int

    @staticmethod
    def choose() -> Cores:
        """The first and the last of the cores that this process may use.

        Raises:
            Unavailable: there is only one.
        """
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            raise Unavailable("The benchmark needs two cores: one for the server, one for the load.")
        return Cores(server=allowed[0], both=(allowed[0], allowed[1]), load=allowed[-1])


def pinned(cores: Iterable[int], command: Iterable[str]) -> list[str]:
    """The command, kept on these cores with everything that it starts."""
    return ["taskset", "--cpu-list", ",".join(str(core) for core in cores), *command]


def find(program: str) -> str | None:
    """The path of a program; those of `.ci/install-tools` first. Debian keeps servers outside a user's PATH."""
    return shutil.which(program, path=f"{TOOLS}/bin:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def require(program: str, package: str) -> str:
    """The path of a program.

    Raises:
        Unavailable: it isn't installed.
    """
    path = find(program)
    if path is None:
        raise Unavailable(f"{program} isn't installed (Debian: {package}; .ci/install-tools brings it)")
    return path


def client(scratch: Path) -> str:
    """The path of the load generator made from these sources; built with Go, below `scratch`, where `.ci/install-tools` hasn't.

    Raises:
        Unavailable: neither this client nor Go is there.
    """
    command = client_source()
    if len(command) == 1:
        return command[0]
    path = str(scratch / "bench-client")
    subprocess.run([*command, "build", "-o", path, "."], check=True)
    return path


def client_source() -> list[str]:
    """Where the load generator comes from: its path when it is built, else how Go is called in the folder of its sources.

    Raises:
        Unavailable: neither is there.
    """
    sources = [*sorted(_CLIENT_SOURCE.glob("*.go")), _CLIENT_SOURCE / "go.mod"]
    wanted = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    stamp = TOOLS / "stamps" / "bench-client"
    if stamp.exists() and stamp.read_text(encoding="ascii").strip() == wanted:
        return [str(TOOLS / "bin" / "bench-client")]
    return [require("go", "golang 1.25 or newer"), "-C", str(_CLIENT_SOURCE)]


def busy_seconds() -> float:
    """User and system time of everything that this process started and that has ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def free_port() -> int:
    """A TCP port of loopback that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def family(root: int) -> list[psutil.Process]:
    """A process and everything that it started."""
    try:
        process = psutil.Process(root)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(root: int) -> None:
    """Ends a process and everything that it started at once, the first one first. Some of them may end by themselves."""
    for process in family(root):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def cpu_seconds(root: int) -> float:
    """User and system time of a process and its descendants, those included that have ended."""
    total = 0.0
    for process in family(root):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Megabytes (10^6) of a process and its descendants: `shared_once` counts a page that several use once (PSS)."""

    shared_once: float
    resident: float
    processes: int


def memory(root: int) -> Memory:
    """The memory of a process and its descendants now."""
    once = resident = 0
    processes = 0
    for process in family(root):
        with suppress(psutil.NoSuchProcess):
            facts = process.memory_full_info()
            once, resident, processes = once + facts.pss, resident + facts.rss, processes + 1
    return Memory(shared_once=once / 1e6, resident=resident / 1e6, processes=processes)


class Peak:
    """The highest resident size of each process of a family from now on."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._before = memory(root).resident
        for process in family(root):
            with suppress(OSError):
                Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="ascii")

    def grown(self) -> float:
        """Megabytes (10^6) by which the peaks of all processes exceed what was resident at the beginning."""
        total = 0.0
        for process in family(self._root):
            with suppress(OSError):
                for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
                    if line.startswith("VmHWM:"):
                        total += int(line.split()[1]) * 1024 / 1e6
        return max(total - self._before, 0.0)


def description() -> str:
    """Processor, cores, memory, kernel and file system, in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{model}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, Linux {platform.release()},"
        f" Python {platform.python_version()}"
    )


def file_system(path: Path) -> str:
    """The type of the file system below a path."""
    best, kind = "", "unknown"
    for partition in psutil.disk_partitions(all=True):
        if str(path.resolve()).startswith(partition.mountpoint) and len(partition.mountpoint) > len(best):
            best, kind = partition.mountpoint, partition.fstype
    return kind
