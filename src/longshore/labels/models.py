# SPDX-License-Identifier: Apache-2.0
"""Labels as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from longshore.oci.errors import BadRequest

_LONGEST_NAME: Final = 128
_LONGEST_DESCRIPTION: Final = 1_024
_LONGEST_COLOR: Final = 16


class LabelScope(Enum):
    """Whose a label is, by the letters of Harbor's API."""

    GLOBAL = "g"
    PROJECT = "p"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFacts:
    """What people say of a label; `color` is what the portal paints it with, such as `#0065AB`."""

    name: str
    description: str = ""
    color: str = ""

    def __post_init__(self) -> None:
        for what, text, longest in (
            ("name", self.name, _LONGEST_NAME),
            ("description", self.description, _LONGEST_DESCRIPTION),
            ("color", self.color, _LONGEST_COLOR),
        ):
            if len(text) > longest:
                raise BadRequest(f"{what}: it has {len(text)} characters, {longest} are the most.")
        if not self.name.strip():
            raise BadRequest("name: a label needs one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A label; times are microseconds since 1970, `project_id` None says that it is the registry's."""

    id: int
    project_id: int | None
    facts: LabelFacts
    created_at: int
    updated_at: int

    @property
    def scope(self) -> LabelScope:
        """Whose it is."""
        return LabelScope.GLOBAL if self.project_id is None else LabelScope.PROJECT
