"""Questions to the API server that are asked now and then, about objects that nobody watches.

An edge of its own beside the controller: what the answers mean is for hindrances.py.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mlp_operator.machinery.cluster import EVENTS, ApiError

if TYPE_CHECKING:
    from mlp_operator.machinery.cluster import Cluster

__all__ = ["warnings_about"]

Object = dict[str, Any]

logger = logging.getLogger(__name__)


async def warnings_about(cluster: Cluster, obj: Object) -> list[Object]:
    """The events of type Warning about one object; none where the operator may not read them.

    Raises:
        ClusterUnreachable: There was no answer.
    """
    metadata = obj["metadata"]
    selector = f"involvedObject.uid={metadata['uid']},type=Warning"
    try:
        page = await cluster.list(EVENTS, [metadata["namespace"]], fields=selector)
    except ApiError as error:
        logger.info("%s/%s: its events cannot be read: %s", metadata["namespace"], metadata["name"], error)
        return []
    return page.items
