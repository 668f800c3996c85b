# SPDX-License-Identifier: Apache-2.0
"""Digests: the names of content (OCI image specification 1.1, descriptor, section "Digests")."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol, Self

from longshore.oci.errors import DigestInvalid


class Hasher(Protocol):
    """What `hashlib` makes: takes bytes in pieces, and may be asked at any time."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Takes the next bytes."""
        ...

    def copy(self) -> Self:
        """An independent hasher that has seen the same bytes."""
        ...

    def hexdigest(self) -> str:
        """The hash of the bytes so far, in lower-case hexadecimal digits."""
        ...


class Algorithm(Enum):
    """The algorithms that the specification registers and every client can have."""

    SHA256 = "sha256"
    SHA512 = "sha512"

    @property
    def hex_length(self) -> int:
        """How many hexadecimal digits a digest of this algorithm has."""
        return 64 if self is Algorithm.SHA256 else 128

    def hasher(self) -> Hasher:
        """A fresh hasher that has seen no bytes."""
        return hashlib.sha256() if self is Algorithm.SHA256 else hashlib.sha512()


_CANONICAL: Final = re.compile(r"(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})")
_GRAMMAR: Final = re.compile(r"([a-z0-9]+(?:[.+_-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
_SHOWN: Final = 160
_SUPPORTED: Final = " and ".join(algorithm.value for algorithm in Algorithm)


@dataclass(frozen=True, slots=True)
class Digest:
    """The digest of some content. Made by `Digest.parse` and `Digest.of`, which guarantee that it is well-formed."""

    algorithm: Algorithm
    hex: str
    _text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_text", f"{self.algorithm.value}:{self.hex}")

    def __str__(self) -> str:
        return self._text

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The digest that `text` writes.

        Raises:
            DigestInvalid: The text isn't `<algorithm>:<hex>` of a supported algorithm, in lower case and of its length.
        """
        if _CANONICAL.fullmatch(text) is None:
            raise DigestInvalid(_complaint(text))
        algorithm = Algorithm.SHA256 if text[3] == "2" else Algorithm.SHA512
        return cls(algorithm, text[7:])

    @classmethod
    def of(cls, payload: bytes, algorithm: Algorithm = Algorithm.SHA256) -> Digest:
        """The digest of `payload`."""
        hasher = algorithm.hasher()
        hasher.update(payload)
        return cls(algorithm, hasher.hexdigest())


def _complaint(text: str) -> str:
    shown = ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
    parts = _GRAMMAR.fullmatch(text)
    if parts is None:
        return f"{shown} isn't a digest: write <algorithm>:<hex>, such as sha256: and 64 lower-case hexadecimal digits."
    name, encoded = parts.groups()
    known = {algorithm.value: algorithm for algorithm in Algorithm}
    if name not in known:
        return f"The digest {shown} is of an algorithm that this registry doesn't know: it supports {_SUPPORTED}."
    length = known[name].hex_length
    if len(encoded) != length:
        return f"The digest {shown} has {len(encoded)} digits after the colon: {name} has exactly {length}."
    return f"The digest {shown} has characters that aren't lower-case hexadecimal digits (0-9, a-f) after the colon."
