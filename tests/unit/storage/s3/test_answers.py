# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.storage.s3 import answers
from longshore.storage.s3.answers import UnreadableAnswerError


def _listing(inner: str) -> bytes:
    return f"<ListBucketResult>{inner}</ListBucketResult>".encode()


def _entry(*, size: str = "5", modified: str = "2026-01-01T00:00:00Z") -> str:
    return f"<Contents><Key>a%2Fb</Key><Size>{size}</Size><LastModified>{modified}</LastModified></Contents>"


def test_a_page_is_read() -> None:
    """Keys come unquoted, with their size and time, and the token that goes on is there."""
    truncated = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    page = answers.page(b"\xef\xbb\xbf<?xml version='1.0' encoding='UTF-8'?>\n" + _listing(_entry() + truncated))
    assert [(entry.path, entry.size, entry.modified_at) for entry in page.entries] == [("a/b", 5, 1767225600000000)]
    assert page.more == "t"
    assert answers.page(_listing("<IsTruncated>false</IsTruncated>")).more is None


def test_a_page_that_goes_on_nowhere_is_not_the_last() -> None:
    """Without the mark where the next page begins, a truncated one is no answer: what is left out would seem gone."""
    with pytest.raises(UnreadableAnswerError, match="NextContinuationToken"):
        answers.page(_listing("<IsTruncated>true</IsTruncated>"))
    uploads = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>{}</ListMultipartUploadsResult>"
    with pytest.raises(UnreadableAnswerError, match="NextKeyMarker"):
        answers.uploads_page(uploads.format("").encode())
    more = answers.uploads_page(uploads.format("<NextKeyMarker>k</NextKeyMarker>").encode()).more
    assert more == ("k", "")


@pytest.mark.parametrize("size", ["x", "-1", "1.5", "1_000", "٣", "9" * 5000])
def test_a_size_that_is_none_is_unreadable(size: str) -> None:
    """Whatever stands for a size, it is no fault of ours."""
    with pytest.raises(UnreadableAnswerError, match="size"):
        answers.page(_listing(_entry(size=size)))


def test_a_time_that_is_none_is_unreadable() -> None:
    """The same for times."""
    with pytest.raises(UnreadableAnswerError, match="time"):
        answers.page(_listing(_entry(modified="yesterday")))


_ENTITY = '<!DOCTYPE a [<!ENTITY b "boom">]><Error><Code>&b;</Code></Error>'


@pytest.mark.parametrize(
    "body",
    [
        _ENTITY.encode(),
        (" " * 1000 + "<!-- -->" + _ENTITY).encode(),
        f'<?xml version="1.0" encoding="UTF-16"?>{_ENTITY}'.encode("utf-16"),
        f'<?xml version="1.0" encoding="UTF-16BE"?>{_ENTITY}'.encode("utf-16-be"),
        f'<?xml version="1.0" encoding="UTF-7"?>{_ENTITY}'.replace("<!", "+ADwAIQ-").encode(),
        "<Error><Code>Ä</Code></Error>".encode("latin-1"),
    ],
)
def test_declarations_are_never_expanded(body: bytes) -> None:
    """A document that declares entities, in whatever encoding, and one that isn't UTF-8, tell nothing."""
    assert answers.error_in(body) is None
