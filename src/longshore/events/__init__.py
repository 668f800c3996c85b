# SPDX-License-Identifier: Apache-2.0
"""The durable event log."""

from __future__ import annotations
