"""Which marks in a cache of environments are those of pods that have ended: the API server knows, and is asked.

For ``mlp env prune --in-cluster``, in a pod with the volume and a ServiceAccount that may list pods. It needs one path
of the API and the pod's own token, so it does without the Kubernetes client, which the image of run pods does not have.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import requests

from mlp.errors import ClusterError, ClusterUnreachable, UsageError
from mlp.resources.names import RUN_LABEL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mlp.environment.uses import Use

__all__ = ["ServiceAccount", "ended"]

_DIRECTORY: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT: Final = (5.0, 30.0)
_PAGE: Final = 500
_OVER: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A pod's way to the API server.

    Attributes:
        server: The server's address.
        namespace: The pod's own.
        token: What it shows.
        authorities: Whose certificates it believes.
    """

    server: str
    namespace: str
    token: str = field(repr=False)
    authorities: Path

    @classmethod
    def of_pod(cls, variables: Mapping[str, str] = os.environ, directory: Path = _DIRECTORY) -> ServiceAccount:
        """That of the pod that we are in.

        Raises:
            UsageError: We are in none, or in one without a token.
        """
        host, port = variables.get("KUBERNETES_SERVICE_HOST"), variables.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise UsageError("--in-cluster is for pods: KUBERNETES_SERVICE_HOST is not set. See deploy/env-prune.yaml.")
        try:
            namespace, token = (directory.joinpath(name).read_text().strip() for name in ("namespace", "token"))
        except OSError as error:
            raise UsageError(
                f"--in-cluster needs the token of a ServiceAccount that may list pods ({error.filename}: "
                f"{error.strerror}). See deploy/env-prune.yaml."
            ) from None
        shown = f"[{host}]" if ":" in host else host
        return cls(f"https://{shown}:{port}", namespace, token, directory / "ca.crt")


def ended(uses: Collection[Use], account: ServiceAccount) -> list[Use]:
    """The marks whose pods have finished, or are gone.

    Marks have to be read before: then a pod that has left one is known to the API server, or gone.

    Args:
        uses: The marks.
        account: How to ask.

    Raises:
        ClusterError: The server does not say. Then nothing is known of any mark.
    """
    if not uses:
        return []
    namespaces = {_namespace(use, account) for use in uses} | {account.namespace}
    with requests.Session() as session:
        # The API server is not behind a proxy, and nobody else gets to see the token.
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {account.token}"
        session.verify = str(account.authorities)
        unfinished = {
            pod["metadata"]["uid"]
            for namespace in sorted(namespaces)
            for pod in _pods(session, account.server, namespace)
            if (pod.get("status") or {}).get("phase") not in _OVER
        }
    return [use for use in uses if use.id not in unfinished]


def _namespace(use: Use, account: ServiceAccount) -> str:
    return use.holder.partition("/")[0] or account.namespace


def _pods(session: requests.Session, server: str, namespace: str) -> Iterator[dict[str, Any]]:
    """The pods of runs. No version is named, so that the answer is as new as the question."""
    query = {"labelSelector": RUN_LABEL, "limit": str(_PAGE)}
    while True:
        page = _ask(session, f"{server}/api/v1/namespaces/{quote(namespace, safe='')}/pods", query, namespace)
        yield from page.get("items") or ()
        if not (following := (page.get("metadata") or {}).get("continue")):
            return
        query["continue"] = following


def _ask(session: requests.Session, url: str, query: Mapping[str, str], namespace: str) -> dict[str, Any]:
    nothing = "No environment was deleted."
    try:
        answer = session.get(url, params=dict(query), timeout=_TIMEOUT, allow_redirects=False)
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise ClusterError(
                f"Pods of namespace {namespace}, where an environment may be in use, cannot be listed: the "
                f"ServiceAccount may not (HTTP {answer.status_code}). {nothing} See deploy/env-prune.yaml."
            )
        if answer.status_code != HTTPStatus.OK:
            raise ClusterUnreachable(f"The API server answered HTTP {answer.status_code}. {nothing}")
        page: dict[str, Any] = answer.json()
    except requests.JSONDecodeError:
        raise ClusterUnreachable(f"The API server did not answer in JSON. {nothing}") from None
    except (requests.RequestException, OSError) as error:
        raise ClusterUnreachable(f"The API server cannot be reached: {error}. {nothing}") from None
    return page
