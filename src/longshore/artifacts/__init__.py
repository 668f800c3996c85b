# SPDX-License-Identifier: Apache-2.0
"""Artifacts: what manifests are to people, with what stands in their blobs."""

from __future__ import annotations
