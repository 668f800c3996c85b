# SPDX-License-Identifier: Apache-2.0
"""How large the parts of an upload are.

Stores take at most 10,000 parts. Small parts at first keep memory low and let a short upload overlap its hash; parts
that grow let the longest one fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from longshore.oci.errors import PayloadTooLarge

MEBIBYTE = 1024 * 1024
SMALLEST_PART = 5 * MEBIBYTE
LARGEST_PART = 64 * MEBIBYTE
MOST_PARTS = 10_000
_GROWTH = ((1, 8 * MEBIBYTE), (1_001, 32 * MEBIBYTE), (5_001, 64 * MEBIBYTE), (MOST_PARTS + 1, 0))


@dataclass(frozen=True, slots=True)
class PartSizes:
    """The size of each part but the last, which may be smaller: growing, or ``uniform`` where a store demands it."""

    uniform: int | None = None

    def of(self, number: int) -> int:
        """Return the bytes of part ``number``; raises ``PayloadTooLarge`` beyond the last one."""
        if number > MOST_PARTS:
            raise PayloadTooLarge(
                f"The blob is too large for the object store, which takes {MOST_PARTS:,} parts: {self.limit:,} bytes in "
                "one go, less after interruptions. Split the layer, or ask the operator for a larger part_size in "
                "LONGSHORE_STORAGE_URL."
            )
        if self.uniform is not None:
            return self.uniform
        return next(size for first, size in reversed(_GROWTH) if number >= first)

    @property
    def limit(self) -> int:
        """The bytes of an object whose parts are numbered without gaps."""
        if self.uniform is not None:
            return self.uniform * MOST_PARTS
        return sum((after - first) * size for (first, size), (after, _) in pairwise(_GROWTH))
