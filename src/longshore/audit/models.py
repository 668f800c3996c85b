# SPDX-License-Identifier: Apache-2.0
"""What the audit log holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Somebody did something.

    Attributes:
        operation: What was done, in one word: `create`, `delete`, `pull`, `login`.
        resource_type: What kind of thing it was done to.
        resource: Which one.
        username: Who did it.
        description: The same as a sentence, with what else there is to say.
        success: Whether it worked.
        source: The client's address; empty where it isn't known.
        project_id: Where it was; None for the whole registry.
        at: When, in microseconds since 1970.
    """

    operation: str
    resource_type: str
    resource: str
    username: str
    description: str
    success: bool
    source: str
    project_id: int | None
    at: int

    @property
    def event_type(self) -> str:
        """What the configuration and the API call things of this kind: `pull_artifact`."""
        return f"{self.operation}_{self.resource_type}"


@dataclass(frozen=True, slots=True)
class Record:
    """An entry that is kept, with its number."""

    id: int
    entry: Entry
