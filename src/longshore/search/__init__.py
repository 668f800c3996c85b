# SPDX-License-Identifier: Apache-2.0
"""What a reader finds over all projects, and how much there is."""

from __future__ import annotations
