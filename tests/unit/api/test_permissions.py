# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from docs.generate import permissions_named_by
from longshore.api.app import CONTROLLERS
from tests.harbor_rights import needs

HANDLERS = [
    handler for controller in CONTROLLERS for handler in vars(controller).values() if hasattr(handler, "operation_id")
]

NOBODY_HAS = {"setCliSecret"}
"""What is about things that no account of this release has, whoever asks."""


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: str(handler.operation_id))
def test_operations_ask_for_what_harbor_asks_for(handler: Any) -> None:
    """The code of an operation names the permission that Harbor asks for."""
    wanted = {need for name, need in needs().items() if name.partition("-")[0] == handler.operation_id}
    named = {str(permission) for permission in permissions_named_by(handler.fn)}
    if handler.operation_id not in NOBODY_HAS:
        assert {need.rpartition(" ")[2] for need in wanted if ":" in need} <= named


def test_what_is_named_is_found() -> None:
    """The walk through the code finds what a handler names itself, and what a helper names for it."""
    named = {str(handler.operation_id): permissions_named_by(handler.fn) for handler in HANDLERS}
    assert {str(one) for one in named["listProjectMembers"]} == {"member:list"}
    assert {str(one) for one in named["createProject"]} == {"project:create"}
    assert not named["getPing"]
