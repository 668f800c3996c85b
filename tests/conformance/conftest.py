# SPDX-License-Identifier: Apache-2.0
"""One server for both runs of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.acceptance.server import Registry, serve


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A running ``longshore serve`` with empty data."""
    with serve(tmp_path_factory.mktemp("server")) as registry:
        yield registry
