# SPDX-License-Identifier: Apache-2.0
"""Volumes and the certificate over the API, as raw answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longshore.system.surroundings import Surroundings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.api.conftest import Account, World


class _Volume:
    async def total(self) -> int:
        return 1000

    async def available(self) -> int:
        return 2000


async def test_volumes(world: World, admin: Account) -> None:
    """A volume with its sizes, never more free than there is; null for a store that doesn't know."""
    client = await world.client(admin)
    assert (await client.get("/systeminfo/volumes")).text == '{"storage":null}'
    world.surround(Surroundings(store=_Volume()))
    assert (await client.get("/systeminfo/volumes")).text == '{"storage":[{"total":1000,"free":1000}]}'


async def test_certificate(world: World, admin: Account, tmp_path: Path) -> None:
    """The certificate is for everybody, as a file; without one it is 404 and systeminfo says so."""
    nobody, client = await world.client(None), await world.client(admin)
    assert (await nobody.get("/systeminfo/getcert")).status_code == 404
    (tmp_path / "ca.crt").write_bytes(b"PEM")
    world.surround(Surroundings(certificate=tmp_path / "ca.crt", provider="s3"))
    answer = await nobody.get("/systeminfo/getcert", headers={"accept": "application/octet-stream"})
    assert (answer.status_code, answer.content) == (200, b"PEM")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename=ca.crt"
    shown = (await client.get("/systeminfo")).json()
    assert (shown["has_ca_root"], shown["registry_storage_provider_name"]) == (True, "s3")
    assert "authproxy_settings" not in shown
