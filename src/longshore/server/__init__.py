# SPDX-License-Identifier: Apache-2.0
"""`longshore serve`: the supervisor, the processes it starts, the sockets they share and the certificate they show."""

from __future__ import annotations
