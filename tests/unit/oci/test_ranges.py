# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.oci import mediatypes
from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUploadInvalid, LongshoreError, RangeInvalid
from longshore.oci.ranges import ByteRange, ContentRange, accepts, etag_matches


def outcome(parse: Callable[[], object]) -> object:
    try:
        return parse()
    except LongshoreError as error:
        return error


DIGEST = Digest.of(b"")
OTHER = Digest.of(b"x")


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=500-1499", 500, 1499),
        ("bytes=0-0", 0, 0),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=-5000", 0, 2047),
        ("bytes=2000-5000", 2000, 2047),
        (f"bytes=0-{'9' * 5000}", 0, 2047),
        (f"bytes=-{'9' * 5000}", 0, 2047),
        ("bytes=000000000000000000000000000000000001-3", 1, 3),
        (" Bytes = 1 - 2 ", 1, 2),
    ],
)
def test_a_single_range_is_served(header: str, start: int, end: int) -> None:
    """A range within the content, or clipped to it, is what comes back."""
    found = ByteRange.parse(header, 2048)
    assert found == ByteRange(start, end)
    assert found.length == end - start + 1
    assert found.content_range(2048) == f"bytes {start}-{end}/2048"


@pytest.mark.parametrize(
    "header",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=0-1,4-5", "lines=0-1", "bytes=1-2x", "bytes=٣-"],
)
def test_what_is_no_single_byte_range_means_the_whole(header: str) -> None:
    """Several ranges, other units and nonsense are ignored, as RFC 9110 has it."""
    assert ByteRange.parse(header, 2048) is None


@pytest.mark.parametrize(
    "header", ["bytes=2048-", "bytes=5000-10000", "bytes=500-0", "bytes=-0", f"bytes={'9' * 5000}-"]
)
def test_unsatisfiable_ranges_are_refused(header: str) -> None:
    """A range with nothing in it is refused and carries the size for the answer."""
    with pytest.raises(RangeInvalid) as refused:
        ByteRange.parse(header, 2048)
    assert refused.value.size == 2048


def test_ranges_of_nothing() -> None:
    """Of an empty blob the last bytes are the whole of it, and no byte can be asked for by position."""
    assert ByteRange.parse("bytes=-5", 0) is None
    for header in ("bytes=0-", "bytes=0-0", "bytes=-0"):
        with pytest.raises(RangeInvalid):
            ByteRange.parse(header, 0)


@given(st.binary(min_size=1, max_size=50), st.integers(0, 60), st.integers(0, 60))
def test_ranges_cut_what_slices_cut(content: bytes, first: int, last: int) -> None:
    """A range names the bytes that the same slice of the content has."""
    try:
        found = ByteRange.parse(f"bytes={first}-{last}", len(content))
    except RangeInvalid:
        assert not content[first : last + 1]
    else:
        assert found is not None
        assert content[found.start : found.end + 1] == content[first : last + 1]
        assert found.length == len(content[first : last + 1])


@given(st.text(alphabet="bytes=0123456789-, /*", max_size=40), st.integers(0, 2**50))
def test_any_range_header_is_understood_or_refused(header: str, size: int) -> None:
    """No Range or Content-Range raises anything but an error of ours; what is understood is within bounds."""
    found = outcome(lambda: ByteRange.parse(header, size))
    if isinstance(found, ByteRange):
        assert 0 <= found.start <= found.end < size
    else:
        assert found is None or (isinstance(found, RangeInvalid) and found.size == size)
    chunk = outcome(lambda: ContentRange.parse(header))
    if isinstance(chunk, ContentRange):
        assert chunk.start >= 0
        assert chunk.length >= 0
    else:
        assert isinstance(chunk, BlobUploadInvalid | RangeInvalid)


@pytest.mark.parametrize(
    "header",
    ["0-1023", " 0 - 1023 ", "bytes 0-1023/2048", "bytes 0-1023/*", "bytes=0-1023", "Bytes 0-1023", "0-1023/*"],
)
def test_content_range(header: str) -> None:
    """The specification's form of a chunk's place is understood, and HTTP's."""
    assert ContentRange.parse(header) == ContentRange(0, 1023)
    assert ContentRange.parse(header).length == 1024


def test_content_range_of_an_empty_chunk() -> None:
    """A chunk that ends just before it starts is empty."""
    assert ContentRange.parse("10-9").length == 0


@pytest.mark.parametrize(
    "header", ["", "-", "0-", "-5", "a-b", "0-1-2", "bytes", "bytes */10", "lines 0-1", "0-1/x", "\u0660-\u0661"]
)
def test_malformed_content_ranges_are_refused(header: str) -> None:
    """What isn't a range is the client's mistake in the upload."""
    with pytest.raises(BlobUploadInvalid, match="<start>-<end>"):
        ContentRange.parse(header)


@pytest.mark.parametrize("header", ["10-8", "bytes 2-0/5", f"0-{'9' * 5000}", f"{'9' * 5000}-{'9' * 5000}"])
def test_impossible_content_ranges_are_refused(header: str) -> None:
    """A range that no chunk can have is 416."""
    with pytest.raises(RangeInvalid) as refused:
        ContentRange.parse(header)
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f'"{DIGEST}"', True),
        (f'W/"{DIGEST}"', True),
        (f'"{OTHER}", W/"{DIGEST}"', True),
        (f'"a,b" , "{DIGEST}"', True),
        (str(DIGEST), True),
        (f"{OTHER},{DIGEST}", True),
        ("*", True),
        (" * ", True),
        ('"*"', False),
        (f'"{OTHER}"', False),
        (f'"{DIGEST} "', False),
        ("", False),
        ('"', False),
    ],
)
def test_etag_matches(header: str, *, expected: bool) -> None:
    """If-None-Match names a digest by its entity tag, weak or strong, alone or in a list."""
    assert etag_matches(header, DIGEST) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], True),
        ([""], True),
        (["*/*"], True),
        (["application/*"], True),
        ([mediatypes.OCI_INDEX], True),
        ([mediatypes.OCI_INDEX.upper()], True),
        ([mediatypes.OCI_MANIFEST, mediatypes.OCI_INDEX], True),
        ([f"{mediatypes.OCI_MANIFEST}, {mediatypes.OCI_INDEX};q=0.5"], True),
        ([f"{mediatypes.DOCKER_MANIFEST},{mediatypes.OCI_MANIFEST}"], False),
        (["text/*"], False),
        ([f"*/*, {mediatypes.OCI_INDEX};q=0"], False),
        ([f"*/*;q=0, {mediatypes.OCI_INDEX}"], True),
        (["*/*;q=0.000"], False),
        (["*/*;q=0.001"], True),
        (["nonsense,,;;"], False),
    ],
)
def test_accepts(headers: list[str], *, expected: bool) -> None:
    """Accept headers are merged, and the closest range decides."""
    assert accepts(headers, mediatypes.OCI_INDEX) is expected


@given(st.lists(st.text(alphabet="abq=0.1;,*/ \t", max_size=30), max_size=3), st.text(max_size=60))
def test_any_condition_has_an_answer(headers: list[str], tag: str) -> None:
    """No Accept or If-None-Match header raises."""
    assert accepts(headers, mediatypes.OCI_INDEX) in {True, False}
    assert etag_matches(tag, DIGEST) in {True, False}
