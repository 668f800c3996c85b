# SPDX-License-Identifier: Apache-2.0
"""Where pages of lists ended a moment ago, so that the page behind begins there instead of counting to it.

Only a matter of time: whoever finds no bookmark counts, and gets the same page.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

Keys = tuple[Any, ...]
"""What an item of a list is sorted by."""

_SECONDS: Final = 5.0
_LISTS: Final = 128
_PLACES: Final = 64


class _Places:
    """The bookmarks of one list, while it has so many items."""

    __slots__ = ("keys", "offsets", "times", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self.offsets: list[int] = []
        self.keys: dict[int, Keys] = {}
        self.times: dict[int, float] = {}

    def remove(self, offset: int) -> None:
        del self.offsets[bisect_left(self.offsets, offset)]
        del self.keys[offset]
        del self.times[offset]


class Bookmarks:
    """The bookmarks of one database in one process: at most 64 each in the 128 lists that were asked for last.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lists: OrderedDict[Hashable, _Places] = OrderedDict()

    def nearest(self, name: Hashable, total: int, offset: int) -> tuple[int, Keys] | None:
        """The bookmark that is nearest before the item number `offset`, or right there: its place, and the keys before it.

        None when there is none that is at most five seconds old, or when the list had another number of items then.
        """
        places = self._lists.get(name)
        if places is None:
            return None
        if places.total != total:
            del self._lists[name]
            return None
        oldest = self._clock() - _SECONDS
        at = bisect_right(places.offsets, offset) - 1
        while at >= 0:
            found = places.offsets[at]
            if places.times[found] >= oldest:
                return found, places.keys[found]
            places.remove(found)
            at -= 1
        return None

    def put(self, name: Hashable, total: int, offset: int, keys: Keys) -> None:
        """Behind so many of a list's `total` items; `keys` are those of the last of them."""
        places = self._lists.get(name)
        if places is None or places.total != total:
            places = self._lists[name] = _Places(total)
        self._lists.move_to_end(name)
        if offset in places.keys:
            places.remove(offset)
        elif len(places.offsets) >= _PLACES:
            places.remove(next(iter(places.times)))
        places.offsets.insert(bisect_left(places.offsets, offset), offset)
        places.keys[offset] = keys
        places.times[offset] = self._clock()
        if len(self._lists) > _LISTS:
            self._lists.popitem(last=False)

    def forget(self) -> None:
        """Takes all of them out."""
        self._lists.clear()
