# SPDX-License-Identifier: Apache-2.0
"""From ``LONGSHORE_STORAGE_URL`` to an open store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from longshore.oci.errors import LongshoreError
from longshore.storage.filesystem import READING_THREADS, WRITING_THREADS, FilesystemStore
from longshore.storage.port import OpenedStore

_LATER = ("s3", "gs", "az")


class InvalidStorageURL(LongshoreError):  # noqa: N818 - named for what went wrong, as in oci.errors
    """``LONGSHORE_STORAGE_URL`` names no place that this release can store to."""


async def open_store(
    url: str,
    *,
    reserve_bytes: int | None = None,
    writing_threads: int = WRITING_THREADS,
    reading_threads: int = READING_THREADS,
) -> OpenedStore:
    """Open the store that the URL names, prepared for its first object; the caller closes it.

    ``reserve_bytes`` of the volume stay free, by default 1 % and at most 512 MiB. Raises ``InvalidStorageURL`` and
    ``StoreUnavailable``. Which optional protocols the store has, ``isinstance`` tells.
    """
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


def directory_of(url: str) -> Path:
    """Return the directory that a ``file://`` URL names.

    Raises ``InvalidStorageURL`` for everything else; its message repeats the scheme only, for a URL may hold secrets.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidStorageURL("LONGSHORE_STORAGE_URL is no URL; it must be file:///path.") from error
    if parts.scheme in _LATER:
        raise InvalidStorageURL(
            f"LONGSHORE_STORAGE_URL names an object store ({parts.scheme}://); object stores come with a later "
            "release. Use file:///path for now."
        )
    if parts.scheme != "file":
        raise InvalidStorageURL("LONGSHORE_STORAGE_URL must be file:///path, with an absolute path.")
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not path.startswith("/"):
        raise InvalidStorageURL(
            "LONGSHORE_STORAGE_URL must be file:///path: three slashes, an absolute path, and nothing behind it. "
            "Write ? as %3F and # as %23."
        )
    if "\0" in path:
        raise InvalidStorageURL("LONGSHORE_STORAGE_URL must not hold a zero byte.")
    return Path(path)
