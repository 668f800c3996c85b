# SPDX-License-Identifier: Apache-2.0
"""Users, passwords and sign-in."""

from __future__ import annotations
