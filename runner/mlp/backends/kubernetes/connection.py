"""How a cluster is found: a kubeconfig as kubectl reads it, else the pod that we run in."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

import urllib3
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from urllib3.exceptions import InsecureRequestWarning

from mlp.errors import ClusterError, UsageError

__all__ = ["connect"]

_CONNECTIONS: Final = 100
_NAMESPACE_OF_POD: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def connect(*, kubeconfig: str | None = None, context: str | None = None) -> tuple[ApiClient, str]:
    """Find the cluster.

    Args:
        kubeconfig: A kubeconfig's path; else $KUBECONFIG, else ~/.kube/config.
        context: A context in it; else its current one.

    Returns:
        A client, and the namespace that the context (or the pod) is in.

    Raises:
        UsageError: There is no such file or context, or it cannot be understood.
        ClusterError: There is neither a kubeconfig nor a pod's ServiceAccount.
    """
    settings = Configuration()
    # A POST that is sent twice may be a run that runs twice; who may be asked again is asked again by our own loops.
    settings.retries = False
    # A program may wait for many runs, each in a thread with a watch of its own; urllib3 warns of each beyond this.
    settings.connection_pool_maxsize = _CONNECTIONS
    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    if _exists(path):
        namespace = _from_kubeconfig(settings, path, context)
    elif kubeconfig is not None:
        raise UsageError(f"There is no kubeconfig {kubeconfig}.")
    elif context is not None:
        raise UsageError(f"There is no kubeconfig ({path}), so no context '{context}' either.")
    else:
        namespace = _from_pod(settings, path)
    if not settings.verify_ssl:
        # The kubeconfig asks for it, and kubectl does not complain about it either.
        urllib3.disable_warnings(InsecureRequestWarning)
    return ApiClient(configuration=settings), namespace


def _exists(path: str) -> bool:
    """Whether any of the files is there; $KUBECONFIG may name several."""
    # pathlib's own fails for a pod's user, who may have no home.
    return any(Path(os.path.expanduser(part)).is_file() for part in path.split(os.pathsep) if part)  # noqa: PTH111


def _from_kubeconfig(settings: Configuration, path: str, context: str | None) -> str:
    try:
        config.load_kube_config(config_file=path, context=context, client_configuration=settings)
        contexts, current = config.list_kube_config_contexts(config_file=path)
    # The loader trusts what it reads: a wrong file makes it stumble over whatever is missing.
    except (config.ConfigException, yaml.YAMLError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UsageError(_complaint(path, context, error)) from None
    chosen: dict[str, Any] = next((entry for entry in contexts if entry["name"] == context), current)
    return str(chosen["context"].get("namespace") or "default")


def _complaint(path: str, context: str | None, error: Exception) -> str:
    if context is not None and f"name {context} in" in str(error):
        with contextlib.suppress(config.ConfigException):
            names = ", ".join(entry["name"] for entry in config.list_kube_config_contexts(config_file=path)[0])
            return f"The kubeconfig {path} has no context '{context}'. It has: {names}."
    return f"The kubeconfig {path} cannot be used: {error}"


def _from_pod(settings: Configuration, path: str) -> str:
    try:
        config.load_incluster_config(client_configuration=settings)
        return _NAMESPACE_OF_POD.read_text(encoding="utf-8").strip()
    except (config.ConfigException, OSError):
        raise ClusterError(
            f"There is no kubeconfig ({path}). Give one with --kubeconfig or $KUBECONFIG; "
            "'mlp run' needs no cluster at all."
        ) from None
