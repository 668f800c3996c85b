# SPDX-License-Identifier: Apache-2.0
"""Connections, transactions, tables and migrations."""

from __future__ import annotations
