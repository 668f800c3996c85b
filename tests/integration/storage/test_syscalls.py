# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TRACED = Path(__file__).with_name("traced.py")
CALLS = "mkdir,mkdirat,openat,write,writev,pwritev,pwritev2,fsync,fdatasync,sync_file_range,unlink,unlinkat,rename,renameat2"
OBJECT = "ab/ab000000000000000000000000000000"


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    tmp_path = tmp_path_factory.mktemp("trace")
    strace = shutil.which("strace")
    if strace is None:
        if os.environ.get("CI") == "true":
            pytest.fail("strace is missing; CI must prove the order of the system calls: apt-get install strace")
        pytest.skip("strace is missing: apt-get install strace")
    output = tmp_path / "trace"
    subprocess.run(
        [strace, "-f", "-y", "-e", f"trace={CALLS}", "-o", output, sys.executable, TRACED, tmp_path / "store"],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return joined(output.read_text().splitlines())


def joined(lines: list[str]) -> list[str]:
    """Put calls that strace cut in two, because another thread spoke meanwhile, where they ended."""
    begun: dict[str, str] = {}
    calls: list[str] = []
    for line in lines:
        thread, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[thread] = call.removesuffix("<unfinished ...>")
        elif resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
            calls.append(begun.pop(thread) + resumed[1])
        else:
            calls.append(call)
    return calls


def between(trace: list[str], start: str, end: str) -> list[str]:
    """Return the calls between two marks on standard output, which must be there."""
    (first,) = (number for number, call in enumerate(trace) if re.match(rf'write\(1<.*>, "{start}\\n"', call))
    (last,) = (number for number, call in enumerate(trace) if re.match(rf'write\(1<.*>, "{end}\\n"', call))
    return trace[first + 1 : last]


def position(calls: list[str], pattern: str) -> int:
    """Return where the only call that matches and succeeded is."""
    found = [number for number, call in enumerate(calls) if re.match(pattern, call) and re.search(r"\) += +\d+", call)]
    assert len(found) == 1, f"{pattern} was found {len(found)} times in {calls}"
    return found[0]


def test_the_file_and_then_its_directory_are_synced_before_sync_returns(trace: list[str]) -> None:
    """The system has confirmed fsync of the file, then of its directory, before the upload may be acknowledged."""
    made = between(trace, "prepared", "appended")
    assert re.search(r"O_CREAT\|O_EXCL.*O_CLOEXEC, 0600\)", made[position(made, rf'openat\(.*{OBJECT}"')])
    assert any(re.match(rf"pwritev2?\(\d+<.*/{OBJECT}>", call) for call in made)
    assert not any(re.match(r"f(data)?sync", call) for call in made)
    calls = between(trace, "appended", "acknowledged")
    assert position(calls, rf"fsync\(\d+<.*/{OBJECT}>\)") < position(calls, r"fsync\(\d+<.*/store/ab>\)")
    assert not any("pwritev" in call for call in calls)


def test_the_disk_begins_before_the_last_byte(trace: list[str]) -> None:
    """Write-back starts every 8 MiB while bytes arrive, so that the last sync finds little."""
    started = [call for call in between(trace, "prepared", "appended") if call.startswith("sync_file_range")]
    assert len(started) == 2
    assert all("SYNC_FILE_RANGE_WRITE" in call and OBJECT in call for call in started)


def test_a_directory_is_synced_once_for_an_object(trace: list[str]) -> None:
    """A later sync of the same object syncs the file alone."""
    calls = between(trace, "acknowledged", "more acknowledged")
    position(calls, rf"fsync\(\d+<.*/{OBJECT}>\)")
    assert not any("/store/ab>" in call for call in calls if call.startswith("fsync"))


def test_a_delete_is_synced(trace: list[str]) -> None:
    """The directory is synced after the name is gone and before `delete` returns."""
    calls = between(trace, "more acknowledged", "deleted")
    assert position(calls, rf'unlink(at)?\(.*{OBJECT}"') < position(calls, r"fsync\(\d+<.*/store/ab>\)")


def test_the_directories_are_synced_before_the_first_object(trace: list[str]) -> None:
    """At the first start every directory, the root and its parent are synced before anything is stored."""
    (first,) = (number for number, call in enumerate(trace) if re.match(r'write\(1<.*>, "prepared\\n"', call))
    calls = trace[:first]
    synced = {found[1] for call in calls if (found := re.match(r"fsync\(\d+<.*?/store/?(.*?)>\) += 0", call))}
    assert {"", "meta", "meta/layout", *(f"{number:02x}" for number in range(256))} <= synced


def test_nothing_is_renamed(trace: list[str]) -> None:
    """A file has its own name from the first byte on, so no crash leaves one that no row owns."""
    assert not [call for call in trace if call.startswith("rename")]
