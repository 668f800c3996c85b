# SPDX-License-Identifier: Apache-2.0
"""The blob store port, its adapters and its conformance suite."""

from __future__ import annotations
