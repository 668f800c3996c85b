# SPDX-License-Identifier: Apache-2.0
"""The audit log: who did what, and when; written from events, kept here and forwarded."""

from __future__ import annotations
