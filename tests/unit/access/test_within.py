# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from longshore.access.models import Grants, Permission
from longshore.access.service import _within
from longshore.projects.models import Visibility

LOGS = Permission("log", "list")
ONE = Grants(projects=((1, frozenset({LOGS})), (2, frozenset())))


@pytest.mark.parametrize(
    ("own", "limit", "left"),
    [
        (Visibility(everything=True), Grants(), Visibility(public=False)),
        (Visibility(everything=True), ONE, Visibility(public=False, project_ids=frozenset({1}))),
        (Visibility(public=False, project_ids=frozenset({2, 3})), ONE, Visibility(public=False)),
        (Visibility(everything=True), Grants(everywhere=frozenset({LOGS})), Visibility(everything=True)),
    ],
)
def test_an_access_token_sees_no_more_than_it_allows(own: Visibility, limit: Grants, left: Visibility) -> None:
    """Also an administrator's: of the projects in which the owner may read logs only those that the token names stay."""
    assert _within(own, limit, LOGS) == left
