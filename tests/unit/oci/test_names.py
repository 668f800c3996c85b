# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.oci.digest import Digest
from longshore.oci.errors import DigestInvalid, LongshoreError, NameInvalid, TagInvalid
from longshore.oci.names import ProjectName, RepositoryName, TagName, parse_reference


def outcome(parse: Callable[[str], object], text: str) -> object:
    try:
        return parse(text)
    except LongshoreError as error:
        return error


@pytest.mark.parametrize("text", ["a", "library", "my-team", "my.team_2", "0", "a" * 255])
def test_project_names(text: str) -> None:
    """Names that Harbor takes for projects are taken."""
    assert str(ProjectName.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("a" * 256, "255 are the most"),
        ("Library", "upper-case"),
        ("a b", "has the character ' '"),
        ("a/b", "has the character '/'"),
        ("é", "has the character"),
        ("a\n", "has the character"),
        ("-a", "starts or ends"),
        ("a.", "starts or ends"),
        ("a__b", "several separators"),
        ("a--b", "several separators"),
    ],
)
def test_malformed_project_names_are_refused(text: str, says: str) -> None:
    """What can't be a project's name is refused with a message that names the mistake."""
    with pytest.raises(NameInvalid, match=says):
        ProjectName.parse(text)


@pytest.mark.parametrize(
    ("text", "project", "path"),
    [
        ("library/nginx", "library", "nginx"),
        ("a/b/c/d", "a", "b/c/d"),
        ("team/x__y/z---9.a_b", "team", "x__y/z---9.a_b"),
        ("team/blobs/uploads", "team", "blobs/uploads"),
        ("a/" + "b" * 253, "a", "b" * 253),
    ],
)
def test_repository_names(text: str, project: str, path: str) -> None:
    """A repository's name is split at its first slash."""
    name = RepositoryName.parse(text)
    assert (str(name), name.project, name.path) == (text, ProjectName.parse(project), path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nginx", "write <project>/<repository>, for example library/nginx"),
        ("", "has no project"),
        ("/nginx", "has the project '', which is empty"),
        ("library/", "has the component '', which is empty"),
        ("a//b", "is empty"),
        ("a/b/", "is empty"),
        ("a/../b", "starts or ends"),
        ("A/b", "has the project 'A', which has an upper-case letter"),
        ("a/B", "has the component 'B', which has an upper-case letter"),
        ("a__b/c", "several separators"),
        ("a/b___c", "one or two '_'"),
        ("a/b..c", "several separators"),
        ("a/b:c", "has the character ':'"),
        ("a/b\x00", "has the character"),
        ("a/" + "b" * 254, "255 are the most"),
        ("a" * 100_000, "255 are the most"),
    ],
)
def test_malformed_repository_names_are_refused(text: str, says: str) -> None:
    """What can't be a repository's name is refused with a message that names the mistake."""
    with pytest.raises(NameInvalid, match=says) as refused:
        RepositoryName.parse(text)
    assert len(refused.value.message) < 1000


@pytest.mark.parametrize("text", ["latest", "_", "1.0-rc.1_x", "A" * 128])
def test_tags(text: str) -> None:
    """Tags of the specification's grammar are taken."""
    assert str(TagName.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("a" * 129, "128 are the most"),
        (".a", "starts with"),
        ("-a", "starts with"),
        ("a b", "has the character ' '"),
        ("a/b", "has the character '/'"),
        ("a:b", "has the character ':'"),
        ("a\n", "has the character"),
        ("ü", "has the character"),
    ],
)
def test_malformed_tags_are_refused(text: str, says: str) -> None:
    """What can't be a tag is refused with a message that names the mistake."""
    with pytest.raises(TagInvalid, match=says):
        TagName.parse(text)


def test_references() -> None:
    """A reference with a colon is a digest, any other a tag."""
    assert parse_reference("v1") == TagName("v1")
    assert parse_reference(str(Digest.of(b""))) == Digest.of(b"")
    assert parse_reference("sha256") == TagName("sha256")
    with pytest.raises(DigestInvalid):
        parse_reference("sha256:baddigeststring")
    with pytest.raises(TagInvalid):
        parse_reference("")


@given(st.from_regex(r"[a-z0-9]{1,9}(/[a-z0-9]{1,9}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,5}){0,3}){1,4}", fullmatch=True))
def test_every_name_of_the_grammar_is_taken(text: str) -> None:
    """Names made from the specification's grammar parse to themselves."""
    name = RepositoryName.parse(text)
    assert f"{name.project}/{name.path}" == str(name) == text


@given(st.one_of(st.text(), st.text(alphabet="aB0._-/:é\n", max_size=300)))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    """No text raises anything but an error of ours, and each message is printable."""
    for parse in (ProjectName.parse, RepositoryName.parse, TagName.parse, parse_reference):
        found = outcome(parse, text)
        if isinstance(found, LongshoreError):
            assert found.status == 400
            assert found.message.isprintable()
        else:
            assert str(found) == text


def test_hostile_names_are_refused_at_once() -> None:
    """No name makes the grammar backtrack."""
    begun = time.process_time()
    for text in ("a" * 254 + "!", "a/" + "a-" * 126, "a/" + "-" * 253, "a/" + "a/" * 126, "_a" * 5_000_000):
        with pytest.raises(NameInvalid):
            RepositoryName.parse(text)
    assert time.process_time() - begun < 1
