# SPDX-License-Identifier: Apache-2.0
"""The store that ``s3://`` opens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Self

from longshore.storage.parts.sizes import PartSizes
from longshore.storage.parts.store import PartsStore
from longshore.storage.port import ObjectKey
from longshore.storage.s3.client import S3Client
from longshore.storage.s3.location import Location


class S3Store(PartsStore):
    """A bucket, or a prefix in it; clients may fetch objects from it by themselves."""

    def __init__(self, client: S3Client, *, sizes: PartSizes) -> None:
        super().__init__(client, sizes=sizes)
        self._s3 = client

    @classmethod
    async def connect(cls, location: Location) -> Self:
        """Open the place and see that it answers; raises ``StoreRefused`` and ``StoreUnavailable``."""
        client = await S3Client.open(location)
        store = cls(client, sizes=PartSizes(location.part_size))
        try:
            await client.probe()
        except BaseException:
            await store.close()
            raise
        return store

    @property
    def reads_from(self) -> str | None:
        """Scheme, host and port of presigned URLs; None where only an internal address is known."""
        return self._s3.public_origin

    async def presign(self, key: ObjectKey, *, lifetime_seconds: int) -> str:
        """Return a URL that answers the object for a while; it is a secret."""
        return await self._s3.presign(str(key), lifetime_seconds)

    def unfinished(self) -> AsyncGenerator[str, None]:
        """List the paths under which uploads in parts were begun and not ended, for tests and for diagnosis."""
        return self._s3.unfinished()
