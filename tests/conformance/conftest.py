# SPDX-License-Identifier: Apache-2.0
"""One server of each kind for the runs of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.kinds import Kind
from tests.acceptance.server import Registry, serve


@pytest.fixture(scope="session", params=list(Kind), ids=lambda kind: kind.value)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A running ``longshore serve`` with empty data. It never redirects: an object store doesn't know the headers demanded."""
    kind: Kind = request.param
    with serve(tmp_path_factory.mktemp(f"server-{kind.value}"), kind.settings(request, redirect=False)) as registry:
        yield registry
