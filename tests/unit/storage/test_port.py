# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.storage.port import InvalidObjectKey, ObjectKey

GOOD = "ab/ab0123456789abcdef0123456789abcd"


def test_a_key_is_its_text() -> None:
    """A key parses from its own text, and tells its directory and name."""
    key = ObjectKey.parse(GOOD)
    assert (key.value, str(key), key.shard, key.name) == (GOOD, GOOD, "ab", GOOD[3:])
    assert key == ObjectKey(GOOD)


def test_fresh_keys_differ_and_parse() -> None:
    """Fresh keys are well-formed, never the same, and spread over the directories."""
    keys = {ObjectKey.fresh() for _ in range(2000)}
    assert len(keys) == 2000
    assert {ObjectKey.parse(key.value) for key in keys} == keys
    assert len({key.shard for key in keys}) > 200


@pytest.mark.parametrize(
    "text",
    [
        "", "/", GOOD.upper(), GOOD + "\n", " " + GOOD, GOOD[:-1], GOOD + "0", GOOD.replace("/", "\\"),
        "ac" + GOOD[2:], "/" + GOOD, "./" + GOOD, GOOD.replace("/", "//"), "../" + GOOD, "../../etc/passwd",
        "meta/instance", GOOD.replace("0", chr(0x660)), GOOD.replace("0", "\0"), "ab/" + "g" * 32, "..//" + "." * 31,
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    """Only the exact form is a key, and the message repeats what was wrong."""
    with pytest.raises(InvalidObjectKey, match=re.escape(repr(text))):
        ObjectKey.parse(text)


@given(st.text(st.sampled_from("ab/.0\n\\"), max_size=40) | st.text() | st.from_regex(r"[0-9a-f]{2}/[0-9a-f]{32}"))
def test_no_key_leaves_its_directory(text: str) -> None:
    """Whatever parses has two plain parts, so that it can't lead out of the root."""
    try:
        key = ObjectKey.parse(text)
    except InvalidObjectKey:
        return
    assert PurePosixPath(key.value).parts == (key.shard, key.name)
    assert set(key.value) <= set("0123456789abcdef/")


def test_keys_sort_as_their_texts() -> None:
    """Sorting keys and sorting their texts is the same."""
    keys = [ObjectKey.fresh() for _ in range(50)]
    assert [key.value for key in sorted(keys)] == sorted(key.value for key in keys)
