# SPDX-License-Identifier: Apache-2.0
"""The XML that S3 speaks: what is asked with it, and what comes back.

Servers differ in namespaces and in what they leave out, so elements are found by their local names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from longshore.storage.parts.client import Entry, Part


class UnreadableAnswerError(Exception):
    """What came back isn't the XML that S3 speaks."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What a server says about a request it didn't carry out; empty where it says nothing.

    Attributes:
        code: Such as ``NoSuchKey``.
        message: For people.
        region: Where the bucket is, when the request went to the wrong place.
        key: What it is about, in the answer to a request for many.
    """

    code: str = ""
    message: str = ""
    region: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing; ``more`` continues it."""

    entries: tuple[Entry, ...]
    more: str | None


@dataclass(frozen=True, slots=True)
class UploadsPage:
    """One page of unfinished uploads in parts: keys and ids, and the markers that continue it."""

    uploads: tuple[tuple[str, str], ...]
    more: tuple[str, str] | None


def error_in(body: bytes) -> ErrorAnswer | None:
    """Read an error; None for anything else."""
    try:
        root = _root(body)
    except UnreadableAnswerError:
        return None
    return _error(root) if _name(root) == "Error" else None


def upload_id(body: bytes) -> str:
    """Read the id of an upload that was begun."""
    return _required(_root(body, "InitiateMultipartUploadResult"), "UploadId")


def completion_error(body: bytes) -> ErrorAnswer | None:
    """Read what became of a completion: errors come with status 200 too. None when all is well."""
    root = _root(body)
    if _name(root) == "Error":
        return _error(root)
    _required(root, "ETag")
    return None


def deletion_errors(body: bytes) -> list[ErrorAnswer]:
    """Read which keys were not deleted."""
    return [_error(element) for element in _root(body, "DeleteResult") if _name(element) == "Error"]


def page(body: bytes) -> Page:
    """Read a page of the objects; keys were asked for in URL encoding."""
    root = _root(body, "ListBucketResult")
    entries = tuple(
        Entry(unquote(_required(each, "Key")), _number(_required(each, "Size")), _time(_required(each, "LastModified")))
        for each in _all(root, "Contents")
    )
    # A page that goes on nowhere must not look like the last one: what isn't listed would be taken for gone.
    more = _required(root, "NextContinuationToken") if _text(root, "IsTruncated") == "true" else None
    return Page(entries, more)


def uploads_page(body: bytes) -> UploadsPage:
    """Read a page of the uploads that were begun."""
    root = _root(body, "ListMultipartUploadsResult")
    uploads = tuple((_required(each, "Key"), _required(each, "UploadId")) for each in _all(root, "Upload"))
    more = None
    if _text(root, "IsTruncated") == "true":
        more = (_required(root, "NextKeyMarker"), _text(root, "NextUploadIdMarker") or "")
    return UploadsPage(uploads, more)


def has_parts(body: bytes) -> bool:
    """Whether a list of parts has any."""
    return any(True for _ in _all(_root(body, "ListPartsResult"), "Part"))


def completion(parts: Sequence[Part]) -> bytes:
    """Write the request that makes parts an object."""
    inner = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><ETag>{escape(part.tag)}</ETag></Part>" for part in parts
    )
    return f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{inner}</CompleteMultipartUpload>'.encode()


def deletion(keys: Sequence[str]) -> bytes:
    """Write the request that deletes many keys and answers only what went wrong."""
    inner = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    return f'<Delete xmlns="{_NAMESPACE}"><Quiet>true</Quiet>{inner}</Delete>'.encode()


_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


def _root(body: bytes, expected: str | None = None) -> ET.Element:
    try:
        # As text, so that the parser believes in no other encoding, in which the declarations below would look different.
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableAnswerError("it isn't UTF-8") from error
    if "\0" in text:
        # The parser takes it for UTF-16, whatever it is told.
        raise UnreadableAnswerError("it has bytes that no text has")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UnreadableAnswerError("it is a document with declarations")
    try:
        # Spaces keep the connection open while a server works, also in front.
        root = ET.fromstring(text.strip())  # noqa: S314 - declarations, which could blow it up, are refused above
    except ET.ParseError as error:
        raise UnreadableAnswerError("it is no XML") from error
    if expected is not None and _name(root) != expected:
        raise UnreadableAnswerError(f"it is no {expected}")
    return root


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _all(element: ET.Element, name: str) -> Iterator[ET.Element]:
    return (child for child in element if _name(child) == name)


def _text(element: ET.Element, name: str) -> str | None:
    return next((child.text or "" for child in _all(element, name)), None)


def _required(element: ET.Element, name: str) -> str:
    text = _text(element, name)
    if not text:
        raise UnreadableAnswerError(f"it has no {name}")
    return text


def _error(element: ET.Element) -> ErrorAnswer:
    return ErrorAnswer(
        code=_text(element, "Code") or "",
        message=_text(element, "Message") or "",
        region=_text(element, "Region") or "",
        key=_text(element, "Key") or "",
    )


def _number(text: str) -> int:
    if _DIGITS.fullmatch(text) is None:
        raise UnreadableAnswerError("it has a size that is none")
    return int(text)


def _time(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UnreadableAnswerError("it has a time that is none") from error
    return int(moment.timestamp() * 1_000_000)
