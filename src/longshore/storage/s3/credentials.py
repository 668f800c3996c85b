# SPDX-License-Identifier: Apache-2.0
"""Where the access key comes from: the URL, or the chain that Amazon's own tools follow."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from longshore.storage.port import StoreUnavailable
from longshore.storage.refusals import StoreRefused
from longshore.storage.s3.location import Location

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

_RENEWAL_PAUSE = 5.0
_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key to sign with, good for now."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class CredentialSource(Protocol):
    """Hands out the key of the moment."""

    async def current(self) -> Credentials:
        """Return a key that has not expired; raises ``StoreRefused`` when there is none."""
        ...

    async def renew(self, refused: Credentials) -> bool:
        """Look for another key than the one that the server refused; False when there is none."""
        ...


class GivenCredentials:
    """The key that the URL names."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def current(self) -> Credentials:
        """Return it."""
        return self._credentials

    async def renew(self, refused: Credentials) -> bool:  # noqa: ARG002 - whichever it was
        """There is no other."""
        return False


class ChainedCredentials:
    """Environment, files, web identity, container or instance, whichever comes first; what expires is fetched anew."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._session: AioSession | None = None
        self._loaded_at = float("-inf")
        self._loading = asyncio.Lock()

    async def current(self) -> Credentials:
        """Return the key of the first source that has one."""
        with _explained():
            async with self._loading:
                session = await self._current_session()
                found = await session.get_credentials()
            if found is not None:
                frozen = await found.get_frozen_credentials()
                if frozen.access_key and frozen.secret_key:
                    return Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        raise StoreRefused(
            "No credentials for the object store were found in LONGSHORE_STORAGE_URL (access_key=, credentials=, profile=), in "
            "the environment (AWS_*), in ~/.aws, or from the container's or machine's role. Give one of them."
        )

    async def renew(self, refused: Credentials) -> bool:
        """Read the files anew and ask the sources again, at most every few seconds.

        Of many requests that were under way with the old key, the first does so, and the others find what it found.
        """
        if await self.current() != refused:
            return True
        async with self._loading:
            if time.monotonic() - self._loaded_at >= _RENEWAL_PAUSE:
                self._session = None
        return await self.current() != refused

    async def _current_session(self) -> AioSession:
        if self._session is None:
            self._session = await asyncio.to_thread(_session, self._location)
            self._loaded_at = time.monotonic()
        return self._session


def source_of(location: Location) -> CredentialSource:
    """The source that a location names."""
    if location.key is not None:
        key = location.key
        return GivenCredentials(Credentials(key.access_key, key.secret_key, key.session_token))
    return ChainedCredentials(location)


async def region_of(location: Location) -> str:
    """The region to sign for: the option's, the environment's, the profile's; any will do for a server of one's own.

    Raises ``StoreRefused`` when Amazon's servers are meant and nobody says which.
    """
    region = location.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and location.key is None:
        with _explained():
            session = await asyncio.to_thread(_session, location)
            region = session.get_config_variable("region")
    if region is None and location.endpoint is None:
        raise StoreRefused(
            "LONGSHORE_STORAGE_URL names no region; add region=, or endpoint= for a server that isn't Amazon's."
        )
    return region or _DEFAULT_REGION


def _session(location: Location) -> AioSession:
    """Make a session of Amazon's library; it takes a moment, and reads files."""
    from aiobotocore.session import AioSession  # noqa: PLC0415 - half a second, paid for only without a key in the URL

    session = AioSession(profile=location.profile)
    if location.credentials is not None:
        session.set_config_variable("credentials_file", str(location.credentials))
    return session


@contextmanager
def _explained() -> Iterator[None]:
    from botocore import exceptions  # noqa: PLC0415 - paid for only without a key in the URL

    # A role's service that doesn't answer may answer soon; a file or a name that is wrong stays wrong.
    away = (exceptions.CredentialRetrievalError, exceptions.HTTPClientError)
    try:
        yield
    except (exceptions.BotoCoreError, OSError, ValueError, RuntimeError) as error:
        kind = StoreUnavailable if isinstance(error, away) else StoreRefused
        raise kind(
            f"The object store's credentials can't be had ({type(error).__name__}): look at credentials= and profile= in "
            "LONGSHORE_STORAGE_URL, at AWS_* in the environment, and at the role of the machine."
        ) from error
