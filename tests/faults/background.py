# SPDX-License-Identifier: Apache-2.0
"""Work beside a test that ends with its block, whatever becomes of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_JOIN_SECONDS = 60


@contextmanager
def running(work: Callable[[threading.Event], None], *, count: int = 1) -> Iterator[threading.Event]:
    """Runs `work` on threads until the block ends; `work` is given the event that tells it to stop.

    Raises:
        BaseException: whatever one of them raised, when the block itself didn't.
    """
    stopping = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work(stopping)
        except BaseException as error:  # noqa: BLE001 - it is the test's, which runs on another thread
            failures.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield stopping
    finally:
        stopping.set()
        for thread in threads:
            thread.join(_JOIN_SECONDS)
    assert not any(thread.is_alive() for thread in threads), "work beside the test doesn't end"
    if failures:
        raise failures[0]
