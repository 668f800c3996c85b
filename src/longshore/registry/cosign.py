# SPDX-License-Identifier: Apache-2.0
"""The tag scheme of cosign 2: it names what it says about a digest by a tag, `sha256-<hex>.sig` and the like."""

from __future__ import annotations

import re

from longshore.oci.digest import Digest
from longshore.oci.names import TagName

# Such a tag makes its manifest a referrer of that digest.
_SCHEME = re.compile(r"(?:(sha256)-([0-9a-f]{64})|(sha512)-([0-9a-f]{128}))\.(sig|att|sbom)")


def cosign_subject(name: TagName) -> Digest | None:
    """The digest that a tag of cosign's tag scheme speaks of."""
    return _subject(_SCHEME.fullmatch(str(name)))


def signature_subject(name: TagName) -> Digest | None:
    """The digest that a tag of cosign's tag scheme is a signature of."""
    match = _SCHEME.fullmatch(str(name))
    return _subject(match) if match is not None and match[5] == "sig" else None


def _subject(match: re.Match[str] | None) -> Digest | None:
    return None if match is None else Digest.parse(f"{match[1] or match[3]}:{match[2] or match[4]}")
