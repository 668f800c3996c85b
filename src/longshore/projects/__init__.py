# SPDX-License-Identifier: Apache-2.0
"""Projects and their members."""

from __future__ import annotations
