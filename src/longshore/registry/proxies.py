# SPDX-License-Identifier: Apache-2.0
"""Projects that mirror another registry: what is in them is what their upstream has, so people put nothing in."""

from __future__ import annotations

from longshore.database.connection import Connection
from longshore.database.statement import Statement
from longshore.oci.errors import Unsupported
from longshore.registry.models import Sparse

_SPARSE = Statement("SELECT sparse FROM projects WHERE id = :project_id")


async def refuse_proxy(connection: Connection, project_id: int) -> None:
    """Refuses what people may not do in a proxy's project.

    Raises:
        Unsupported: the project is a proxy.
    """
    if await connection.value(_SPARSE, project_id=project_id) == Sparse.ANY.value:
        raise Unsupported("The operation isn't supported for a proxy project: it has what its upstream has.")
