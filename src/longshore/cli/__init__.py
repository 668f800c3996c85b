# SPDX-License-Identifier: Apache-2.0
"""The command `longshore`."""

from __future__ import annotations
