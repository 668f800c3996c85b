# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.api.places import artifact_reference, project_named, repository_path
from longshore.oci.digest import Digest
from longshore.oci.errors import NotFound
from longshore.oci.names import ProjectName, TagName

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("segment", "path"),
    [("nginx", "nginx"), ("a%2Fb", "a/b"), ("a%252Fb", "a/b"), ("a%2fb%252Fc", "a/b/c"), ("UPPER", "UPPER")],
)
def test_repository(segment: str, path: str) -> None:
    """The name of a repository may be encoded once or twice."""
    assert repository_path(segment) == path


@pytest.mark.parametrize("segment", ["%2500", "a%2500", "x" * 256])
def test_impossible_repository(segment: str) -> None:
    """What no database could look for is the name of nothing."""
    assert repository_path(segment) == ""


def test_project() -> None:
    """A project in such a path is never meant by its number, and never by what no project can be called."""
    assert project_named("12") == ProjectName("12")
    assert project_named("x" * 256) == ProjectName("")


@pytest.mark.parametrize(
    ("segment", "reference"),
    [(DIGEST, Digest.parse(DIGEST)), (DIGEST.replace(":", "%3A"), Digest.parse(DIGEST)), ("v1.0", TagName("v1.0"))],
)
def test_reference(segment: str, reference: TagName | Digest) -> None:
    """A digest, or else a tag."""
    assert artifact_reference(segment) == reference


@pytest.mark.parametrize("segment", ["sha256:short", "-x", "%00", "x" * 200])
def test_no_reference(segment: str) -> None:
    """What breaks the rules of both is on no artifact."""
    with pytest.raises(NotFound):
        artifact_reference(segment)
