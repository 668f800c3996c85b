# SPDX-License-Identifier: Apache-2.0
"""The blob store port on top of any object store that takes an object in parts: S3 today, others with a client each."""
