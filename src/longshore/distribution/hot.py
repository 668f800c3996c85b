# SPDX-License-Identifier: Apache-2.0
"""The bytes of small blobs that were asked for lately, so that a configuration pulled by every node is read once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from longshore.storage.port import ObjectKey

LARGEST: Final = 64 * 1024
"""The largest blob that is kept, in bytes."""

LIMIT: Final = 16 * 1024 * 1024
"""How many bytes all that is kept may have in one process."""


class HotBlobs:
    """Contents of objects by key; what was not asked for the longest time goes first.

    It knows nothing of repositories: whether a blob may be seen, is damaged, and which object holds it, the database says
    before every look in here. An object's bytes never change and its key is never given to others, so what is in here is right
    as long as the database names the key.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._held = 0
        # By the key's text, which remembers its hash.
        self._contents: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: ObjectKey) -> bytes | None:
        """The object's bytes, None when they aren't kept."""
        content = self._contents.get(key.value)
        if content is not None:
            self._contents.move_to_end(key.value)
        return content

    def keep(self, key: ObjectKey, content: bytes) -> None:
        """Keeps all bytes of an object, unless it is a large one."""
        if len(content) > min(LARGEST, self._limit) or key.value in self._contents:
            return
        self._contents[key.value] = content
        self._held += len(content)
        while self._held > self._limit:
            _, dropped = self._contents.popitem(last=False)
            self._held -= len(dropped)
