# SPDX-License-Identifier: Apache-2.0
"""Ranges of bytes and conditions on them, as headers write them (RFC 9110; distribution specification 1.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from longshore.oci.digest import Digest
from longshore.oci.errors import BlobUploadInvalid, RangeInvalid

_RANGE: Final = re.compile(r"[ \t]*bytes[ \t]*=[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*", re.IGNORECASE)
_CONTENT_RANGE: Final = re.compile(
    r"[ \t]*(?:bytes[ \t]*[= \t][ \t]*)?([0-9]+)[ \t]*-[ \t]*([0-9]+)[ \t]*(?:/[ \t]*(?:[0-9]+|\*)[ \t]*)?",
    re.IGNORECASE,
)
_ENTITY_TAG: Final = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)')
_QUALITY: Final = re.compile(r"[ \t]*q[ \t]*=[ \t]*0(?:\.0{0,3})?[ \t]*", re.IGNORECASE)
_LONGEST_NUMBER: Final = 18
_BEYOND: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of some content, from byte `start` to byte `end` inclusive. Never empty."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes it has."""
        return self.end - self.start + 1

    def content_range(self, size: int) -> str:
        """The value of the Content-Range header of a 206 for content of `size` bytes."""
        return f"bytes {self.start}-{self.end}/{size}"

    @classmethod
    def parse(cls, header: str, size: int) -> ByteRange | None:
        """The part of content of `size` bytes that the value of a Range header asks for (RFC 9110, section 14.2).

        None means the whole content, with a 200: the value asks for several ranges, for another unit, or is malformed,
        which the RFC wants to be ignored. A last byte before the first one is refused rather than ignored: nobody who
        writes it wants the whole, and the OCI conformance suite expects so.

        Raises:
            RangeInvalid: The range can't be satisfied; the error carries `size`.
        """
        parts = _RANGE.fullmatch(header)
        if parts is None:
            return None
        first, last = parts.groups()
        if not first:
            return cls._suffix(_number(last), size) if last else None
        start = _number(first)
        end = min(_number(last), size - 1) if last else size - 1
        if start >= size:
            raise RangeInvalid(f"The range starts at byte {start}, but there are only {size} bytes.", size=size)
        if end < start:
            raise RangeInvalid(f"The range ends at byte {end}, before its start at byte {start}.", size=size)
        return cls(start, end)

    @classmethod
    def _suffix(cls, length: int, size: int) -> ByteRange | None:
        if length == 0:
            raise RangeInvalid("The range asks for the last 0 bytes: ask for at least one.", size=size)
        # The last bytes of nothing are nothing, which Content-Range can't say and an empty 200 can.
        return cls(max(size - length, 0), size - 1) if size else None


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Where a chunk of an upload belongs: from `start` to `end` inclusive, which is `start - 1` when it is empty."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes the chunk has."""
        return self.end - self.start + 1

    @classmethod
    def parse(cls, header: str) -> ContentRange:
        """The range that the value of a Content-Range header of a PATCH or PUT announces.

        The distribution specification writes `<start>-<end>`; HTTP's `bytes <start>-<end>/<size>` is understood too.

        Raises:
            BlobUploadInvalid: The value isn't of either form.
            RangeInvalid: The range ends before it starts, or beyond what a blob can have.
        """
        parts = _CONTENT_RANGE.fullmatch(header)
        if parts is None:
            raise BlobUploadInvalid(
                f"The Content-Range {header[:100]!a} isn't <start>-<end>: name the first and the last byte of the "
                "chunk, such as 0-1023."
            )
        start, end = _number(parts[1]), _number(parts[2])
        if end < start - 1:
            raise RangeInvalid(f"The Content-Range ends at byte {end}, before its start at byte {start}.")
        if end >= _BEYOND:
            raise RangeInvalid(f"The Content-Range ends at byte {parts[2][:40]}: no blob is that large.")
        return cls(start, end)


def etag_matches(header: str, digest: Digest) -> bool:
    """Whether the value of an If-None-Match header names the entity tag of `digest`, which is the digest in quotes.

    Compared weakly (RFC 9110, section 13.1.2); `*` names every one, and tags without quotes are understood.
    """
    wanted = str(digest)
    return any(
        wanted in (quoted, bare) or (bare == "*" and header.strip() == "*")
        for quoted, bare in _ENTITY_TAG.findall(header)
    )


def accepts(header_values: Iterable[str], media_type: str) -> bool:
    """Whether a client that sent these Accept headers, one value for each line, takes `media_type` (lower case).

    Without any header it takes everything. Parameters but `q=0` are ignored, as is what makes no sense; the closest
    range decides (RFC 9110, section 12.5.1).
    """
    verdicts: dict[str, bool] = {}
    for value in header_values:
        for item in value.split(","):
            media_range, _, parameters = item.partition(";")
            name = media_range.strip(" \t").lower()
            refused = parameters != "" and any(_QUALITY.fullmatch(parameter) for parameter in parameters.split(";"))
            if name == media_type and not refused:
                return True
            if name:
                verdicts[name] = verdicts.get(name, False) or not refused
    for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*", "*"):
        if name in verdicts:
            return verdicts[name]
    return not verdicts


def _number(digits: str) -> int:
    # Python refuses to convert thousands of digits; nothing that long is a position in content anyway.
    significant = digits.lstrip("0")
    return _BEYOND if len(significant) > _LONGEST_NUMBER else int(significant or "0")
