# SPDX-License-Identifier: Apache-2.0
"""Names of projects, repositories and tags (distribution specification 1.1, section "Pulling manifests")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from longshore.oci.digest import Digest
from longshore.oci.errors import NameInvalid, TagInvalid

_LONGEST_NAME: Final = 255
_LONGEST_TAG: Final = 128
_SHOWN: Final = 300

_PROJECT: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_COMPONENT: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_REPOSITORY: Final = re.compile(f"{_PROJECT.pattern}(?:/{_COMPONENT.pattern})+")
_TAG: Final = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_NAME_CHARACTER: Final = re.compile(r"[a-z0-9._-]")
_TAG_CHARACTER: Final = re.compile(r"[a-zA-Z0-9._-]")


@dataclass(frozen=True, slots=True)
class ProjectName:
    """The name of a project: the first component of every repository in it. Made by `ProjectName.parse`."""

    value: str

    def __str__(self) -> str:
        return self.value

    @classmethod
    def parse(cls, text: str) -> ProjectName:
        """The project name that `text` is.

        Raises:
            NameInvalid: The name is empty, longer than 255 characters, or breaks the grammar that Harbor has.
        """
        if len(text) > _LONGEST_NAME or _PROJECT.fullmatch(text) is None:
            raise NameInvalid(f"The project name {_shown(text)} {_complaint(text, doubled=False)}.")
        return cls(text)


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """The whole name of a repository, project included. Made by `RepositoryName.parse`."""

    value: str
    project: ProjectName

    def __str__(self) -> str:
        return self.value

    @property
    def path(self) -> str:
        """The name within the project: everything after the first slash."""
        return self.value[len(self.project.value) + 1 :]

    @classmethod
    def parse(cls, text: str) -> RepositoryName:
        """The repository name that `text` is: `project/path…`.

        Raises:
            NameInvalid: The name has no project or no path, is longer than 255 characters, or breaks the grammar.
        """
        if len(text) > _LONGEST_NAME or _REPOSITORY.fullmatch(text) is None:
            raise NameInvalid(f"The repository name {_shown(text)} {_repository_complaint(text)}.")
        return cls(text, ProjectName(text.partition("/")[0]))


@dataclass(frozen=True, slots=True)
class TagName:
    """The name of a tag. Made by `TagName.parse`."""

    value: str

    def __str__(self) -> str:
        return self.value

    @classmethod
    def parse(cls, text: str) -> TagName:
        """The tag name that `text` is.

        Raises:
            TagInvalid: The tag is empty, longer than 128 characters, or has a character that tags can't have.
        """
        if _TAG.fullmatch(text) is None:
            raise TagInvalid(f"The tag {_shown(text)} {_tag_complaint(text)}.")
        return cls(text)


def parse_reference(text: str) -> TagName | Digest:
    """The tag or digest that a path names a manifest by. What has a colon is a digest, since no tag can have one.

    Raises:
        DigestInvalid: The text has a colon and isn't a digest.
        TagInvalid: The text has no colon and isn't a tag.
    """
    if ":" in text:
        return Digest.parse(text)
    return TagName.parse(text)


def _shown(text: str) -> str:
    # Names come from strangers: control characters and walls of text have no place in a terminal or a log line.
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _repository_complaint(text: str) -> str:
    if len(text) > _LONGEST_NAME:
        return f"has {len(text)} characters: {_LONGEST_NAME} are the most, project included"
    project, slash, path = text.partition("/")
    if not slash:
        example = text if _COMPONENT.fullmatch(text) else "nginx"
        return f"has no project: write <project>/<repository>, for example library/{example}"
    if _PROJECT.fullmatch(project) is None:
        return f"has the project {_shown(project)}, which {_complaint(project, doubled=False)}"
    wrong = next(component for component in path.split("/") if _COMPONENT.fullmatch(component) is None)
    return f"has the component {_shown(wrong)}, which {_complaint(wrong, doubled=True)}"


def _complaint(text: str, *, doubled: bool) -> str:
    if not text:
        return "is empty"
    if len(text) > _LONGEST_NAME:
        return f"has {len(text)} characters: {_LONGEST_NAME} are the most"
    wrong = next((character for character in text if _NAME_CHARACTER.fullmatch(character) is None), None)
    if wrong is not None and "A" <= wrong <= "Z":
        return "has an upper-case letter: names are lower-case"
    if wrong is not None:
        return f"has the character {wrong!a}: names are made of a-z, 0-9, '.', '_' and '-'"
    if not (text[0].isalnum() and text[-1].isalnum()):
        return "starts or ends with a separator: the first and the last character must be a letter or a digit"
    allowed = "one '.', one or two '_', or any number of '-'" if doubled else "one '.', '_' or '-'"
    return f"has several separators in a row: between letters and digits may be {allowed}"


def _tag_complaint(text: str) -> str:
    if not text:
        return "is empty"
    if len(text) > _LONGEST_TAG:
        return f"has {len(text)} characters: {_LONGEST_TAG} are the most"
    wrong = next((character for character in text if _TAG_CHARACTER.fullmatch(character) is None), None)
    if wrong is not None:
        return f"has the character {wrong!a}: tags are made of letters, digits, '_', '.' and '-'"
    return f"starts with {text[0]!r}: the first character must be a letter, a digit or '_'"
