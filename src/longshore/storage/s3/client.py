# SPDX-License-Identifier: Apache-2.0
"""One bucket, or a prefix in it, as the parts layer asks it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Self, TypeVar

import structlog

from longshore.oci.errors import ServiceUnavailable
from longshore.storage.parts.client import BeginningLost, Content, Entry, Part, RangeBeyondEnd
from longshore.storage.port import ObjectMissing, StoreUnavailable
from longshore.storage.refusals import StoreRefused
from longshore.storage.s3 import answers
from longshore.storage.s3.answers import UnreadableAnswerError
from longshore.storage.s3.body import S3Body, content_length, whole_size
from longshore.storage.s3.credentials import CredentialSource, region_of, source_of
from longshore.storage.s3.failures import UNSUPPORTED, BrokenConnectionError, S3Error, explain, logged
from longshore.storage.s3.location import Location
from longshore.storage.s3.transport import Answer, Asked, Transport, content_md5

_log = structlog.get_logger("longshore.storage")

_BATCH = 1000
_ABORTS = 10
_PROBE_SECONDS = 5.0
_RETRIES = 5
_PAUSE_SECONDS = 0.3
_COMPLETION_SECONDS = 600.0
_Marker = TypeVar("_Marker", str, tuple[str, str])
_OCTETS = {"Content-Type": "application/octet-stream"}


class S3Client:
    """Asks one bucket; see ``ObjectClient``. Paths are below the location's prefix."""

    def __init__(self, location: Location, region: str, source: CredentialSource, tls: ssl.SSLContext | None) -> None:
        self._location = location
        self._region = region
        self._transport = Transport(
            location.base(region),
            region,
            source,
            tls=tls,
            timeout=location.timeout,
            concurrency=location.concurrency,
        )
        self._deletes_many = True

    @classmethod
    async def open(cls, location: Location) -> Self:
        """Prepare the connections without making one.

        Raises ``StoreRefused`` when credentials, region or the file with certificates aren't to be had.
        """
        return cls(location, await region_of(location), source_of(location), await asyncio.to_thread(_tls, location))

    @property
    def public_origin(self) -> str | None:
        """Where presigned URLs lead; None when the server has only an address that may be internal."""
        if self._location.endpoint is not None and self._location.public_endpoint is None:
            return None
        scheme, _, rest = self._location.public_base(self._region).partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    async def probe(self) -> None:
        """Ask for one page of nothing, to see whether the store can be used.

        Raises ``StoreRefused`` when it never can with these settings, ``StoreUnavailable`` when it is away; both say what was
        tried and what was answered.
        """
        tried = f"{self._location.base(self._region)} (region {self._region})"
        try:
            answers.page((await self._transport.ask(self._list_request({"max-keys": "1"}, within=_PROBE_SECONDS))).body)
        except (S3Error, BrokenConnectionError) as error:
            raise _tell(explain(error, "be used"), tried, error) from error
        except UnreadableAnswerError as error:
            raise StoreRefused(
                "The object store can't be used: what answers there is no S3 server.", for_operator=f"Tried: {tried}."
            ) from error

    async def put(self, path: str, content: Content) -> None:
        """Store a whole object."""
        with self._explained(f"store object {path}"):
            await self._transport.ask(Asked("PUT", self._key(path), headers=_OCTETS, content=content))

    async def put_new(self, path: str, content: Content) -> bool:
        """Store a whole object unless there is one."""
        with self._explained(f"store object {path}"):
            try:
                await self._transport.ask(
                    Asked("PUT", self._key(path), headers={**_OCTETS, "If-None-Match": "*"}, content=content)
                )
            except S3Error as error:
                if error.status == 412:
                    return False
                if error.code not in UNSUPPORTED and error.status != 501:
                    raise
                if await self.size(path) is not None:
                    return False
                await self.put(path, content)
        return True

    async def get(self, path: str, offset: int, length: int | None) -> S3Body:
        """Begin to read a range."""
        headers = {}
        if offset or length is not None:
            headers["Range"] = f"bytes={offset}-" + ("" if length is None else str(offset + length - 1))
        with self._explained(f"read object {path}"):
            try:
                response = await self._transport.stream(Asked("GET", self._key(path), headers=headers))
            except S3Error as error:
                if error.status == 416:
                    raise RangeBeyondEnd(
                        f"Object {path} ends before byte {offset}. If this lasts, run `longshore verify`."
                    ) from error
                raise
            try:
                size = whole_size(path, response, offset, ranged=bool(headers))
            except BaseException:
                response.close()
                raise
        return S3Body(path, response, size, self._location.timeout)

    async def size(self, path: str) -> int | None:
        """Return the object's size in bytes."""
        with self._explained(f"look at object {path}"):
            try:
                answer = await self._transport.ask(Asked("HEAD", self._key(path)))
            except S3Error as error:
                if error.status != 404:
                    raise
                # No body says what is missing, the object or the bucket; a bucket that is gone lacks no object.
                answers.page((await self._transport.ask(self._list_request({"max-keys": "1"}))).body)
                return None
            return content_length(answer.headers)

    async def begin(self, path: str) -> str:
        """Begin an upload in parts."""
        deed = f"begin object {path}"
        asked = Asked("POST", self._key(path), {"uploads": ""}, _OCTETS, once=True)
        with self._explained(deed):
            try:
                return answers.upload_id((await self._transport.ask(asked)).body)
            except (S3Error, BrokenConnectionError) as error:
                if error.is_undone or not error.passes:
                    raise
                # Whoever begins again, under another key, is to come a little later.
                await asyncio.sleep(_PAUSE_SECONDS)
                raise BeginningLost(logged(error, deed).message) from error

    async def put_part(self, path: str, upload: str, number: int, content: Content) -> Part:
        """Store a part."""
        query = {"partNumber": str(number), "uploadId": upload}
        with self._explained(f"store part {number} of object {path}"):
            answer = await self._transport.ask(Asked("PUT", self._key(path), query, content=content))
            tag = answer.headers.get("ETag", "")
            if not tag:
                raise UnreadableAnswerError("it has no ETag")
        return Part(number, len(content), tag.strip('"'))

    async def complete(self, path: str, upload: str, parts: Sequence[Part]) -> None:
        """Make the parts the object."""
        asked = Asked(
            "POST",
            self._key(path),
            {"uploadId": upload},
            {"Content-Type": "application/xml"},
            answers.completion(parts),
            patience=_COMPLETION_SECONDS,
        )
        with self._explained(f"complete object {path}"):
            for attempt in range(_RETRIES):
                answer = await self._transport.ask(asked)
                error = answers.completion_error(answer.body)
                if error is None:
                    return
                # It began to answer before it knew: 200 and an error behind it.
                failure = S3Error(500, error, request=answer.headers.get("x-amz-request-id", ""))
                if error.code not in _PASSING or attempt == _RETRIES - 1:
                    raise failure
                await asyncio.sleep(0.2 * 2**attempt)

    async def abort_all(self, path: str) -> None:
        """Delete every upload in parts of this path."""
        key = self._key(path)
        with self._explained(f"delete the parts of object {path}"):
            for _ in range(_ABORTS):
                uploads = [upload async for found, upload in self._uploads(key) if found == key]
                if not uploads:
                    return
                for upload in uploads:
                    await self._abort(key, upload)
        raise StoreUnavailable(
            f"The object store still has parts of object {path} after {_ABORTS} attempts to delete them. They are tried again "
            "later; if this lasts, look at the store's log."
        )

    async def delete(self, paths: Sequence[str]) -> dict[str, ServiceUnavailable]:
        """Delete objects; returns those that may still be there."""
        left: dict[str, ServiceUnavailable] = {}
        for start in range(0, len(paths), _BATCH):
            batch = [self._key(path) for path in paths[start : start + _BATCH]]
            deed = f"delete {len(batch)} objects"
            try:
                with self._explained(deed):
                    many = len(batch) > 1 and self._deletes_many
                    refused = await (self._delete_batch if many else self._delete_singly)(batch)
            except StoreUnavailable as error:
                # The others would fare no better.
                return left | dict.fromkeys(paths[start:], error)
            if refused:
                reason = logged(next(iter(refused.values())), deed)
                left |= dict.fromkeys((key.removeprefix(self._location.prefix) for key in refused), reason)
        return left

    async def listing(self) -> AsyncGenerator[Entry, None]:
        """List all objects."""
        more: str | None = ""
        while more is not None:
            with self._explained("list its objects"):
                query = {"continuation-token": more} if more else {}
                page = answers.page((await self._transport.ask(self._list_request(query))).body)
            for entry in page.entries:
                yield Entry(entry.path.removeprefix(self._location.prefix), entry.size, entry.modified_at)
            with self._explained("list its objects"):
                more = _next(more, page.more)

    async def unfinished(self) -> AsyncGenerator[str, None]:
        """List the paths of uploads in parts that were begun and not ended."""
        with self._explained("list its unfinished uploads"):
            async for key, _ in self._uploads(self._location.prefix):
                yield key.removeprefix(self._location.prefix)

    async def presign(self, path: str, lifetime_seconds: int) -> str:
        """Return a URL by which anybody may read the object for a while."""
        base = self._location.public_base(self._region)
        return await self._transport.presigned(base, self._key(path), lifetime_seconds)

    async def close(self) -> None:
        """Release the connections."""
        await self._transport.close()

    def _key(self, path: str) -> str:
        return f"{self._location.prefix}{path}"

    def _list_request(self, query: dict[str, str], *, within: float | None = None) -> Asked:
        asked = {"list-type": "2", "encoding-type": "url", "prefix": self._location.prefix, **query}
        return Asked("GET", "", asked, within=within)

    async def _uploads(self, prefix: str) -> AsyncGenerator[tuple[str, str], None]:
        markers: tuple[str, str] | None = ("", "")
        while markers is not None:
            query = {"uploads": "", "prefix": prefix}
            if markers[0]:
                query |= {"key-marker": markers[0], "upload-id-marker": markers[1]}
            page = answers.uploads_page((await self._transport.ask(Asked("GET", "", query))).body)
            for found in page.uploads:
                yield found
            markers = _next(markers, page.more)

    async def _abort(self, key: str, upload: str) -> None:
        """Abort one upload, and again while parts that were on their way have come in since."""
        try:
            for _ in range(_ABORTS):
                await self._transport.ask(Asked("DELETE", key, {"uploadId": upload}))
                answer = await self._transport.ask(Asked("GET", key, {"uploadId": upload, "max-parts": "1"}))
                if not answers.has_parts(answer.body):
                    return
        except S3Error as error:
            if error.code != "NoSuchUpload" and error.status != 404:
                raise

    async def _delete_batch(self, keys: Sequence[str]) -> dict[str, S3Error]:
        """Delete many with one request; returns what was refused."""
        left = list(keys)
        refused: dict[str, S3Error] = {}
        for attempt in range(_RETRIES):
            try:
                answer = await self._ask_to_delete(left)
            except S3Error as error:
                if error.code not in UNSUPPORTED and error.status not in {405, 501}:
                    raise
                self._deletes_many = False
                return refused | await self._delete_singly(left)
            errors = [each for each in answers.deletion_errors(answer.body) if each.code != "NoSuchKey"]
            if not {each.key for each in errors} <= set(keys):
                raise UnreadableAnswerError("it tells of keys that weren't asked about")
            last = attempt == _RETRIES - 1
            refused |= {each.key: S3Error(500, each) for each in errors if last or each.code not in _PASSING}
            left = [each.key for each in errors if each.key not in refused]
            if not left:
                break
            await asyncio.sleep(0.2 * 2**attempt)
        return refused

    async def _ask_to_delete(self, keys: Sequence[str]) -> Answer:
        content = answers.deletion(keys)
        headers = {"Content-Type": "application/xml", "Content-MD5": content_md5(content)}
        return await self._transport.ask(Asked("POST", "", {"delete": ""}, headers, content))

    async def _delete_singly(self, keys: Sequence[str]) -> dict[str, S3Error]:
        """Delete one by one; returns what was refused."""
        refused: dict[str, S3Error] = {}

        async def delete(key: str) -> None:
            try:
                await self._transport.ask(Asked("DELETE", key))
            except S3Error as error:
                if error.code != "NoSuchKey":
                    refused[key] = error

        for start in range(0, len(keys), 16):
            await asyncio.gather(*(delete(key) for key in keys[start : start + 16]))
        return refused

    @contextmanager
    def _explained(self, deed: str) -> Iterator[None]:
        try:
            yield
        except (S3Error, BrokenConnectionError) as error:
            raise logged(error, deed) from error
        except UnreadableAnswerError as error:
            _log.warning("the object store's answer can't be read", deed=deed, reason=str(error))
            raise StoreUnavailable(
                f"The object store could not {deed}: what came back is no answer of an S3 server ({error}). Look at endpoint= "
                "in LONGSHORE_STORAGE_URL and at what stands between."
            ) from error


_PASSING = frozenset({"InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "OperationAborted"})


def _next(asked: _Marker, more: _Marker | None) -> _Marker | None:
    """Where the next page begins; elsewhere than this one, or the listing would never end."""
    if more == asked:
        raise UnreadableAnswerError("its pages don't end")
    return more


def _tell(error: StoreUnavailable | ObjectMissing, tried: str, cause: Exception) -> StoreUnavailable:
    """Add what was tried and answered, for the operator's eyes."""
    answered = f"It answered: {cause}." if isinstance(cause, S3Error) else getattr(error, "for_operator", "")
    kind = StoreRefused if isinstance(error, StoreRefused) else StoreUnavailable
    return kind(error.message, for_operator=f"Tried: {tried}. {answered}".rstrip())


def _tls(location: Location) -> ssl.SSLContext | None:
    """The certificates that are trusted: the system's, and those of the file."""
    if location.ca is None:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=location.ca)
    except (OSError, ssl.SSLError) as error:
        raise StoreRefused(
            "LONGSHORE_STORAGE_URL: the file of ca= can't be read as certificates (PEM).",
            for_operator=f"It is {location.ca}: {error.strerror or type(error).__name__}.",
        ) from error
    return context
