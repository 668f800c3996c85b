# SPDX-License-Identifier: Apache-2.0
"""The client for Amazon S3 and the servers that speak its protocol.

Nothing here is imported before a storage URL says ``s3://``.
"""
