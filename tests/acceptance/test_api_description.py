# SPDX-License-Identifier: Apache-2.0
"""schemathesis over our own description: whatever it makes up, the API answers as it says of itself and never with 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.acceptance.kinds import Kind
from tests.acceptance.server import Registry, serve

EXAMPLES = 12
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DESCRIPTION = schemathesis.openapi.from_dict(
    json.loads(files("longshore.api.openapi").joinpath("openapi.json").read_bytes())
)


@pytest.fixture(scope="module", params=[Kind.EMBEDDED, Kind.POSTGRESQL], ids=lambda kind: kind.value)
def made_up(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A server of its own: nothing of what others rely on survives this."""
    with serve(tmp_path_factory.mktemp("made-up"), request.param.settings(request)) as registry:
        yield registry


@DESCRIPTION.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
def test_the_api_is_what_it_says(case: schemathesis.Case[Any], made_up: Registry) -> None:
    """The administrator and a stranger send made-up requests: every answer is one of those that are described."""
    for auth in ((made_up.admin.username, made_up.admin.password), None):
        answer = case.call(base_url=made_up.url, auth=auth, timeout=30)
        case.validate_response(answer, checks=CHECKS)


def test_the_document_is_served(made_up: Registry) -> None:
    """A real server answers with the document that was made, and with its page."""
    with made_up.client() as client:
        assert client.get("/api/openapi.json").json() == json.loads(
            Path(str(files("longshore.api.openapi").joinpath("openapi.json"))).read_text(encoding="utf-8")
        )
        assert "text/html" in client.get("/api/docs").headers["content-type"]
