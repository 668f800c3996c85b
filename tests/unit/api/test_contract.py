# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.api.app import CONTROLLERS
from longshore.api.contract import OURS, canonical, harbor
from longshore.api.errors import MethodNotAllowed
from longshore.api.operations import OPERATIONS
from longshore.oci.errors import NotFound


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/api/version", "getVersion"),
        ("GET", "/api/v2.0/users/current", "getCurrentUserInfo"),
        ("GET", "/api/v2.0/users/search", "searchUsers"),
        ("GET", "/api/v2.0/users/7", "getUser"),
        ("GET", "/api/v2.0/projects/a/_deletable", "getProjectDeletable"),
        ("GET", "/api/v2.0/projects/a/repositories/b%252Fc", "getRepository"),
        ("DELETE", "/api/v2.0/projects/a/repositories/b%2Fc/artifacts/x/tags/y", "deleteTag"),
        ("GET", "/api/v2.0/projects/a/metadatas", "listProjectMetadatas"),
    ],
)
def test_operation(method: str, path: str, operation: str) -> None:
    """A path names its operation; segments that the contract writes out win over parameters."""
    assert harbor().operation(method, path) == operation


@pytest.mark.parametrize("path", ["/", "/api", "/api/v2.0", "/api/v2.0/nope", "/api/v2.0/users/1/x", "/c/login"])
def test_unknown_path(path: str) -> None:
    """A path that nobody has is not found, and said so in Harbor's words."""
    with pytest.raises(NotFound, match=f"^path {path} was not found$"):
        harbor().operation("GET", path)


def test_wrong_method() -> None:
    """A method that the path doesn't take is refused with those that it takes."""
    with pytest.raises(MethodNotAllowed) as caught:
        harbor().operation("PATCH", "/api/v2.0/projects")
    assert caught.value.allowed == ("GET", "HEAD", "POST")


@pytest.mark.parametrize(
    ("path", "expected"), [("/a/b/", "/a/b"), ("//a///b", "/a/b"), ("/", "/"), ("", "/"), ("/a%2Fb//", "/a%2Fb")]
)
def test_canonical(path: str, expected: str) -> None:
    """Slashes are single and none is at the end; encoded ones aren't slashes."""
    assert canonical(path) == expected


def test_controllers_serve_the_contract() -> None:
    """Each controller has its operations at the method and path of the contract."""
    table = {name: (method, canonical(f"/api/v2.0{path}")) for method, path, name in OPERATIONS}
    table |= {name: (method, path) for method, path, name in OURS}
    for controller in CONTROLLERS:
        for handler in vars(controller).values():
            if not hasattr(handler, "operation_id"):
                continue
            (part,) = handler.paths
            path = canonical(f"{vars(controller).get('path', '')}{part}").replace(":str}", "}")
            (method,) = handler.http_methods
            assert (method, path) == table[handler.operation_id]
