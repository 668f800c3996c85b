# SPDX-License-Identifier: Apache-2.0
"""All background steps of an instance: those of the registry, and those of features above it."""

from __future__ import annotations

from longshore.artifacts.backlog import DescribeArtifacts
from longshore.artifacts.contents import Contents
from longshore.database.connection import Database
from longshore.registry.blobs import Blobs
from longshore.registry.periods import Periods
from longshore.registry.reclaim import Reclaim
from longshore.storage.port import BlobStore


def reclaim_of(database: Database, store: BlobStore, periods: Periods) -> Reclaim:
    """Everything that a worker does over and over, that people can pause, and that the metrics tell of."""
    contents = Contents(database, store, Blobs(database, periods))
    return Reclaim(database, store, periods, further=(DescribeArtifacts(database, contents),))
