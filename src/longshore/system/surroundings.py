# SPDX-License-Identifier: Apache-2.0
"""What the instance stands on, as far as administrators and clients ask for it: volumes, and the operator's certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from longshore.config import Settings
from longshore.oci.errors import NotFound
from longshore.storage.port import FreeSpace

_PROVIDERS: Final[Mapping[str, str]] = {"file": "filesystem", "s3": "s3"}
_LARGEST: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume that the store is on; sizes in bytes."""

    total: int
    free: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the instance stands on.

    Attributes:
        provider: What Harbor calls the kind of the store.
        store: The store; only one that knows its room tells of a volume.
        certificate: The file of the root certificate that clients may load; None when there is none.
    """

    provider: str = "filesystem"
    store: object = None
    certificate: Path | None = None

    async def volumes(self) -> tuple[Volume, ...]:
        """The volumes of the store; none for an object store, whose room nobody knows.

        Raises:
            ServiceUnavailable: the store can't be reached.
        """
        if not isinstance(self.store, FreeSpace):
            return ()
        total, free = await self.store.total(), await self.store.available()
        return (Volume(total, min(total, free)),)

    @property
    def has_certificate(self) -> bool:
        """Whether there is a root certificate to load."""
        return self.certificate is not None and self.certificate.is_file()

    async def root_certificate(self) -> bytes:
        """The root certificate that clients have to trust.

        Raises:
            NotFound: there is none.
        """
        if self.certificate is not None:
            try:
                content = await asyncio.to_thread(_read, self.certificate)
            except OSError:
                content = b""
            if content:
                return content
        raise NotFound("There is no root certificate to load: this registry's is signed by one that clients know.")


def surroundings_of(settings: Settings, store: object) -> Surroundings:
    """What settings say of it."""
    scheme = urlsplit(settings.storage).scheme
    return Surroundings(provider=_PROVIDERS.get(scheme, scheme), store=store, certificate=settings.ca_cert)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST)
