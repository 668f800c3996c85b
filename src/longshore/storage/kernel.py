# SPDX-License-Identifier: Apache-2.0
"""The calls that the filesystem adapter makes to the operating system, in one place.

Tests subclass ``Kernel`` to fail a call, to cut the power between two of them, or to be killed there.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from pathlib import Path

_SYNC_FILE_RANGE_WAIT_BEFORE = 1
_SYNC_FILE_RANGE_WRITE = 2
_SYNC_FILE_RANGE_WAIT_AFTER = 4
_NOT_SUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ESPIPE, errno.EPERM})
_NO_WAIT = getattr(os, "RWF_NOWAIT", 0)
_INLINE_READ = 64 * 1024


class Kernel:
    """The operating system; every method may raise ``OSError`` and, unless it says otherwise, may block."""

    def __init__(self) -> None:
        self._sync_file_range = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
        if self._sync_file_range is not None:
            self._sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
        self._reads_without_waiting = bool(_NO_WAIT)

    def create(self, path: str) -> int:
        """Make a new file that only this user may read, and open it for writing."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def open_for_writing(self, path: str) -> int:
        """Open a file that exists."""
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def open_for_reading(self, path: str) -> int:
        """Open a file that exists; blocks no longer than the lookup of its name."""
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)

    def open_record(self, path: str) -> int:
        """Open a small file for reading and writing, made when absent."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def write(self, descriptor: int, pieces: Sequence[bytes | memoryview], offset: int) -> int:
        """Write the pieces at the offset and return how many bytes were taken."""
        return os.pwritev(descriptor, pieces, offset)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut a file to ``size`` bytes."""
        os.ftruncate(descriptor, size)

    def start_write_back(self, descriptor: int, offset: int, length: int) -> bool:
        """Ask for the range to be written to the disk; False where the system cannot."""
        return self._range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)

    def finish_write_back(self, descriptor: int, offset: int, length: int) -> bool:
        """Wait until the range has been written to the disk (which makes nothing durable); False where it cannot."""
        how = _SYNC_FILE_RANGE_WAIT_BEFORE | _SYNC_FILE_RANGE_WRITE | _SYNC_FILE_RANGE_WAIT_AFTER
        return self._range(descriptor, offset, length, how)

    def _range(self, descriptor: int, offset: int, length: int, how: int) -> bool:
        if self._sync_file_range is None:
            return False
        if self._sync_file_range(descriptor, offset, length, how) == 0:
            return True
        number = ctypes.get_errno()
        if number in _NOT_SUPPORTED:
            self._sync_file_range = None
            return False
        raise OSError(number, os.strerror(number))

    def sync_data(self, descriptor: int) -> None:
        """Make a file's bytes durable, and of its metadata what is needed to read them."""
        os.fdatasync(descriptor)

    def sync(self, descriptor: int) -> None:
        """Make a file durable."""
        os.fsync(descriptor)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            # So answer file systems on which a directory can't be synced apart from its files.
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        finally:
            os.close(descriptor)

    def make_directory(self, path: str) -> None:
        """Make a directory that only this user may enter."""
        Path(path).mkdir(0o700)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        os.unlink(path)  # noqa: PTH108 - making a Path of a text costs more than the call

    def room(self, path: str) -> os.statvfs_result:
        """Tell how full the volume is."""
        return os.statvfs(path)

    def read(self, descriptor: int, length: int, offset: int) -> bytes:
        """Read at most ``length`` bytes at the offset; nothing means that the file ends there."""
        return os.pread(descriptor, length, offset)

    def read_at_once(self, descriptor: int, buffer: memoryview, offset: int) -> int:
        """Fill the buffer without blocking as far as the page cache goes, and return how far that was.

        Raises ``BlockingIOError`` when not even its beginning is there. A file system that can't tell is read
        plainly when the buffer is small, which is what nearly always comes from the cache.
        """
        if self._reads_without_waiting:
            try:
                return os.preadv(descriptor, [buffer], offset, _NO_WAIT)
            except OSError as error:
                if error.errno not in _NOT_SUPPORTED:
                    raise
                self._reads_without_waiting = False
        if len(buffer) > _INLINE_READ:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.preadv(descriptor, [buffer], offset)
