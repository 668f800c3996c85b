# SPDX-License-Identifier: Apache-2.0
"""Who may do what: one vocabulary, one decision function."""

from __future__ import annotations
