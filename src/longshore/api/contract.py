# SPDX-License-Identifier: Apache-2.0
"""Which operation a method and a path name, known before anything else is looked at.

Paths are matched as they were sent, still percent-encoded: a repository's name is one segment (`a%2Fb`, `a%252Fb`), and a
segment that the contract writes out wins over a parameter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from longshore.api.errors import MethodNotAllowed, path_not_found
from longshore.api.operations import OPERATIONS

PREFIX: Final = "/api/v2.0"
OURS: Final = (
    ("GET", "/api/docs", "getDocs"),
    ("GET", "/api/openapi.json", "getOpenAPI"),
    ("GET", "/api/version", "getVersion"),
    ("POST", f"{PREFIX}/access/explain", "explainAccess"),
    ("GET", f"{PREFIX}/users/current/tokens", "listAccessTokens"),
    ("POST", f"{PREFIX}/users/current/tokens", "createAccessToken"),
    ("DELETE", f"{PREFIX}/users/current/tokens/{{token_id}}", "deleteAccessToken"),
    ("GET", f"{PREFIX}/users/{{user_id}}/tokens", "listAccessTokensOfUser"),
    ("DELETE", f"{PREFIX}/users/{{user_id}}/tokens/{{token_id}}", "deleteAccessTokenOfUser"),
    ("PUT", f"{PREFIX}/users/{{user_id}}/disabled", "setUserDisabled"),
)
"""What is served besides the contract: some of it by Harbor too."""


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    operations: dict[str, str] = field(default_factory=dict)


class Contract:
    """The operations of the contract and ours, as a tree of segments."""

    def __init__(self, operations: Iterable[tuple[str, str, str]]) -> None:
        self._root = _Node()
        for method, path, operation in operations:
            node = self._root
            for segment in path.strip("/").split("/"):
                node = node.children.setdefault("{}" if segment.startswith("{") else segment, _Node())
            node.operations[method] = operation

    def operation(self, method: str, path: str) -> str:
        """The name of the operation; `path` is canonical.

        Raises:
            NotFound: nothing is at that path.
            MethodNotAllowed: something is, and takes other methods.
        """
        node = _find(self._root, path[1:].split("/"))
        if node is None:
            raise path_not_found(path)
        operation = node.operations.get(method)
        if operation is None:
            allowed = tuple(sorted(node.operations))
            raise MethodNotAllowed(f"method {method} is not allowed, but [{','.join(allowed)}] are", allowed=allowed)
        return operation


def harbor() -> Contract:
    """Harbor's contract and what belongs to it."""
    return Contract([*((method, f"{PREFIX}{path}", name) for method, path, name in OPERATIONS), *OURS])


def canonical(path: str) -> str:
    """The path with single slashes and none at its end."""
    return "/" + "/".join(segment for segment in path.split("/") if segment)


def _find(node: _Node, segments: list[str]) -> _Node | None:
    if not segments:
        return node if node.operations else None
    for key in (segments[0], "{}"):
        child = node.children.get(key)
        found = None if child is None else _find(child, segments[1:])
        if found is not None:
            return found
    return None
