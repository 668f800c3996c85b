# SPDX-License-Identifier: Apache-2.0
"""What projects may hold, and what they do hold: one quota each. The registry's ledger counts and refuses."""

from __future__ import annotations
