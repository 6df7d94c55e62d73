"""The volumes of a run's pod, and which container sees which. Pure.

Credentials are files, each in the one container that needs it: no environment variable, which every program that is
started would inherit.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import names

if TYPE_CHECKING:
    from mlp.resources import ProjectRun
    from mlp.resources.plan import Plan
    from mlp_operator.runs.recording import TrackingServer

__all__ = ["CHANGEABLE", "PREFIX", "Place", "bringing", "building", "of_run", "service_account", "temporary"]

PREFIX: Final = "mlp-"
"""What the names of our volumes begin with."""

RUN_VOLUME: Final = f"{PREFIX}run"
TEMPORARY_VOLUME: Final = f"{PREFIX}tmp"
CHANGEABLE: Final = (RUN_VOLUME, TEMPORARY_VOLUME)
"""How the names of those begin that may as well be on another disk: they hold nothing before the pod starts."""

_SERVICE_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_LIFETIME: Final = 3600
"""Seconds. kubelet writes a new token long before one ends."""
_S3: Final = ("s3", "s3a", "s3n")
_ON_THE_TRACKING_SERVER: Final = ("runs", "models", "mlflow-artifacts")


@dataclass(frozen=True, slots=True)
class Place:
    """A volume, and where a container sees it.

    Attributes:
        volume: The volume's name.
        source: What it holds, as in the core API.
        path: Where it appears.
        read_only: Whether the container may only read.
    """

    volume: str
    source: dict[str, Any]
    path: str
    read_only: bool = True

    @property
    def mount(self) -> dict[str, Any]:
        """As an entry of a container's volumeMounts."""
        mount: dict[str, Any] = {"name": self.volume, "mountPath": self.path}
        return {**mount, "readOnly": True} if self.read_only else mount

    def only_read(self) -> Place:
        """The same place for a container that may not write."""
        return replace(self, read_only=True)


def of_run() -> tuple[Place, Place]:
    """What is prepared, and the plan for it."""
    reference = {"fieldPath": f"metadata.annotations['{names.PLAN_ANNOTATION}']"}
    item = {"path": posixpath.basename(names.PLAN_FILE), "fieldRef": reference}
    return (
        Place(RUN_VOLUME, {"emptyDir": {}}, names.RUN_DIRECTORY, read_only=False),
        Place(f"{PREFIX}plan", {"downwardAPI": {"items": [item]}}, names.PLAN_DIRECTORY),
    )


def temporary(container: str) -> Place:
    """Temporary files of one container: no other sees what a program that was killed has left there."""
    path = "/tmp"  # noqa: S108 -- the container's own
    return Place(f"{TEMPORARY_VOLUME}-{container}", {"emptyDir": {}}, path, read_only=False)


def bringing(run: ProjectRun, plan: Plan, tracking: TrackingServer | None) -> tuple[list[Place], list[Place]]:
    """What the steps clone and data see: first what anybody may see, then credentials."""
    spec, bundle = run.spec, plan.source.bundle
    schemes = [download.uri.partition(":")[0].lower() for download in plan.downloads]
    open_places, credentials = [], []
    if bundle is not None and bundle.uri is None and spec.project.bundle is not None:
        item = {"key": names.BUNDLE_KEY, "path": names.BUNDLE_KEY}
        source = {"configMap": {"name": spec.project.bundle.config_map_name, "items": [item]}}
        open_places.append(Place(f"{PREFIX}bundle", source, names.BUNDLE_DIRECTORY))
    elif bundle is not None and bundle.uri is not None:
        schemes.append(bundle.uri.partition(":")[0].lower())
    if plan.source.credentials and spec.project.auth_secret_ref is not None:
        credentials.append(_secret("git", spec.project.auth_secret_ref.name, names.GIT_CREDENTIALS_DIRECTORY))
    if schemes and spec.data is not None and spec.data.secret_ref is not None:
        credentials.append(_secret("data", spec.data.secret_ref.name, names.DATA_CREDENTIALS_DIRECTORY))
    # What the tracking server knows may lie in a bucket too.
    if spec.data is not None and any(scheme in (*_S3, *_ON_THE_TRACKING_SERVER) for scheme in schemes):
        # Where a webhook of the cloud's names a role, whoever reads this can take it: no code of packages may.
        token = {"path": posixpath.basename(names.AWS_TOKEN_FILE), "audience": "sts.amazonaws.com"}
        credentials.append(_tokens("aws", [_token(**token)], posixpath.dirname(names.AWS_TOKEN_FILE)))
    if any(scheme in _ON_THE_TRACKING_SERVER for scheme in schemes) and tracking is not None and tracking.secret:
        # One that the run names has to be there; not every namespace needs to have the operator's default.
        optional = spec.tracking is None or spec.tracking.secret_ref is None
        directory = names.TRACKING_CREDENTIALS_DIRECTORY
        credentials.append(_secret("tracking", tracking.secret, directory, optional=optional))
    return open_places, credentials


def building(run: ProjectRun, plan: Plan, default_claim: str | None) -> tuple[list[Place], list[Place]]:
    """What the step environment sees: the cache, then credentials."""
    if plan.environment is None:
        return [], []
    wanted = run.spec.environment
    claim = (wanted.cache.volume_claim_name if wanted.cache is not None else None) or default_claim
    shared = claim is not None and plan.environment.policy != "Disabled"
    source: dict[str, Any] = {"persistentVolumeClaim": {"claimName": claim}} if shared else {"emptyDir": {}}
    cache = Place(f"{PREFIX}envs", source, names.ENVIRONMENTS_DIRECTORY, read_only=False)
    if wanted.secret_ref is None:
        return [cache], []
    return [cache], [_secret("index", wanted.secret_ref.name, names.ENVIRONMENT_CREDENTIALS_DIRECTORY)]


def service_account(run: ProjectRun) -> Place | None:
    """The token of the account that the run names: what every pod has that mounts one, for main alone."""
    fields = run.spec.backend.kubernetes
    if fields is None or fields.service_account_name is None:
        return None
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    sources = [
        _token(path="token"),
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return _tokens("service-account", sources, _SERVICE_ACCOUNT)


def _secret(name: str, secret: str, path: str, *, optional: bool = False) -> Place:
    source: dict[str, Any] = {"secretName": secret, "defaultMode": 0o400}
    return Place(f"{PREFIX}{name}", {"secret": {**source, "optional": True} if optional else source}, path)


def _tokens(name: str, sources: list[dict[str, Any]], path: str) -> Place:
    return Place(f"{PREFIX}{name}", {"projected": {"sources": sources, "defaultMode": 0o440}}, path)


def _token(**fields: str) -> dict[str, Any]:
    return {"serviceAccountToken": {**fields, "expirationSeconds": _LIFETIME}}
