# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from longshore.distribution.hot import LARGEST, HotBlobs
from longshore.storage.port import ObjectKey


def test_what_is_kept_is_found() -> None:
    """Contents are found by their own keys only."""
    hot, key = HotBlobs(), ObjectKey.fresh()
    hot.keep(key, b"content")
    assert hot.get(key) == b"content"
    assert hot.get(ObjectKey.fresh()) is None


def test_an_empty_blob_is_kept() -> None:
    """A blob of no bytes is one like any other."""
    hot, key = HotBlobs(), ObjectKey.fresh()
    hot.keep(key, b"")
    assert hot.get(key) == b""


def test_the_limit_is_in_bytes() -> None:
    """More than the limit is never held: what was not asked for the longest time goes first."""
    hot = HotBlobs(limit=100)
    first, second, third = (ObjectKey.fresh() for _ in range(3))
    hot.keep(first, b"1" * 40)
    hot.keep(second, b"2" * 40)
    assert hot.get(first) is not None
    hot.keep(third, b"3" * 40)
    assert [hot.get(key) is not None for key in (first, second, third)] == [True, False, True]
    hot.keep(second, b"2" * 100)
    assert [hot.get(key) is not None for key in (first, second, third)] == [False, True, False]


def test_keeping_again_counts_once() -> None:
    """Requests that read the same blob at the same time bring it several times; it takes its room once."""
    hot = HotBlobs(limit=100)
    first, second = ObjectKey.fresh(), ObjectKey.fresh()
    for _ in range(5):
        hot.keep(first, b"1" * 40)
    hot.keep(second, b"2" * 60)
    assert hot.get(first) is not None


def test_large_blobs_are_not_kept() -> None:
    """A large blob doesn't drive out hundreds of small ones."""
    hot, small, large = HotBlobs(limit=10 * LARGEST), ObjectKey.fresh(), ObjectKey.fresh()
    hot.keep(small, b"x" * LARGEST)
    hot.keep(large, b"x" * (LARGEST + 1))
    assert hot.get(small) is not None
    assert hot.get(large) is None
    narrow = HotBlobs(limit=10)
    narrow.keep(small, b"x" * 11)
    assert narrow.get(small) is None
