# SPDX-License-Identifier: Apache-2.0
"""Edge: Harbor's API v2.0 and ours."""

from __future__ import annotations
