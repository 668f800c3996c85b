# SPDX-License-Identifier: Apache-2.0
"""What the handlers of /v2 call; built once by the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.access.service import AccessService
from longshore.artifacts.describing import Describer
from longshore.distribution.authentication import Authenticator
from longshore.distribution.delivery import Delivery
from longshore.distribution.token import TokenEndpoint
from longshore.registry.blobs import Blobs
from longshore.registry.deletion import ManifestDeletion
from longshore.registry.manifests import Manifests
from longshore.registry.pull_log import PullLog
from longshore.registry.pulls import PullCounter
from longshore.registry.referrers import Listings
from longshore.registry.tags import Tags
from longshore.registry.uploads import Uploads
from longshore.system.configuration import Configurations


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services behind the distribution API."""

    access: AccessService
    authenticator: Authenticator
    blobs: Blobs
    configurations: Configurations
    deletion: ManifestDeletion
    delivery: Delivery
    describer: Describer
    listings: Listings
    manifests: Manifests
    pull_log: PullLog
    pulls: PullCounter
    tags: Tags
    tokens: TokenEndpoint
    uploads: Uploads
