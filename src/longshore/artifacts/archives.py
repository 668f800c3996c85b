# SPDX-License-Identifier: Apache-2.0
"""One small file out of an archive that a stranger packed: what it may cost is bounded, whatever stands in it."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable
from typing import BinaryIO, Final, cast

from longshore.oci.errors import Unprocessable

LARGEST_FILE: Final = 4 * 1024 * 1024
_MOST_UNPACKED: Final = 64 * 1024 * 1024
_MOST_FILES: Final = 10_000


class _Bounded:
    """A stream that refuses to give more than it may."""

    def __init__(self, source: BinaryIO, most: int) -> None:
        self._source = source
        self._left = most

    def read(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            Unprocessable: there are more than there may be.
        """
        data = self._source.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise Unprocessable(
                f"The archive unpacks to more than {_MOST_UNPACKED:,} bytes. Pull the artifact and look into it there."
            )
        return data


def find_file(archive: bytes, wanted: Callable[[str], bool], *, gzipped: bool = True) -> bytes | None:
    """The first plain file of a tar archive whose path is wanted; None when there is none.

    It takes time in proportion to what it unpacks: call it on a thread.

    Raises:
        Unprocessable: the archive is no such archive, or it or the file is larger than what is looked at.
    """
    packed = io.BytesIO(archive)
    source = cast("BinaryIO", gzip.GzipFile(fileobj=packed)) if gzipped else packed
    try:
        # A stream: nothing is unpacked behind the file, and links lead nowhere.
        bounded = cast("BinaryIO", _Bounded(source, _MOST_UNPACKED))
        with tarfile.open(fileobj=bounded, mode="r|") as files:
            return _first(files, wanted)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise Unprocessable("The artifact's archive can't be read: it is damaged, or packed in another way.") from error


def _first(files: tarfile.TarFile, wanted: Callable[[str], bool]) -> bytes | None:
    for number, member in enumerate(files):
        if number >= _MOST_FILES:
            raise Unprocessable(f"The archive has more than {_MOST_FILES:,} files. Pull the artifact to look into it.")
        if not member.isreg() or not wanted(member.name):
            continue
        if member.size > LARGEST_FILE:
            raise Unprocessable(f"The file has {member.size:,} bytes; at most {LARGEST_FILE:,} are shown.")
        content = files.extractfile(member)
        return None if content is None else content.read(LARGEST_FILE)
    return None
