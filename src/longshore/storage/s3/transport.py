# SPDX-License-Identifier: Apache-2.0
"""Signed requests to one bucket, with retries and deadlines.

Amazon's library signs; the requests themselves are aiohttp's. The library's own client would hash each part on the event
loop, and takes twice the processor's time for a small object (`docs/why/object-storage.md` has the figures).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import yarl
from aiohttp.abc import AbstractStreamWriter
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from longshore.storage.parts.client import Content
from longshore.storage.s3.answers import ErrorAnswer, error_in
from longshore.storage.s3.credentials import Credentials, CredentialSource
from longshore.storage.s3.failures import BrokenConnectionError, NoTurnError, S3Error, broken
from longshore.storage.s3.turns import Turns
from longshore.storage.threads import Threads

_CONNECT_SECONDS = 5.0
_ABSENT_SECONDS = 5.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_CHUNK = 256 * 1024
_HASHED_AT_ONCE = 64 * 1024
_LARGEST_ANSWER = 16 * 1024 * 1024
_READ_AHEAD = 128 * 1024
_SLOWEST = 128 * 1024
_NOTHING = hashlib.sha256().hexdigest()

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes:
        method: Such as ``GET``.
        path: Of the object below the bucket, empty for the bucket itself.
        query: What comes behind the question mark; an empty value is sent as ``name=``.
        headers: Beside those that every request has.
        content: What is sent.
        patience: Seconds that the answer may take, where that is more than for others.
        once: It is not sent again when it may have been carried out.
        within: Seconds for everything, where the caller has no longer.
    """

    method: str
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content = b""
    patience: float = 0.0
    once: bool = False
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _KnownPayload(S3SigV4Auth):
    """Signs with a hash of the content that was made elsewhere: the server refuses what arrives with another one."""

    def payload(self, request: AWSRequest) -> str:
        """Return it."""
        known: str = request.context["content_sha256"]
        return known


