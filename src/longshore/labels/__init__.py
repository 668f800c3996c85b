# SPDX-License-Identifier: Apache-2.0
"""Labels that people put on artifacts: the registry's own, and those of projects."""

from __future__ import annotations
