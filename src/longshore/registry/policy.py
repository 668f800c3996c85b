# SPDX-License-Identifier: Apache-2.0
"""Pure decisions of the registry: from facts to an answer with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewFacts:
    """What a review knows of a live manifest.

    Attributes:
        hold: a person holds on to it.
        tagged: a tag points to it (one of cosign's scheme doesn't count).
        has_parent: an index contains it, alive or soft-deleted.
        has_subject: what it refers to is there, alive or soft-deleted, and not inside its own tree.
        untagged_ttl: how long the project keeps what nothing refers to, in microseconds; None: for ever.
    """

    hold: bool
    tagged: bool
    has_parent: bool
    has_subject: bool
    untagged_ttl: int | None


class Verdict(Enum):
    """What becomes of a manifest that lost a reference, with the reason that is shown to people."""

    HELD = "it is on hold"
    TAGGED = "a tag points to it"
    IN_INDEX = "an index contains it"
    REFERS = "what it refers to is still there"
    KEPT_BY_POLICY = "the project keeps untagged manifests"
    DELETE = "nothing refers to it, and the project's time for untagged manifests is over"


def review(facts: ReviewFacts) -> Verdict:
    """Whether a manifest stays. Whoever changes a fact that keeps it asks for another review."""
    if facts.hold:
        return Verdict.HELD
    if facts.tagged:
        return Verdict.TAGGED
    if facts.has_parent:
        return Verdict.IN_INDEX
    if facts.has_subject:
        return Verdict.REFERS
    if facts.untagged_ttl is None:
        return Verdict.KEPT_BY_POLICY
    return Verdict.DELETE
