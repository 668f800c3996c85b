# SPDX-License-Identifier: Apache-2.0
"""People: sessions, access tokens."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
