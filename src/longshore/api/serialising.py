# SPDX-License-Identifier: Apache-2.0
"""How documents are written and read: the one place that knows what the contract says of absent, null and empty members.

A document that is shown derives from `Shown` and declares its members so that the encoder leaves out what it must:

- without a default: the member is always there (`x-omitempty: false`, date-times);
- with its zero value (`""`, `0`, `False`) as default: left out while it is that;
- with `UNSET` as default (`x-nullable`): left out only while unset, there when zero;
- arrays without a default are there, `null` when empty: fill them by `listed`, or by a tuple where the contract has `[]`.

A document that is read derives from `Read`: every member may be absent or null, and members that nobody knows are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, TypeVar

import msgspec
from litestar import Response

from longshore.oci.errors import Unprocessable

JSON: Final = "application/json; charset=utf-8"
NEVER: Final = "0001-01-01T00:00:00.000Z"
"""The time of what never happened."""

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that the database has room for."""

_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_Item = TypeVar("_Item")
_Document = TypeVar("_Document", bound="Read")
_Any = TypeVar("_Any")
_Content = TypeVar("_Content")


class Shown(msgspec.Struct, omit_defaults=True, kw_only=True, frozen=True):
    """A document that the API answers."""


class Read(msgspec.Struct, kw_only=True, frozen=True):
    """A document that the API takes."""


def listed(items: Iterable[_Item]) -> tuple[_Item, ...] | None:
    """An array member: null when it is empty."""
    return tuple(items) or None


@lru_cache(4096)
def moment(microseconds: int) -> str:
    """A time since 1970 as the contract writes it: UTC with exactly three decimals."""
    seconds, rest = divmod(microseconds, 1_000_000)
    # A page has dozens of times: `isoformat` writes one in a third of the time that a format takes.
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest // 1000:03}Z"


def read(payload: bytes, document: type[_Document]) -> _Document:
    """The document that a body is.

    Raises:
        Unprocessable: there is no body, it isn't JSON, or a member has the wrong type; the message names the member.
    """
    return _decode(payload, document)


def read_texts(payload: bytes) -> dict[str, str]:
    """A body that is an object of texts, of any names.

    Raises:
        Unprocessable: there is no body, it isn't JSON, or a value isn't a text.
    """
    return _decode(payload, dict[str, str])


def _decode(payload: bytes, document: type[_Any]) -> _Any:
    if not payload.strip():
        raise Unprocessable("The request needs a JSON document as its body.")
    if _NUL.search(payload):
        raise Unprocessable("The body has the character U+0000, which no text here can have.")
    try:
        return msgspec.json.decode(payload, type=document)
    except msgspec.ValidationError as error:
        raise Unprocessable(f"The body isn't as the contract has it: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unprocessable(f"The body isn't JSON: {error}.") from None
    except RecursionError:
        raise Unprocessable("The body is nested too deeply.") from None


def answer(content: _Content, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[_Content]:
    """A document, or a list of them."""
    return Response(content, status_code=status, media_type=JSON, headers=headers)


def created(location: str, content: Any = None) -> Response[Any]:
    """The answer to a creation: where it is, without a body unless there is something to tell."""
    headers = {"Location": location}
    return answer(content, status=201, headers=headers) if content is not None else empty(status=201, headers=headers)


def empty(*, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """A success with nothing to tell: no body, and no Content-Type (see `longshore.api.app`)."""
    return Response(b"", status_code=status, headers=headers)
