# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.access.imported import imported_hash, is_imported, matches_imported
from longshore.oci.errors import BadRequest

# The first 16 of its 20 bytes: PBKDF2 makes a shorter key by cutting.
RFC_6070 = "4b007901b765489abead49d926f721d0"


def test_a_known_hash() -> None:
    """The vector of RFC 6070 for 4096 rounds of SHA-1 is recognised by its first 16 bytes."""
    stored = imported_hash("sha1", "salt", RFC_6070.upper())
    assert is_imported(stored)
    assert matches_imported(stored, "password")
    assert not matches_imported(stored, "Password")


@pytest.mark.parametrize(
    ("version", "salt", "digest"),
    [("md5", "salt", RFC_6070), ("sha1", "", RFC_6070), ("sha1", "salt", RFC_6070[1:]), ("sha1", "salt", "x" * 32)],
)
def test_what_is_none_of_harbors(version: str, salt: str, digest: str) -> None:
    """Another variant, no salt, or something else than 16 bytes is refused."""
    with pytest.raises(BadRequest):
        imported_hash(version, salt, digest)


@given(st.text())
def test_other_texts(stored: str) -> None:
    """What wasn't imported matches nothing, and never fails."""
    assert not is_imported(stored)
    assert not matches_imported(stored, "password")


@given(st.text(min_size=1), st.binary(min_size=16, max_size=16))
def test_any_salt_is_kept(salt: str, digest: bytes) -> None:
    """Whatever a salt is made of, colons and line breaks too, the hash is one."""
    assert is_imported(imported_hash("sha256", salt, digest.hex()))
