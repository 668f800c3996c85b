# SPDX-License-Identifier: Apache-2.0
"""The tag `quota`."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Controller, Response, get, put
from litestar.params import FromPath

from longshore.access.models import QUOTA_LIST, QUOTA_READ, QUOTA_UPDATE
from longshore.api.documents.quota import Quota, QuotaUpdateReq, shown_quota
from longshore.api.lists import answer_list
from longshore.api.query import parse_sort
from longshore.api.request import APIRequest, parse_id
from longshore.api.serialising import answer, empty
from longshore.listing.models import AnyOf, Exact, Wanted
from longshore.oci.errors import NotFound
from longshore.quotas.models import Quota as StoredQuota

_NUMBER: Final = re.compile(r"[0-9]{1,18}")


class QuotaController(Controller):
    """Quotas of projects."""

    path = "/api/v2.0/quotas"

    @get(operation_id="listQuotas")
    async def list_quotas(self, request: APIRequest) -> Response[list[Quota]]:
        """The quotas of all projects, or of the one that `reference=project&reference_id=1` names."""
        page, wanted = request.page(), _parse_list(request)
        await request.services.access.authorise_system(request.caller, QUOTA_LIST)

        async def load(offset: int, limit: int) -> tuple[list[StoredQuota], int]:
            return await request.services.quota_queries.page(wanted, offset=offset, limit=limit)

        return await answer_list(request, page, load, lambda found: map(shown_quota, found))

    @get("/{id:str}", operation_id="getQuota")
    async def get_quota(self, request: APIRequest, id: FromPath[str]) -> Response[Quota]:  # noqa: A002 - the contract's name
        """A quota; its number is that of its project."""
        number = parse_id(id, "id")
        await request.services.access.authorise_system(request.caller, QUOTA_READ)
        quota = await request.services.quota_queries.quota(number)
        if quota is None:
            raise NotFound(f"The quota {number} doesn't exist.")
        return answer(shown_quota(quota))

    @put("/{id:str}", operation_id="updateQuota")
    async def update_quota(self, request: APIRequest, id: FromPath[str]) -> Response[Any]:  # noqa: A002 - the same
        """Sets the limit, also below what is used."""
        number, document = parse_id(id, "id"), request.document(QuotaUpdateReq)
        await request.services.access.authorise_system(request.caller, QUOTA_UPDATE)
        await request.services.quotas.set_limit(number, document.limit(), actor=request.actor)
        return empty()


def _parse_list(request: APIRequest) -> Wanted:
    reference, number = request.incoming.parameter("reference"), request.incoming.parameter("reference_id")
    wanted = Wanted(order=parse_sort(request.incoming)).also(reference=Exact(reference) if reference else None)
    if not number:
        return wanted
    # Texts that are no number name no project.
    return wanted.also(reference_id=Exact(number) if _NUMBER.fullmatch(number) else AnyOf(()))
