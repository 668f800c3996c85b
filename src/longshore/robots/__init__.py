# SPDX-License-Identifier: Apache-2.0
"""Robot accounts of machines."""

from __future__ import annotations
