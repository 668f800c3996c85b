# SPDX-License-Identifier: Apache-2.0
"""Bookmarks lead to the nearest place that is known, and forget what may not be true any more."""

from __future__ import annotations

from longshore.database.bookmarks import Bookmarks


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_nearest_before() -> None:
    """Behind the place itself or the nearest one before it; none before the first."""
    bookmarks = Bookmarks(_Clock())
    for offset in (30, 10, 20):
        bookmarks.put("list", 100, offset, (offset,))
    assert bookmarks.nearest("list", 100, 20) == (20, (20,))
    assert bookmarks.nearest("list", 100, 29) == (20, (20,))
    assert bookmarks.nearest("list", 100, 99) == (30, (30,))
    assert bookmarks.nearest("list", 100, 9) is None
    assert bookmarks.nearest("other", 100, 20) is None


def test_another_total_forgets() -> None:
    """What was at a place when there were fewer items may be elsewhere now."""
    bookmarks = Bookmarks(_Clock())
    bookmarks.put("list", 100, 10, (1,))
    assert bookmarks.nearest("list", 101, 10) is None
    assert bookmarks.nearest("list", 100, 10) is None


def test_age_forgets() -> None:
    """Each bookmark lives for five seconds; putting it anew begins them anew."""
    clock = _Clock()
    bookmarks = Bookmarks(clock)
    bookmarks.put("list", 100, 10, (1,))
    bookmarks.put("list", 100, 20, (2,))
    clock.now += 4
    bookmarks.put("list", 100, 10, (3,))
    clock.now += 2
    assert bookmarks.nearest("list", 100, 25) == (10, (3,))
    clock.now += 4
    assert bookmarks.nearest("list", 100, 25) is None


def test_memory_is_bounded() -> None:
    """Few bookmarks of a list are kept, the newest, and of few lists, those asked for last."""
    bookmarks = Bookmarks(_Clock())
    for offset in range(1, 101):
        bookmarks.put("list", 1000, offset, (offset,))
    assert bookmarks.nearest("list", 1000, 36) is None
    assert bookmarks.nearest("list", 1000, 37) == (37, (37,))
    for number in range(127):
        bookmarks.put(number, 1000, 1, (0,))
    assert bookmarks.nearest("list", 1000, 50) is not None
    bookmarks.put("one more", 1000, 1, (0,))
    assert bookmarks.nearest("list", 1000, 50) is None
    bookmarks.forget()
    assert bookmarks.nearest("one more", 1000, 1) is None
