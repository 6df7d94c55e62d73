"""What a run on Databricks has written, kept in its namespace: a ConfigMap that goes with the run.

Databricks keeps it for a while, and shows it to who has an account there; `mlp logs` is for who may see the run.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import names
from mlp_operator.machinery.cluster import CONFIGMAPS, ApiError

if TYPE_CHECKING:
    from mlp.resources import ProjectRun
    from mlp_operator.machinery.cluster import Cluster

__all__ = ["keep_log", "tail"]

LARGEST: Final = 512 << 10
"""Bytes. A ConfigMap may have a mebibyte."""
_LARGEST_SENT: Final = 1_000_000
"""Bytes as JSON, in which letters that are not ASCII's take six each on their way."""

logger = logging.getLogger(__name__)


async def keep_log(cluster: Cluster, run: ProjectRun, suffix: str, text: str) -> str | None:
    """Keep the end of a text; replace what was kept under the same suffix.

    Args:
        cluster: Where.
        run: The run that it belongs to, and goes with.
        suffix: What tells it from those of the run's other submissions.
        text: What it wrote.

    Returns:
        The ConfigMap's name; None if the API server does not take it, or another's object has that name.

    Raises:
        ApiError: The API server cannot take it now.
        ClusterUnreachable: There was no answer.
    """
    name, namespace = f"{run.name}-log-{suffix}", run.namespace
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {names.RUN_LABEL: run.name},
            "ownerReferences": [
                {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": run.name, "uid": run.uid}
            ],
        },
        "data": {names.LOG_KEY: _sendable(text)},
    }
    try:
        try:
            await cluster.create(CONFIGMAPS, namespace, body)
        except ApiError as error:
            if not error.already_exists:
                raise
            found = await cluster.get(CONFIGMAPS, namespace, name)
            owners = found["metadata"].get("ownerReferences") or ()
            if run.uid not in {owner["uid"] for owner in owners}:
                logger.warning("%s/%s: the ConfigMap %s is another's; the log is not kept", namespace, run.name, name)
                return None
            await cluster.patch(CONFIGMAPS, namespace, name, {"data": body["data"]})
    except ApiError as error:
        if not (error.refused or error.not_found):
            raise
        logger.warning("%s/%s: the log could not be kept: %s", namespace, run.name, error)
        return None
    return name


def _sendable(text: str) -> str:
    kept = tail(text, LARGEST)
    while (size := len(json.dumps(kept))) > _LARGEST_SENT:
        kept = tail(kept, len(kept.encode()) * _LARGEST_SENT // size - 1)
    return kept


def tail(text: str, largest: int) -> str:
    """The end of a text, in so many bytes of UTF-8, from the beginning of a line where one begins early enough."""
    content = text.encode("utf-8", "replace")
    if len(content) <= largest:
        return content.decode()
    cut = content[-largest:]
    _, newline, rest = cut.partition(b"\n")
    return (rest if newline and rest else cut).decode("utf-8", "ignore")
