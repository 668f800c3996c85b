# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from longshore.api.request import APIRequest
from longshore.oci.digest import Digest
from longshore.oci.names import ProjectName, RepositoryName, TagName

DIGEST = "sha256:" + "a" * 64


def _request() -> APIRequest:
    scope: Any = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {}}
    return APIRequest(scope)


@pytest.mark.parametrize(
    ("segment", "path"),
    [("nginx", "nginx"), ("a%2Fb", "a/b"), ("a%252Fb", "a/b"), ("a%2fb%252Fc", "a/b/c"), ("UPPER", "UPPER")],
)
def test_repository(segment: str, path: str) -> None:
    """The name of a repository may be encoded once or twice, and its project is never a number."""
    assert _request().repository("12", segment) == RepositoryName(f"12/{path}", ProjectName("12"))


@pytest.mark.parametrize("segment", ["%2500", "a%2500", "x" * 256])
def test_impossible_repository(segment: str) -> None:
    """What no database could look for is the name of nothing."""
    assert _request().repository("p", segment).path == ""
    assert _request().reference(segment) == TagName("")


@pytest.mark.parametrize(
    ("segment", "reference"),
    [
        (DIGEST, Digest.parse(DIGEST)),
        (DIGEST.replace(":", "%3A"), Digest.parse(DIGEST)),
        (DIGEST.replace(":", "%253A"), Digest.parse(DIGEST)),
        ("v1.0", TagName("v1.0")),
        ("sha256:short", TagName("sha256:short")),
        ("-x", TagName("-x")),
    ],
)
def test_reference(segment: str, reference: TagName | Digest) -> None:
    """A digest, or else a tag: one that breaks the rules is on no artifact."""
    assert _request().reference(segment) == reference