class Transport:
    """The connections of a process to one bucket."""

    def __init__(
        self,
        base: str,
        region: str,
        source: CredentialSource,
        *,
        tls: ssl.SSLContext | None,
        timeout: float,
        concurrency: int,
    ) -> None:
        self._base = base
        self._region = region
        self._source = source
        self._timeout = timeout
        self._turns = Turns(concurrency)
        # What takes minutes must not keep the rest waiting.
        self._long_turns = Turns(concurrency)
        self._threads = Threads(2, "s3-hash")
        # No cookies, no proxies of the environment, no limit for connections: downloads have as many as there are
        # clients, and everything else waits for its turn.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls if tls is not None else True, keepalive_timeout=10),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Content-Type"),
            auto_decompress=False,
            read_bufsize=_READ_AHEAD,
            trust_env=False,
        )

    async def ask(self, asked: Asked) -> Answer:
        """Send a request until it is carried out or the deadline passes.

        Raises ``S3Error`` and ``BrokenConnectionError``.
        """
        deadline = self._deadline(asked)
        digest = await self._hash(asked.content)
        turns = self._long_turns if asked.patience else self._turns

        async def attempt() -> Answer:
            # Between two attempts the turn is somebody else's.
            async with turns.one(deadline), asyncio.timeout_at(deadline):
                return await self._once(asked, digest)

        return await self._until_done(asked, deadline, attempt)

    async def stream(self, asked: Asked) -> aiohttp.ClientResponse:
        """Send a request and return its answer before the body has arrived; the caller closes it. Raises as ``ask``."""
        deadline = self._deadline(asked)

        async def attempt() -> aiohttp.ClientResponse:
            async with asyncio.timeout_at(deadline):
                return await self._begin(asked, _NOTHING)

        return await self._until_done(asked, deadline, attempt)

    async def presigned(self, base: str, path: str, lifetime_seconds: int) -> str:
        """Return a URL that answers the object by GET."""
        request = AWSRequest("GET", _url(base, path, {}))
        signer = S3SigV4QueryAuth(_frozen(await self._source.current()), "s3", self._region, expires=lifetime_seconds)
        signer.add_auth(request)
        return str(request.url)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._threads.close()

    async def _hash(self, content: Content) -> str:
        if len(content) <= _HASHED_AT_ONCE:
            return hashlib.sha256(content).hexdigest()
        return await self._threads.run(lambda: hashlib.sha256(content).hexdigest())

    async def _until_done(self, asked: Asked, deadline: float, attempt: Callable[[], Awaitable[_Result]]) -> _Result:
        loop = asyncio.get_running_loop()
        began = loop.time()
        pause = _FIRST_PAUSE
        renewed = False
        last: S3Error | BrokenConnectionError | None = None
        while True:
            try:
                return await attempt()
            except S3Error as error:
                if error.refused is not None and not renewed and await self._source.renew(error.refused):
                    renewed = True
                    continue
                if not error.passes or loop.time() + pause > deadline or (asked.once and not error.is_undone):
                    raise
                last = error
            except NoTurnError as error:
                raise last or error from error
            except BrokenConnectionError as error:
                # A store that isn't there is told soon: long enough for its restart, short enough for who waits.
                until = min(deadline, began + _ABSENT_SECONDS) if error.is_undone else deadline
                if error.refused or loop.time() + pause > until or (asked.once and not error.is_undone):
                    raise
                last = error
            except TimeoutError as error:
                # Why the attempt before failed says more than that this one had no time left.
                raise last or broken(error, seconds=self._overall(asked)) from error
            # What failed together must not come back together.
            await asyncio.sleep(random.uniform(pause / 4, pause))  # noqa: S311 - no cryptography
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _deadline(self, asked: Asked) -> float:
        return asyncio.get_running_loop().time() + self._overall(asked)

    def _overall(self, asked: Asked) -> float:
        """Seconds for waiting and all attempts together: two that hang, and sending at a slow line's speed."""
        if asked.within is not None:
            return asked.within
        return 2 * self._timeout + asked.patience + len(asked.content) / _SLOWEST

    async def _once(self, asked: Asked, digest: str) -> Answer:
        response = await self._begin(asked, digest)
        try:
            return Answer(response.status, response.headers, await self._body(response))
        finally:
            response.close()

    async def _begin(self, asked: Asked, digest: str) -> aiohttp.ClientResponse:
        if self._session.closed:
            raise BrokenConnectionError("this server stops; try again", refused=True)
        loop = asyncio.get_running_loop()
        url = _url(self._base, asked.path, asked.query)
        credentials = await self._source.current()
        headers = self._signed(asked, url, digest, credentials)
        patience = self._timeout + asked.patience
        try:
            async with asyncio.timeout(patience) as progress:
                response = await self._session.request(
                    asked.method,
                    yarl.URL(url, encoded=True),
                    headers=headers,
                    data=_Sending(asked.content, lambda: progress.reschedule(loop.time() + patience)),
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=patience),
                )
        except (aiohttp.ClientError, OSError) as error:
            raise broken(error, seconds=patience) from error
        if response.status < 300:
            return response
        try:
            body = b"" if asked.method == "HEAD" else await self._body(response)
        finally:
            response.close()
        raise refusal(response.status, response.headers, body, credentials)

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            body = bytearray()
            while chunk := await response.content.readany():
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    raise BrokenConnectionError("its answer has no end: is it an S3 server?")
        except (aiohttp.ClientError, OSError) as error:
            raise broken(error, seconds=self._timeout) from error
        return bytes(body)

    def _signed(self, asked: Asked, url: str, digest: str, credentials: Credentials) -> dict[str, str]:
        headers = dict(asked.headers)
        if asked.method in {"PUT", "POST"}:
            headers["Content-Length"] = str(len(asked.content))
        request = AWSRequest(asked.method, url, headers)
        request.context["content_sha256"] = digest
        _KnownPayload(_frozen(credentials), "s3", self._region).add_auth(request)
        # Proxies change these, so they are not signed.
        return {**dict(request.headers.items()), "Accept-Encoding": "identity", "User-Agent": "longshore"}


class _Sending(aiohttp.payload.Payload):
    """Content on its way: in chunks that don't hold up the event loop, from its beginning whenever it is asked for."""

    _autoclose = True

    def __init__(self, content: Content, moved: Callable[[], None]) -> None:
        super().__init__(content)
        self._size = len(content)
        self._moved = moved

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the content as text; aiohttp never asks."""
        return bytes(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send it, and tell of each chunk that the connection took."""
        content = memoryview(self._value)
        for start in range(0, len(content), _CHUNK):
            await writer.write(content[start : start + _CHUNK])
            self._moved()


def refusal(status: int, headers: Mapping[str, str], body: bytes, credentials: Credentials) -> S3Error:
    """Make the error that an answer tells of, to a request that was signed with these credentials."""
    error = S3Error(
        status,
        error_in(body) or ErrorAnswer(),
        region=headers.get("x-amz-bucket-region", ""),
        request=headers.get("x-amz-request-id", ""),
    )
    error.refused = credentials if error.asks_for_other_credentials else None
    return error


def content_md5(content: Content) -> str:
    """Return the header that servers demand with a list of keys."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _url(base: str, path: str, query: Mapping[str, str]) -> str:
    # Signing encodes the same characters.
    asked = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
    return f"{base}/{quote(path, safe='/-_.~')}" + (f"?{asked}" if asked else "")


def _frozen(credentials: Credentials) -> ReadOnlyCredentials:
    return ReadOnlyCredentials(credentials.access_key, credentials.secret_key, credentials.token)
