# SPDX-License-Identifier: Apache-2.0
"""The one table of scenarios of /v2, over every database and every store."""

from __future__ import annotations

import pytest

from tests.integration.distribution.scenarios import blobs, lists, manifests, uploads
from tests.integration.distribution.world import Scenario, World

SCENARIOS: tuple[Scenario, ...] = (
    *uploads.SCENARIOS,
    *blobs.SCENARIOS,
    *manifests.SCENARIOS,
    *lists.SCENARIOS,
)


def name(scenario: Scenario) -> str:
    """What pytest calls the scenario."""
    return f"{scenario.__module__.rpartition('.')[2]}-{scenario.__name__}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
async def test_scenario(world: World, scenario: Scenario) -> None:
    """The scenario goes as its docstring says, and afterwards every invariant holds."""
    await scenario(world)
