# SPDX-License-Identifier: Apache-2.0
"""What all edges share: requests, responses, and the one place that turns errors into responses."""

from __future__ import annotations
