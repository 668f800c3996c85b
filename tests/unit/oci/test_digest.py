# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.oci.digest import Algorithm, Digest
from longshore.oci.errors import DigestInvalid

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def refusal(text: str) -> str | None:
    try:
        Digest.parse(text)
    except DigestInvalid as error:
        return error.message
    return None


@given(st.binary(), st.sampled_from(Algorithm))
def test_what_is_written_reads_back(payload: bytes, algorithm: Algorithm) -> None:
    """A digest of any content survives writing and parsing, and is what hashlib says."""
    digest = Digest.of(payload, algorithm)
    assert Digest.parse(str(digest)) == digest
    assert str(digest) == f"{algorithm.value}:{hashlib.new(algorithm.value, payload).hexdigest()}"
    assert len(digest.hex) == algorithm.hex_length


def test_digest_is_a_value() -> None:
    """Equal digests are equal, hash alike and can't be changed."""
    one, other = Digest.parse(f"sha256:{EMPTY}"), Digest.of(b"")
    assert one == other
    assert len({one, other, Digest.of(b"", Algorithm.SHA512)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.hex = "00"  # type: ignore[misc]  # the point of the test


def test_hasher_goes_on_from_a_copy() -> None:
    """A copied hasher is independent of the one it was copied from."""
    first = Algorithm.SHA256.hasher()
    first.update(b"ab")
    second = first.copy()
    second.update(b"c")
    assert first.hexdigest() == Digest.of(b"ab").hex
    assert second.hexdigest() == Digest.of(b"abc").hex


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "isn't a digest"),
        ("sha256", "isn't a digest"),
        (EMPTY, "isn't a digest"),
        (f"sha256:{EMPTY}\n", "isn't a digest"),
        (f" sha256:{EMPTY}", "isn't a digest"),
        (f"sha256:{EMPTY}é", "isn't a digest"),
        (f"SHA256:{EMPTY}", "isn't a digest"),
        ("sha256:baddigeststring", "exactly 64"),
        (f"sha256:{EMPTY}0", "exactly 64"),
        (f"sha512:{EMPTY}", "exactly 128"),
        (f"sha256:{EMPTY.upper()}", "lower-case"),
        (f"sha256:{'g' * 64}", "lower-case"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "supports sha256 and sha512"),
        (f"sha384:{'0' * 96}", "supports sha256 and sha512"),
        (f"sha256+b64:{EMPTY}", "supports sha256 and sha512"),
    ],
)
def test_malformed_digests_are_refused(text: str, says: str) -> None:
    """What isn't a digest is refused with a message that names the mistake."""
    with pytest.raises(DigestInvalid, match=says):
        Digest.parse(text)


@given(st.text())
def test_any_text_is_a_digest_or_refused(text: str) -> None:
    """No text raises anything but the error for digests, and a message stays short and printable."""
    if (message := refusal(text)) is None:
        assert str(Digest.parse(text)) == text
    else:
        assert message.isprintable()
        assert len(message) < 2500


def test_a_wall_of_text_is_not_repeated() -> None:
    """A message doesn't send a megabyte back."""
    with pytest.raises(DigestInvalid) as refused:
        Digest.parse("x" * 1_000_000)
    assert len(refused.value.message) < 500
