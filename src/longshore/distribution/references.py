# SPDX-License-Identifier: Apache-2.0
"""What paths name content by, parsed once: clients ask for the same few things again and again.

What is no digest or tag raises and isn't remembered; what is has at most a hundred and some characters, so the memory is small.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from longshore.oci.digest import Digest
from longshore.oci.names import TagName, parse_reference

_REMEMBERED: Final = 4096


@lru_cache(maxsize=_REMEMBERED)
def digest_of(tail: str) -> Digest:
    """The digest at the end of a path.

    Raises:
        DigestInvalid: it isn't one.
    """
    return Digest.parse(tail)


@lru_cache(maxsize=_REMEMBERED)
def reference_of(tail: str) -> TagName | Digest:
    """The tag or digest at the end of a path.

    Raises:
        DigestInvalid, TagInvalid: it is neither.
    """
    return parse_reference(tail)
