# SPDX-License-Identifier: Apache-2.0
"""The tag `statistic`."""

from __future__ import annotations

from litestar import Controller, Response, get

from longshore.api.documents.statistic import Statistic, shown_statistics
from longshore.api.request import APIRequest
from longshore.api.serialising import answer


class StatisticController(Controller):
    """How much there is."""

    path = "/api/v2.0/statistics"

    @get(operation_id="getStatistic")
    async def get_statistic(self, request: APIRequest) -> Response[Statistic]:
        """Numbers of projects and repositories; of all and of their bytes for administrators only."""
        services, principal = request.services, request.caller.principal
        await services.access.authorise_login(request.caller)
        whole = principal.sysadmin
        statistics = await services.statistics.statistics(await services.access.visible_projects(principal))
        stored = await services.statistics.stored_bytes() if whole else 0
        return answer(shown_statistics(statistics, whole=whole, stored_bytes=stored))
