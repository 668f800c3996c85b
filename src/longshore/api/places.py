# SPDX-License-Identifier: Apache-2.0
"""What the segments of a path below a project name: repositories, and artifacts in them."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from longshore.oci.digest import Digest
from longshore.oci.errors import BadRequest, DigestInvalid, NotFound, TagInvalid
from longshore.oci.names import ProjectName, RepositoryName, TagName

_LONGEST: Final = 255
_IMPOSSIBLE: Final = ProjectName("")


def project_named(segment: str) -> ProjectName:
    """The project that a segment `{project_name}` names: never by number.

    A name that breaks the rules is that of a project which doesn't exist.
    """
    text = unquote(segment)
    return ProjectName(text) if len(text) <= _LONGEST and "\0" not in text else _IMPOSSIBLE


def repository_path(segment: str) -> str:
    """The name below the project of the repository that a segment names; its slashes are encoded once or twice.

    A name that breaks the rules is that of a repository which doesn't exist.
    """
    text = unquote(unquote(segment))
    return text if len(text) <= _LONGEST and "\0" not in text else ""


def artifact_reference(segment: str) -> Digest | TagName:
    """The digest or tag that a segment `{reference}` is.

    Raises:
        NotFound: it is neither, so no artifact has it.
    """
    text = unquote(segment)
    try:
        return Digest.parse(text) if ":" in text else TagName.parse(text)
    except (DigestInvalid, TagInvalid):
        raise NotFound(f"There is no artifact {text[:300]!a}: name it by a digest or by a tag.") from None


def copied_artifact(text: str) -> tuple[RepositoryName, Digest | TagName, str]:
    """What `from=` names: the repository, the digest or tag in it, and that as it was given.

    Raises:
        BadRequest: it isn't `project/repository:tag` or `project/repository@digest`.
        NameInvalid, TagInvalid, DigestInvalid: one of its parts can't be one.
    """
    name, at, digest = text.partition("@")
    if at:
        # The digest says what it is: a tag before it has nothing to add.
        name = name if ":" not in name else name.rpartition(":")[0]
        return RepositoryName.parse(name), Digest.parse(digest), digest
    name, colon, tag = text.rpartition(":")
    if not colon:
        raise BadRequest(f"from={text[:300]!a} isn't project/repository:tag or project/repository@digest.")
    return RepositoryName.parse(name), TagName.parse(tag), tag
