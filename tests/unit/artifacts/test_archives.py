# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.artifacts.archives import LARGEST_FILE, find_file
from longshore.oci.errors import Unprocessable


def archive_of(files: dict[str, bytes], *, gzipped: bool = True) -> bytes:
    """A tar archive of these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if gzipped else "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("gzipped", [True, False])
def test_it_finds_the_first_file_that_is_wanted(gzipped: bool) -> None:
    """Packed or not; None where there is none."""
    archive = archive_of({"app/Chart.yaml": b"a", "app/values.yaml": b"b", "app/x/values.yaml": b"c"}, gzipped=gzipped)
    assert find_file(archive, lambda name: name == "app/values.yaml", gzipped=gzipped) == b"b"
    assert find_file(archive, lambda name: name == "other", gzipped=gzipped) is None


def test_a_link_is_not_followed() -> None:
    """A link may lead anywhere, also out of the archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("app/values.yaml")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        archive.addfile(link)
    assert find_file(buffer.getvalue(), lambda _: True, gzipped=False) is None


def test_a_bomb_is_not_unpacked() -> None:
    """A hundred kilobytes that become a hundred megabytes are given up; so is a file too large to be shown."""
    with pytest.raises(Unprocessable):
        find_file(archive_of({"a": b"\0" * (70 * 1024 * 1024)}), lambda name: name == "b")
    with pytest.raises(Unprocessable, match="at most"):
        find_file(archive_of({"a": b"\0" * (LARGEST_FILE + 1)}), lambda _: True)


def test_an_archive_of_countless_files_is_given_up() -> None:
    """Headers cost time, not bytes."""
    with pytest.raises(Unprocessable, match="files"):
        find_file(archive_of({f"f{number}": b"" for number in range(10_001)}), lambda _: False)


@given(st.binary(max_size=2000), st.booleans())
def test_whatever_the_bytes_are_the_answer_is_a_file_or_a_refusal(content: bytes, gzipped: bool) -> None:
    """Archives are packed by strangers."""
    for archive in (content, gzip.compress(content), archive_of({"a": b"x"}, gzipped=gzipped)[:-500] + content):
        try:
            find_file(archive, lambda _: True, gzipped=gzipped)
        except Unprocessable:
            continue
