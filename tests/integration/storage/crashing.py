# SPDX-License-Identifier: Apache-2.0
"""Run by test_killed.py: writes objects in processes that are killed between any two steps, and looks what is left.

usage: python crashing.py SCENARIO DIRECTORY FIRST STRIDE

For each step number it forks a child that works in a new store and kills itself with SIGKILL before that step. The
child tells what it was acknowledged through a pipe. A second child then opens the store as the next start would.
It prints one line of JSON for each step: what was acknowledged, and what was found.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from longshore.oci.digest import Algorithm
from longshore.storage.conformance import content, entries
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.kernel import Kernel
from longshore.storage.layout import SHARDS
from longshore.storage.port import ObjectKey, OpenedStore

Tell = Callable[[str, str, str], None]


class MortalKernel(Kernel):
    """Kills the process before the given step."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.left = last
        self.lock = threading.Lock()

    def step(self) -> None:
        with self.lock:
            self.left -= 1
            if self.left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def create(self, path: str) -> int:
        self.step()
        return super().create(path)

    def open_for_writing(self, path: str) -> int:
        self.step()
        return super().open_for_writing(path)

    def open_record(self, path: str) -> int:
        self.step()
        return super().open_record(path)

    def close(self, descriptor: int) -> None:
        self.step()
        super().close(descriptor)

    def write(self, descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
        self.step()
        # A short write: half of it arrives, the rest is another step.
        first = memoryview(pieces[0])
        return super().write(descriptor, [first[: max(len(first) // 2, 1)]], offset)

    def truncate(self, descriptor: int, size: int) -> None:
        self.step()
        super().truncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        self.step()
        super().sync(descriptor)

    def sync_directory(self, path: str) -> None:
        self.step()
        super().sync_directory(path)

    def make_directory(self, path: str) -> None:
        self.step()
        super().make_directory(path)

    def unlink(self, path: str) -> None:
        self.step()
        super().unlink(path)


async def upload(store: OpenedStore, tell: Tell) -> None:
    """Write, resume, delete, and tell after each acknowledgement."""
    for number in range(2):
        key = ObjectKey.fresh()
        tell("begun", key.value, "")
        pieces = [bytes([65 + number]) * 700, b"second" * 100]
        writer = await store.create(key)
        await writer.append(pieces[:1], Algorithm.SHA256.hasher())
        await writer.sync()
        tell("prefix", key.value, hashlib.sha256(pieces[0]).hexdigest())
        await writer.append([b"this is dropped"], Algorithm.SHA256.hasher())
        await writer.close()
        writer = await store.resume(key, 700)
        await writer.append(pieces[1:], Algorithm.SHA256.hasher())
        await writer.sync()
        tell("whole", key.value, hashlib.sha256(b"".join(pieces)).hexdigest())
        await writer.close()
        if number == 0:
            tell("dying", key.value, "")
            await store.delete([key])
            tell("deleted", key.value, "")


async def start(store: OpenedStore, tell: Tell) -> None:
    """Mark the store, as a first start does."""
    await store.write_instance("database-1")
    tell("marked", "database-1", "")


SCENARIOS = {"upload": upload, "start": start}


def prepared(root: Path) -> None:
    """Make the directories without the syncs, which are the other scenario's matter."""
    for name in ("meta", *SHARDS):
        (root / name).mkdir(parents=True)
    (root / "meta" / "layout").write_text("1\n")


def work(scenario: str, root: Path, last: int, pipe: int) -> None:
    def tell(kind: str, subject: str, digest: str) -> None:
        os.write(pipe, (json.dumps([kind, subject, digest]) + "\n").encode())

    async def main() -> None:
        async with FilesystemStore(root, reserve_bytes=0, writing_threads=1, kernel=MortalKernel(last)) as store:
            await SCENARIOS[scenario](store, tell)
        tell("end", "", "")

    asyncio.run(main())


def look(root: Path, pipe: int) -> None:
    async def main() -> dict[str, Any]:
        async with FilesystemStore(root, reserve_bytes=0) as store:
            found: dict[str, str] = {}
            prefixes: dict[str, str] = {}
            for stored in await entries(store):
                assert isinstance(stored.key, ObjectKey), stored
                payload = await content(store, stored.key)
                found[stored.key.value] = hashlib.sha256(payload).hexdigest()
                prefixes[stored.key.value] = hashlib.sha256(payload[:700]).hexdigest()
            mark = await store.read_instance()
            await store.write_instance(mark or "database-2")
            new = ObjectKey.fresh()
            await (await store.create(new)).close()
            await store.delete([new])
            return {"found": found, "prefixes": prefixes, "mark": mark}

    os.write(pipe, (json.dumps(asyncio.run(main())) + "\n").encode())


def fork(function: Callable[[int], None]) -> tuple[int, list[Any]]:
    """Run the function in a child and return its wait status and what it told."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            function(writing)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as told:
        lines = [json.loads(line) for line in told]
    return os.waitpid(child, 0)[1], lines


def main() -> None:
    scenario, directory, first, stride = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    last = first
    while True:
        root = directory / f"{scenario}-{last}"
        if scenario == "upload":
            prepared(root)
        status, told = fork(lambda pipe, root=root, last=last: work(scenario, root, last, pipe))  # type: ignore[misc]  # mypy can't infer defaults
        seen_status, seen = fork(lambda pipe, root=root: look(root, pipe))  # type: ignore[misc]  # the same
        print(json.dumps({"step": last, "status": status, "told": told, "seen_status": seen_status, "seen": seen}))  # noqa: T201 - its output is the result
        shutil.rmtree(root)
        if status == 0:
            return
        last += stride


main()
