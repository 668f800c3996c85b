# SPDX-License-Identifier: Apache-2.0
"""The tag `permissions`, and explanations of who may do what, which are ours."""

from __future__ import annotations

from litestar import Controller, Response, get, post

from longshore.access.vocabulary import GRANTABLE_IN_PROJECTS, GRANTABLE_IN_SYSTEM
from longshore.api.documents.access import (
    AccessExplanation,
    AccessQuestion,
    Permissions,
    parse_question,
    shown_explanation,
    shown_permissions,
)
from longshore.api.request import APIRequest
from longshore.api.serialising import answer


class AccessController(Controller):
    """What can be allowed, and why something is or isn't."""

    path = "/api/v2.0"

    @get("/permissions", operation_id="getPermissions")
    async def get_permissions(self, request: APIRequest) -> Response[Permissions]:
        """Every permission that robots can be given; those of the system for its administrators only."""
        of_system = await request.services.access.authorise_administrator(request.caller)
        shown = Permissions(
            system=shown_permissions(GRANTABLE_IN_SYSTEM if of_system else ()),
            project=shown_permissions(GRANTABLE_IN_PROJECTS),
        )
        return answer(shown)

    @post("/access/explain", operation_id="explainAccess")
    async def explain_access(self, request: APIRequest) -> Response[AccessExplanation]:
        """May this principal do this, why or why not, and who can change it; nothing is changed."""
        asked = request.document(AccessQuestion)
        # Everybody may ask about itself; about whom else, and where, `explain` authorises.
        explanation = await request.services.explanations.explain(request.caller, parse_question(asked))
        return answer(shown_explanation(explanation, asked))
