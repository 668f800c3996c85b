# SPDX-License-Identifier: Apache-2.0
"""What an S3 server sends of an object, and what it says about its size."""

from __future__ import annotations

import re
from collections.abc import Mapping

import aiohttp

from longshore.storage.port import StoreUnavailable
from longshore.storage.s3.answers import UnreadableAnswerError
from longshore.storage.s3.failures import broken, explain, logged

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)


class S3Body:
    """What is being read of an object."""

    def __init__(self, path: str, response: aiohttp.ClientResponse, size: int, timeout: float) -> None:
        self._path = path
        self._response = response
        self._size = size
        self._timeout = timeout
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes in the whole object."""
        return self._size

    async def next_chunk(self) -> bytes:
        """Return the next bytes."""
        try:
            # As it came from the connection: joining what has gathered would copy it.
            chunk, boundary = b"", True
            while boundary and not chunk:
                chunk, boundary = await self._response.content.readchunk()
        except (aiohttp.ClientError, OSError) as error:
            deed = f"read object {self._path}"
            failure = broken(error, seconds=self._timeout)
            # Cut by ourselves, because the client has gone, it is nobody's failure.
            raise (explain if self._closed else logged)(failure, deed) from error
        return chunk

    def close(self) -> None:
        """Close the connection, or give it back when everything was read."""
        self._closed = True
        self._response.close()


def whole_size(path: str, response: aiohttp.ClientResponse, offset: int, *, ranged: bool) -> int:
    """The size of the object that an answer is about."""
    if not ranged or (response.status == 200 and not offset):
        return content_length(response.headers)
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status != 206 or match is None or int(match[1]) != offset:
        raise StoreUnavailable(
            f"The object store could not read object {path} from byte {offset}: it answered another range. Is there a cache "
            "between, or is it no S3 server?"
        )
    return int(match[3])


def content_length(headers: Mapping[str, str]) -> int:
    """Read how long a body is; raises ``UnreadableAnswerError`` when that isn't said."""
    text = headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()):
        raise UnreadableAnswerError("it has no length")
    return int(text)
