# SPDX-License-Identifier: Apache-2.0
"""What tests of repositories and artifacts look at answers with."""

from __future__ import annotations

from typing import Any

import httpx


def shown(answer: httpx.Response) -> Any:
    """The document of a good answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    return answer.json()


def digests(answer: httpx.Response) -> list[str]:
    """The digests of a list of artifacts, whose total fits."""
    found = [item["digest"] for item in shown(answer)]
    assert int(answer.headers["x-total-count"]) >= len(found)
    return found


async def list_of(client: httpx.AsyncClient, name: str, query: str = "", path: str = "app") -> list[str]:
    """The digests that the list of a repository shows."""
    answer = await client.get(f"/projects/{name}/repositories/{path}/artifacts?{query}")
    found = digests(answer)
    assert answer.headers["x-total-count"] == str(len(found))
    return found
