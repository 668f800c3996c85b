# SPDX-License-Identifier: Apache-2.0
"""What takes minutes runs only when it is asked for by its mark."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the mutation tests out, unless `-m` names them."""
    if "mutation" in (config.option.markexpr or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("mutation")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
