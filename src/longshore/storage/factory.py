# SPDX-License-Identifier: Apache-2.0
"""From ``LONGSHORE_STORAGE_URL`` to an open store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from longshore.storage.filesystem import READING_THREADS, WRITING_THREADS, FilesystemStore
from longshore.storage.port import OpenedStore
from longshore.storage.refusals import InvalidStorageURL
from longshore.storage.s3.location import parse_location

_LATER = ("gs", "az")
_FORMS = "file:///path or s3://bucket/prefix?option=value"


async def open_store(
    url: str,
    *,
    reserve_bytes: int | None = None,
    writing_threads: int = WRITING_THREADS,
    reading_threads: int = READING_THREADS,
) -> OpenedStore:
    """Open the store that the URL names, prepared for its first object; the caller closes it.

    ``reserve_bytes`` of a directory's volume stay free, by default 1 % and at most 512 MiB. Raises ``InvalidStorageURL``,
    ``StoreRefused`` when the store is there and refuses, and ``StoreUnavailable`` when it is away. Which optional protocols the
    store has, ``isinstance`` tells.
    """
    if scheme_of(url) == "s3":
        return await _open_s3(url)
    store = FilesystemStore(
        directory_of(url),
        reserve_bytes=reserve_bytes,
        writing_threads=writing_threads,
        reading_threads=reading_threads,
    )
    try:
        await store.prepare()
    except BaseException:
        await store.close()
        raise
    return store


def check_url(url: str) -> None:
    """Raise ``InvalidStorageURL`` for a URL that can't be used, without looking at what it names."""
    if scheme_of(url) == "s3":
        parse_location(url)
    else:
        directory_of(url)


async def _open_s3(url: str) -> OpenedStore:
    # Imported here: whoever stores in a directory doesn't pay for an HTTP client.
    from longshore.storage.s3.store import S3Store  # noqa: PLC0415

    return await S3Store.connect(parse_location(url))


def scheme_of(url: str) -> str:
    """Return the kind of store that a URL names: ``file`` or ``s3``.

    Raises ``InvalidStorageURL`` for everything else; its message repeats the scheme only, for a URL may hold secrets.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise InvalidStorageURL(f"LONGSHORE_STORAGE_URL is no URL; it must be {_FORMS}.") from error
    if scheme in _LATER:
        raise InvalidStorageURL(
            f"LONGSHORE_STORAGE_URL names a kind of object store ({scheme}://) that comes with a later release. "
            f"Use {_FORMS} for now."
        )
    if scheme not in {"file", "s3"}:
        raise InvalidStorageURL(f"LONGSHORE_STORAGE_URL must be {_FORMS}.")
    return scheme


def directory_of(url: str) -> Path:
    """Return the directory that a ``file://`` URL names; raises ``InvalidStorageURL`` for everything else."""
    if scheme_of(url) != "file":
        raise InvalidStorageURL("LONGSHORE_STORAGE_URL must be file:///path, with an absolute path.")
    parts = urlsplit(url)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not path.startswith("/"):
        raise InvalidStorageURL(
            "LONGSHORE_STORAGE_URL must be file:///path: three slashes, an absolute path, and nothing behind it. "
            "Write ? as %3F and # as %23."
        )
    if "\0" in path:
        raise InvalidStorageURL("LONGSHORE_STORAGE_URL must not hold a zero byte.")
    return Path(path)
