# SPDX-License-Identifier: Apache-2.0
"""What a verification says while it runs: how far it is, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Problem(Enum):
    """What can be wrong between the database and the store."""

    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    WRONG_DIGEST = "wrong digest"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    ORPHAN = "orphan"
    FOREIGN = "foreign"
    INVARIANT = "invariant"


class Phase(Enum):
    """What a verification is doing."""

    METADATA = "metadata"
    COMPARE = "compare"


@dataclass(frozen=True, slots=True)
class Affected:
    """A live manifest that can't be pulled whole, and one of its tags; None where no tag points to it."""

    repository: str
    manifest: str
    tag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, looked at twice.

    Attributes:
        problem: what is wrong.
        message: the same for people, and what to do about it.
        key: the key or path in the store, None where it isn't about one.
        digest: the blob's digest, None where no blob is concerned.
        affected: what can't be pulled because of it, at most 100.
    """

    problem: Problem
    message: str
    key: str | None = None
    digest: str | None = None
    affected: tuple[Affected, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationProgress:
    """How far a verification is.

    Attributes:
        phase: what it is doing.
        rows: keys of the database that were compared, or invariants that were checked.
        total: how many there were when it began.
        objects: objects of the store that were compared.
        bytes: bytes that were read and hashed.
    """

    phase: Phase
    rows: int
    total: int
    objects: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanReport:
    """What a removal of orphans found and did: `objects` were listed, `deleted` of them, `size` bytes, are gone."""

    objects: int
    deleted: int
    size: int
