# SPDX-License-Identifier: Apache-2.0
"""Run by test_syscalls.py below strace: writes one object and marks on standard output when `sync` has returned."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from longshore.oci.digest import Algorithm
from longshore.storage.filesystem import FilesystemStore
from longshore.storage.port import ObjectKey


async def main() -> None:
    key = ObjectKey.parse("ab/ab000000000000000000000000000000")
    async with FilesystemStore(Path(sys.argv[1]), reserve_bytes=0) as store:
        os.write(1, b"prepared\n")
        writer = await store.create(key)
        for _ in range(20):
            await writer.append([b"x" * 1024 * 1024], Algorithm.SHA256.hasher())
        os.write(1, b"appended\n")
        await writer.sync()
        os.write(1, b"acknowledged\n")
        await writer.append([b"more"], Algorithm.SHA256.hasher())
        await writer.sync()
        os.write(1, b"more acknowledged\n")
        await writer.close()
        await store.delete([key])
        os.write(1, b"deleted\n")


asyncio.run(main())
