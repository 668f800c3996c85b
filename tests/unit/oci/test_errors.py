# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
import re

import pytest

from longshore.oci import errors
from longshore.oci.errors import ERRORS, LongshoreError, RangeInvalid, ServiceUnavailable, StorageFull, TooManyRequests

# Distribution specification 1.1, section "Error Codes".
SPECIFIED = {
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
}


def test_every_code_of_the_specification_has_an_error() -> None:
    """No code that the specification names is missing from the tree."""
    assert {error.code for error in ERRORS} >= SPECIFIED


def test_the_drawn_tree_is_the_tree() -> None:
    """The module's docstring shows each error with the code, status and parent that it really has."""
    drawn: dict[str, tuple[str, str, int]] = {}
    parents = {0: "LongshoreError"}
    for line in (errors.__doc__ or "").splitlines():
        found = re.fullmatch(r"    ((?:[│ ]   )*)[├└]── (\w+) +([A-Z_]+) +(\d+)", line)
        if found:
            level = len(found[1]) // 4
            parents[level + 1] = found[2]
            drawn[found[2]] = (parents[level], found[3], int(found[4]))
    actual = {
        error.__name__: (
            next(base.__name__ for base in error.__mro__[1:] if not base.__name__.startswith("_")),
            error.code,
            error.status,
        )
        for error in ERRORS
    }
    assert drawn == actual


def test_code_and_status_tell_errors_apart() -> None:
    """No two errors share both their code and their status."""
    assert len({(error.code, error.status) for error in ERRORS}) == len(ERRORS)


@pytest.mark.parametrize("error", ERRORS)
def test_codes_and_statuses_are_of_their_kind(error: type[LongshoreError]) -> None:
    """A code has upper-case letters and underscores only, and a status is one of an error."""
    assert re.fullmatch(r"[A-Z_]+", error.code)
    assert 400 <= error.status <= 599


@pytest.mark.parametrize("error", ERRORS)
def test_errors_carry_message_and_detail(error: type[LongshoreError]) -> None:
    """Every error keeps what it was raised with, also on its way between processes."""
    raised = error("Nothing here.", detail={"name": "x"})
    copied = pickle.loads(pickle.dumps(raised))  # noqa: S301 - our own bytes
    for one in (raised, copied):
        assert (one.message, one.detail, str(one)) == ("Nothing here.", {"name": "x"}, "Nothing here.")
        assert type(one) is error


def test_temporary_errors_say_when_to_try_again() -> None:
    """Errors that go away carry the seconds for Retry-After."""
    assert TooManyRequests("Slower.", retry_after=7).retry_after == 7
    assert ServiceUnavailable("Away.", retry_after=1).retry_after == 1
    assert StorageFull("Full.").retry_after > 0


def test_range_error_carries_the_size() -> None:
    """A range that can't be satisfied carries the length of the whole."""
    assert RangeInvalid("Beyond.", size=9).size == 9
    assert RangeInvalid("Out of order.").size is None
