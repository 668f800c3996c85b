# SPDX-License-Identifier: Apache-2.0
"""Small wrongs, each of which breaks one rule of `docs/why/metadata.md` in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.property.registry import Configuration


@dataclass(frozen=True, slots=True)
class Mutant:
    """One wrong, and how the checker is expected to notice it."""

    rule: str
    apply: Callable[[Configuration], None]


MUTANTS: dict[str, Mutant] = {}
