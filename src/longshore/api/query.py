# SPDX-License-Identifier: Apache-2.0
"""The query parameter `q`, and parameters that are true or false.

Of Harbor's language this reads exact (`name=x`) and fuzzy (`name=~x`) terms; ranges and lists are refused by name, so that
nobody takes an unfiltered list for a filtered one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from longshore.edge.request import Request
from longshore.oci.errors import BadRequest

_TRUE: Final = frozenset({"true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"})


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: equal to the text, or (`fuzzy`) with the text somewhere in it."""

    text: str
    fuzzy: bool = False


def parse_q(request: Request, *known: str) -> dict[str, Term]:
    """The conditions of `q` on the known keys; other keys are ignored.

    Raises:
        BadRequest: `q` isn't `key=value,key=~value`.
    """
    text = unquote_plus(request.parameter("q") or "", errors="replace")
    if "\0" in text:
        raise BadRequest("The query string q has the character U+0000.")
    if not text:
        return {}
    terms: dict[str, Term] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value:
            raise BadRequest(f"The query string {text[:100]!a} isn't of the form key=value,key=~value.")
        if key.strip() in known:
            terms[key.strip()] = _term(key.strip(), value)
    return terms


def _term(key: str, value: str) -> Term:
    if value[0] in "[{(":
        raise BadRequest(f"The condition on {key} is a range or a list, which can't be asked for here: use = or =~.")
    if value[0] == "~":
        return Term(value[1:], fuzzy=True)
    return Term(value.removeprefix("\\"))


def is_true(value: str) -> bool:
    """Whether a parameter or header says true, in one of the many words that Harbor takes for it."""
    return value.lower() in _TRUE


def parse_flag(request: Request, name: str) -> bool | None:
    """A parameter that is true or false; None when it is absent or empty."""
    value = request.parameter(name)
    return is_true(value) if value else None
