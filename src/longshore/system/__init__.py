# SPDX-License-Identifier: Apache-2.0
"""The instance itself: its identity, switches and health."""

from __future__ import annotations
