# SPDX-License-Identifier: Apache-2.0
"""What an error of the operating system means to whoever pushes or pulls.

The messages travel to clients: they name the object and say what to do, never a path of the server. The path is in
the ``OSError`` that they are raised from, for the log.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from longshore.oci.errors import StorageFull
from longshore.storage.port import StoreUnavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_REMEDIES = {
    errno.EROFS: "its file system is mounted read-only, often after a disk error: look at the kernel's log, repair it "
    "and mount it writable again",
    errno.EIO: "the disk reports an error: look at the kernel's log and the disk's health before trying again",
    errno.EACCES: "the server may not use the files there: give its user ownership of the storage directory",
    errno.EPERM: "the server may not use the files there: give its user ownership of the storage directory",
    errno.EMFILE: "the server has too many files open: raise its limit of open files (`ulimit -n`)",
    errno.ENFILE: "the machine has too many files open: raise `fs.file-max`",
    errno.ENOENT: "its directory is gone: is the volume mounted? A restart of the server makes what is missing",
    errno.ENOTDIR: "something on its path is a file and no directory: look at LONGSHORE_STORAGE_URL",
    errno.ESTALE: "the network file system lost track of the file: remount it",
    errno.EFBIG: "the file system takes no file this large: use another one, or push smaller blobs",
}
ROOM_ADVICE = (
    "Ask the operator to enlarge the volume of LONGSHORE_STORAGE_URL or to delete images; "
    "deleting works on a full store, and pulls are not affected."
)


def explain(error: OSError, deed: str, for_operator: str = "") -> StoreUnavailable | StorageFull:
    """Turn an error of the operating system into the registry's; ``deed`` completes "The store could not …"."""
    if error.errno in _FULL:
        whose = "its quota is used up" if error.errno == errno.EDQUOT else "it is full"
        return StorageFull(f"The store could not {deed}: {whose}. {ROOM_ADVICE}")
    known = _REMEDIES.get(error.errno or 0)
    # The system's own words may hold addresses and paths; its name for the error doesn't.
    name = errno.errorcode.get(error.errno or 0, "an error without a number")
    reason = known or f"the system says {name}: look at the server's log"
    return StoreUnavailable(f"The store could not {deed}: {reason}.", for_operator=for_operator)


@contextmanager
def explained(deed: str, for_operator: str = "") -> Iterator[None]:
    """Raise every ``OSError`` of the block as the registry's error."""
    try:
        yield
    except OSError as error:
        raise explain(error, deed, for_operator) from error
