# SPDX-License-Identifier: Apache-2.0
"""The promises of the blob store port about objects that can't be deleted, as tests that every adapter must pass.

An adapter's tests provide, beside ``store``, a pytest fixture ``stuck``: a key that the store can't delete the next time it is
asked, and can afterwards.
"""

from __future__ import annotations

from longshore.storage.conformance import expect, write
from longshore.storage.port import NotDeleted, ObjectKey, OpenedStore


class DeletionConformance:
    """What an adapter's test class inherits beside ``BlobStoreConformance``."""

    async def test_one_key_that_stays_keeps_no_other(self, store: OpenedStore, stuck: ObjectKey) -> None:
        """All others are gone, whatever their order and whether parts are looked for, and the error names the one."""
        keys = [ObjectKey.fresh() for _ in range(10)]
        for key in keys:
            await write(store, key, b"x")
        told: frozenset[ObjectKey] = frozenset()
        try:
            await store.delete([*keys[:5], stuck, *keys[5:]], unfinished=keys[:3])
        except NotDeleted as error:
            expect(len(error.message) > 0, "the error says nothing")
            told = error.keys
        expect(told == {stuck}, f"the error tells of {sorted(map(str, told))}")
        for key in keys:
            expect(await store.size(key) is None, f"{key} is still there")
