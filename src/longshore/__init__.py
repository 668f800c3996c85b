# SPDX-License-Identifier: Apache-2.0
"""Longshore, a registry for container images and every other OCI artifact."""

from __future__ import annotations
