# SPDX-License-Identifier: Apache-2.0
"""The bytes of a writer that no part holds yet."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.oci.digest import Hasher
from longshore.storage.parts.sizes import PartSizes


class Gathering:
    """Takes pieces of any size and cuts them into parts. One thread uses it at a time."""

    def __init__(self, sizes: PartSizes, number: int) -> None:
        self._sizes = sizes
        self._number = number
        self._rest = bytearray()
        self._lent = False

    @property
    def size(self) -> int:
        """Bytes that wait for the part to be full."""
        return len(self._rest)

    @property
    def number(self) -> int:
        """The number of the part that they will be in."""
        return self._number

    def add(self, pieces: Sequence[bytes], hasher: Hasher | None = None) -> list[tuple[int, bytearray]]:
        """Feed the pieces to the hasher and return the parts that became full, with their numbers."""
        full = []
        if self._lent:
            # What is sent may be held on to by a connection that is given up, and can't grow then.
            self._rest, self._lent = bytearray(self._rest), False
        for piece in pieces:
            if hasher is not None:
                hasher.update(piece)
            view = memoryview(piece)
            while view:
                room = self._sizes.of(self._number) - len(self._rest)
                self._rest += view[:room]
                if len(view) >= room:
                    full.append(self.cut())
                view = view[room:]
        return full

    def cut(self) -> tuple[int, bytearray]:
        """Return what waits as a part with its number, full or not."""
        part = (self._number, self._rest)
        self._number += 1
        self.forget()
        return part

    def lend(self) -> bytearray:
        """Return what waits, without copying it; it stays as it is, whatever is added."""
        self._lent = True
        return self._rest

    def forget(self) -> None:
        """Free the memory."""
        self._rest, self._lent = bytearray(), False
