"""ProjectRuns for the tests: what the API accepts, and what it refuses with which words.

One table serves both readers of the schema, pydantic in mlp and the API server through the CRD, so they cannot come
apart unnoticed.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

URI = "https://github.com/mlflow/mlflow-example"
SHA256 = "0" * 64

EVERYTHING: dict[str, Any] = {
    "project": {
        "uri": "ssh://git@git.example.org/team/models.git",
        "version": "v1.2",
        "subdirectory": "wine/train",
        "entryPoint": "train.py",
        "authSecretRef": {"name": "git-creds"},
        "submodules": False,
        "lfs": True,
    },
    "parameters": [
        {"name": "alpha", "value": "0.5"},
        {"name": "empty", "value": ""},
        {"name": "text", "value": 'it\'s "quoted"; $HOME\nzwei Zeilen ü 🍷'},
        {"name": "token", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
        {"name": "table", "valueFrom": {"configMapKeyRef": {"name": "tables", "key": "one"}}},
    ],
    "experiment": {"name": "wine", "runName": "a05", "tags": [{"name": "owner", "value": "ann"}]},
    "tracking": {"uri": "http://mlflow.mlflow:5000", "secretRef": {"name": "mlflow-creds"}},
    "data": {"secretRef": {"name": "aws"}},
    "environment": {
        "manager": "Conda",
        "image": "registry.example.org/base:1",
        "cache": {"policy": "Refresh", "volumeClaimName": "mlp-envs"},
    },
    "backend": {
        "type": "Kubernetes",
        "kubernetes": {
            "serviceAccountName": "trainer",
            "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"nvidia.com/gpu": 1}},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "env": [
                {"name": "MODE", "value": "fast"},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            ],
            "envFrom": [{"secretRef": {"name": "more"}}],
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}],
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch", "readOnly": False}],
            "imagePullSecrets": [{"name": "registry"}],
            "securityContext": {"fsGroup": 2000},
            "priorityClassName": "high",
            "schedulerName": "volcano",
            "runtimeClassName": "gvisor",
            "labels": {"team": "a"},
            "annotations": {"example.org/ticket": "42"},
            "terminationGracePeriodSeconds": 60,
            "podTemplate": {"spec": {"containers": [{"name": "main", "tty": True}]}},
        },
    },
    "queueName": "team-a-queue",
    "queuePriorityClassName": "prod",
    "suspend": True,
    "shutdown": "Stop",
    "backoffLimit": 3,
    "activeDeadlineSeconds": 86400,
    "pendingDeadlineSeconds": 1800,
    "ttlSecondsAfterFinished": 600,
    "retention": {"jobSecondsAfterSuccess": 3600, "jobSecondsAfterFailure": 86400},
    "managedBy": "example.org/other",
}
"""A spec with every field that goes with the backend Kubernetes."""

DATABRICKS: dict[str, Any] = {
    "project": {"uri": URI, "version": "v1.2"},
    "parameters": [
        {"name": "alpha", "value": "0.5"},
        {"name": "table", "valueFrom": {"configMapKeyRef": {"name": "tables", "key": "one"}}},
    ],
    "environment": {"manager": "Local"},
    "backend": {
        "type": "Databricks",
        "databricks": {
            "host": "https://dbc.example.org",
            "secretRef": {"name": "databricks"},
            "auth": "OAuthM2M",
            "runAs": {"servicePrincipalName": "1234-abcd"},
            "cluster": {"newCluster": {"num_workers": 2, "spark_version": "16.4.x-scala2.12"}},
            "libraries": [{"pypi": {"package": "xgboost"}}],
            "tags": [{"name": "team", "value": "a"}, {"name": "ticket", "value": ""}],
            "projectSource": "Git",
            "gitProvider": "gitHub",
            "uploadTo": "/Volumes/main/default/runs/mlp",
            "timeoutSeconds": 3600,
        },
    },
    "suspend": True,
    "shutdown": "Stop",
    "backoffLimit": 3,
    "activeDeadlineSeconds": 86400,
    "pendingDeadlineSeconds": 1800,
    "ttlSecondsAfterFinished": 600,
}
"""A spec for the backend Databricks, with every field of that one that goes with a Secret."""

IDENTITY: dict[str, Any] = {
    "host": "https://dbc.example.org",
    "auth": "WorkloadIdentity",
    "serviceAccountName": "trainer",
    "clientId": "1234-abcd",
    "audience": "https://dbc.example.org/oidc/v1/token",
    "serverless": {"environmentVersion": "4"},
}
"""The fields of the backend Databricks that go with the identity of a ServiceAccount."""


def project_run(*, name: str = "wine", **spec: Any) -> dict[str, Any]:
    """A ProjectRun as a manifest has it; the project is a small public one unless the spec says otherwise."""
    return {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "metadata": {"name": name},
        "spec": {"project": {"uri": URI}, **deepcopy(spec)},
    }


def of_project(**project: Any) -> dict[str, Any]:
    return project_run(project={"uri": URI, **project})


def of_uri(uri: str) -> dict[str, Any]:
    return project_run(project={"uri": uri})


def of_kubernetes(**kubernetes: Any) -> dict[str, Any]:
    return project_run(backend={"kubernetes": kubernetes})


def of_databricks(**databricks: Any) -> dict[str, Any]:
    """A run on Databricks with these fields, and a Secret unless they say how else to log in."""
    given = {"secretRef": {"name": "databricks"}, **databricks}
    return project_run(backend={"type": "Databricks", "databricks": given})


def on_databricks(**spec: Any) -> dict[str, Any]:
    """A run on Databricks with further fields of the spec."""
    return project_run(**{"backend": of_databricks(serverless={})["spec"]["backend"], **spec})


ACCEPTED: dict[str, dict[str, Any]] = {
    "the least that is needed": project_run(),
    "every field for Kubernetes": project_run(**EVERYTHING),
    "Databricks with a Secret": project_run(**DATABRICKS),
    "Databricks with a ServiceAccount's identity": project_run(backend={"type": "Databricks", "databricks": IDENTITY}),
    "Databricks, by a policy of the whole account": project_run(
        backend={"type": "Databricks", "databricks": {key: IDENTITY[key] for key in ("host", "auth", "serverless")}}
    ),
    "serverless Databricks": of_databricks(serverless={}),
    "a bundle on Databricks": on_databricks(project={"bundle": {"configMapName": "wine", "sha256": SHA256}}),
    "a bundle in a store that the operator fetches, on Databricks": on_databricks(
        project={"bundle": {"uri": "s3://bucket/project.tar.gz", "sha256": SHA256}}, data={"secretRef": {"name": "aws"}}
    ),
    "an environment on Databricks": on_databricks(environment={"manager": "Conda"}),
    "Databricks and its workspace files": of_databricks(serverless={}, uploadTo="/Workspace/Shared"),
    "Databricks and its old file system": of_databricks(serverless={}, uploadTo="dbfs:/tmp/mlp"),
    "a token for tracking that stays here, on Databricks": on_databricks(
        tracking={"uri": "databricks", "secretRef": {"name": "mlflow"}}
    ),
    "an existing Databricks cluster": of_databricks(cluster={"existingClusterId": "1234-567890-abc"}),
    "a name of 52 characters": project_run(name="n" * 52),
    "user@host:path": of_uri("git@github.com:mlflow/mlflow-example.git"),
    "ssh with a user": of_uri("ssh://git@github.com/mlflow/mlflow-example"),
    "ssh with a port": of_uri("ssh://git@git.example.org:2222/a/b"),
    "http": of_uri("http://git.example.org/a/b"),
    "an IPv6 address": of_uri("https://[2001:db8::1]:8443/a/b"),
    "file, for tests": of_uri("file:///srv/git/a"),
    "a subdirectory in the uri": of_uri(f"{URI}#examples/wine"),
    "an @ in the path": of_uri("https://git.example.org/@scope/b"),
    "a version with a slash": of_project(version="release/2026-01"),
    "dots in names, not as a path": of_project(subdirectory="a/..b/c.d"),
    "null for what is not wanted": of_project(bundle=None, version=None),
    "a bundle in a ConfigMap": project_run(project={"bundle": {"configMapName": "wine", "sha256": SHA256}}),
    "a parameter with blanks in its name": project_run(parameters=[{"name": "a b", "value": "1"}]),
    "a quantity that is a number": of_kubernetes(resources={"limits": {"cpu": 2}}),
    "a quantity with an exponent": of_kubernetes(resources={"limits": {"memory": "1e9"}}),
    "tracking on Databricks": project_run(tracking={"uri": "databricks://profile"}),
    "shut down from the start": project_run(shutdown="Terminate"),
}


class Refused(NamedTuple):
    manifest: dict[str, Any]
    field: str
    message: str | None = None
    """What both readers say; None where each has its own words for the schema."""


_CREDENTIALS = "credentials must not stand in the uri; name a Secret in spec.project.authSecretRef"
_FORM = "the uri must be https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH"
_INSIDE = "the subdirectory must be a path inside the project, without '..'"
_VERSION = "the version must be a branch, a tag or a commit: no blanks, and no '-' in front"
_TRACKING = "the tracking uri must be http(s)://HOST or databricks: a pod cannot see the files of another machine"
_SCOPE = "put it into a secret scope of Databricks and name it in newCluster.spark_env_vars as {{secrets/SCOPE/KEY}}"
_DATABRICKS = "spec.backend.databricks"
_TOGETHER = "type Databricks and the field databricks go together"

REFUSED: dict[str, Refused] = {
    # Rules: the same words from both.
    "a name of 53 characters": Refused(project_run(name="n" * 53), "", "the name may have 52 characters at most"),
    "neither uri nor bundle": Refused(project_run(project={}), "spec.project", "give exactly one of uri and bundle"),
    "uri and bundle": Refused(
        of_project(bundle={"configMapName": "wine", "sha256": SHA256}),
        "spec.project",
        "give exactly one of uri and bundle",
    ),
    "a password in the uri": Refused(of_uri("https://ann:secret@git.example.org/a"), "spec.project.uri", _CREDENTIALS),
    "a token in the uri": Refused(of_uri("https://ghp_token@github.com/a/b"), "spec.project.uri", _CREDENTIALS),
    "a token in capitals' scheme": Refused(of_uri("HTTPS://ghp_t@github.com/a/b"), "spec.project.uri", _CREDENTIALS),
    "a password for ssh": Refused(of_uri("ssh://git:secret@host/a"), "spec.project.uri", _CREDENTIALS),
    "a local path": Refused(of_uri("./project"), "spec.project.uri", _FORM),
    "Git's ext transport": Refused(of_uri("ext::sh -c touch% /tmp/x"), "spec.project.uri", _FORM),
    "a host that looks like an option": Refused(of_uri("ssh://-oProxyCommand=x/a"), "spec.project.uri", _FORM),
    "a uri that looks like an option": Refused(of_uri("--upload-pack=x@y:z"), "spec.project.uri", _FORM),
    "blanks in the uri": Refused(of_uri("https://git.example.org/a b"), "spec.project.uri", _FORM),
    "two subdirectories": Refused(
        project_run(project={"uri": f"{URI}#a", "subdirectory": "b"}),
        "spec.project.subdirectory",
        "name the subdirectory once",
    ),
    "a way out of the project": Refused(of_project(subdirectory="a/../../b"), "spec.project.subdirectory", _INSIDE),
    "an absolute subdirectory": Refused(of_project(subdirectory="/etc"), "spec.project.subdirectory", _INSIDE),
    "a version that looks like an option": Refused(of_project(version="--all"), "spec.project.version", _VERSION),
    "a version with blanks": Refused(of_project(version="a b"), "spec.project.version", _VERSION),
    "a version of a bundle": Refused(
        project_run(project={"bundle": {"configMapName": "a", "sha256": SHA256}, "version": "main"}),
        "spec.project",
        "version and authSecretRef belong to a uri, not to a bundle",
    ),
    "a parameter without a value": Refused(
        project_run(parameters=[{"name": "a"}]), "spec.parameters[0]", "give exactly one of value and valueFrom"
    ),
    "a parameter with two sources": Refused(
        project_run(
            parameters=[
                {
                    "name": "a",
                    "valueFrom": {
                        "secretKeyRef": {"name": "s", "key": "k"},
                        "configMapKeyRef": {"name": "c", "key": "k"},
                    },
                }
            ]
        ),
        "spec.parameters[0].valueFrom",
        "give exactly one of secretKeyRef and configMapKeyRef",
    ),
    "a password for tracking": Refused(
        project_run(tracking={"uri": "http://ann:secret@mlflow:5000"}),
        "spec.tracking.uri",
        "credentials must not stand in the uri; name a Secret in spec.tracking.secretRef",
    ),
    "tracking in a file": Refused(project_run(tracking={"uri": "sqlite:///mlflow.db"}), "spec.tracking.uri", _TRACKING),
    "Databricks without its field": Refused(project_run(backend={"type": "Databricks"}), "spec.backend", _TOGETHER),
    "Databricks' field without it": Refused(project_run(backend={"databricks": IDENTITY}), "spec.backend", _TOGETHER),
    "Kubernetes' field on Databricks": Refused(
        project_run(backend={"type": "Databricks", "databricks": IDENTITY, "kubernetes": {}}),
        "spec.backend.kubernetes",
        "the field kubernetes goes with type Kubernetes",
    ),
    "a queue on Databricks": Refused(
        on_databricks(queueName="q"), "spec.queueName", "queues are for the backend Kubernetes"
    ),
    "a priority in a queue on Databricks": Refused(
        on_databricks(queuePriorityClassName="p"), "spec.queueName", "queues are for the backend Kubernetes"
    ),
    "the retention of a Job on Databricks": Refused(
        on_databricks(retention={"jobSecondsAfterSuccess": 0}), "spec.retention", "retention is about Jobs"
    ),
    "an image on Databricks": Refused(
        on_databricks(environment={"image": "base:1"}),
        "spec.environment.image",
        "images are for the backend Kubernetes; leave it out, and choose the runtime in newCluster.spark_version",
    ),
    "the manager Image on Databricks": Refused(
        on_databricks(environment={"manager": "Image"}),
        "spec.environment.manager",
        "images are for the backend Kubernetes; Local is the cluster's own Python",
    ),
    "a cache on Databricks": Refused(
        on_databricks(environment={"cache": {"policy": "Refresh"}}),
        "spec.environment.cache",
        "the cache is for the backend Kubernetes; leave it out",
    ),
    "credentials of channels on Databricks": Refused(
        on_databricks(environment={"secretRef": {"name": "channels"}}),
        "spec.environment.secretRef",
        f"no secret leaves the cluster for Databricks: {_SCOPE}",
    ),
    "credentials for data on Databricks": Refused(
        on_databricks(data={"secretRef": {"name": "aws"}}),
        "spec.data.secretRef",
        f"no secret leaves the cluster for Databricks: {_SCOPE}",
    ),
    "a secret parameter on Databricks": Refused(
        on_databricks(
            parameters=[
                {"name": "alpha", "value": "1"},
                {"name": "token", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
            ]
        ),
        "spec.parameters",
        f"the value of a secretKeyRef would have to leave the cluster for Databricks: {_SCOPE}",
    ),
    "a workspace with a password in its URL": Refused(
        of_databricks(serverless={}, host="https://ann:secret@dbc.example.org"),
        f"{_DATABRICKS}.host",
        "credentials must not stand in the host; name a Secret in spec.backend.databricks.secretRef",
    ),
    "a workspace without a scheme": Refused(
        of_databricks(serverless={}, host="dbc.example.org"),
        f"{_DATABRICKS}.host",
        "the host must be the workspace's URL: https://HOST",
    ),
    "a workspace without credentials": Refused(
        project_run(backend={"type": "Databricks", "databricks": {"host": IDENTITY["host"], "serverless": {}}}),
        f"{_DATABRICKS}.secretRef",
        "name the Secret with the credentials in secretRef, or use auth WorkloadIdentity, which takes none",
    ),
    "a Secret beside an identity": Refused(
        of_databricks(**IDENTITY),
        f"{_DATABRICKS}.secretRef",
        "name the Secret with the credentials in secretRef, or use auth WorkloadIdentity, which takes none",
    ),
    "an identity for no workspace": Refused(
        project_run(
            backend={"type": "Databricks", "databricks": {"auth": "WorkloadIdentity", "serverless": {}}},
        ),
        f"{_DATABRICKS}.host",
        "auth WorkloadIdentity reads no Secret, so it needs the workspace's URL in host",
    ),
    **{
        f"{field} without an identity": Refused(
            of_databricks(serverless={}, auth=auth, **{field: IDENTITY[field]}),
            f"{_DATABRICKS}.{field}",
            f"{field} goes with auth WorkloadIdentity",
        )
        for field, auth in (("serviceAccountName", "Token"), ("clientId", "OAuthM2M"), ("audience", None))
    },
    "who serves a repository that nobody asks there": Refused(
        of_databricks(serverless={}, gitProvider="gitLab"),
        f"{_DATABRICKS}.gitProvider",
        "gitProvider goes with projectSource Git",
    ),
    "a bundle that a workspace shall fetch": Refused(
        on_databricks(
            project={"bundle": {"configMapName": "wine", "sha256": SHA256}},
            backend=of_databricks(serverless={}, projectSource="Git")["spec"]["backend"],
        ),
        f"{_DATABRICKS}.projectSource",
        "projectSource Git needs a Git repository in project.uri; a bundle is uploaded with projectSource Archive",
    ),
    "an environment for what a workspace fetches": Refused(
        on_databricks(
            environment={"manager": "Virtualenv"},
            backend=of_databricks(serverless={}, projectSource="Git")["spec"]["backend"],
        ),
        "spec.environment.manager",
        "with projectSource Git a script runs in the cluster's own Python: use Local, or projectSource Archive",
    ),
    "tags of a cluster that is there": Refused(
        of_databricks(cluster={"existingClusterId": "a"}, tags=[{"name": "team", "value": "a"}]),
        f"{_DATABRICKS}.tags",
        "tags are those of a new cluster: give cluster.newCluster, or leave them out",
    ),
    "two who run it": Refused(
        of_databricks(serverless={}, runAs={"userName": "a@example.org", "servicePrincipalName": "b"}),
        f"{_DATABRICKS}.runAs",
        "give exactly one of userName and servicePrincipalName",
    ),
    "two clusters": Refused(
        of_databricks(cluster={"newCluster": {}, "existingClusterId": "a"}),
        "spec.backend.databricks.cluster",
        "give exactly one of newCluster and existingClusterId",
    ),
    "no compute": Refused(
        of_databricks(host="https://dbc.example.org"),
        "spec.backend.databricks",
        "give exactly one of cluster and serverless",
    ),
    "a volume over mlp's own": Refused(
        of_kubernetes(volumeMounts=[{"name": "v", "mountPath": "/mlp/run"}]),
        "spec.backend.kubernetes.volumeMounts[0].mountPath",
        "everything below /mlp belongs to mlp; mount the volume elsewhere",
    ),
    "a variable with two values": Refused(
        of_kubernetes(env=[{"name": "A", "value": "1", "valueFrom": {}}]),
        "spec.backend.kubernetes.env[0]",
        "an environment variable has either value or valueFrom, not both",
    ),
    # The schema: each in its own words.
    "a number as a parameter": Refused(
        project_run(parameters=[{"name": "a", "value": 0.5}]), "spec.parameters[0].value"
    ),
    "a parameter twice": Refused(
        project_run(parameters=[{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]), "spec.parameters"
    ),
    "= in a parameter's name": Refused(
        project_run(parameters=[{"name": "a=b", "value": "1"}]), "spec.parameters[0].name"
    ),
    "too many parameters": Refused(
        project_run(parameters=[{"name": f"p{n}", "value": ""} for n in range(257)]), "spec.parameters"
    ),
    "an unknown manager": Refused(project_run(environment={"manager": "conda"}), "spec.environment.manager"),
    "an unknown backend": Refused(project_run(backend={"type": "Local"}), "spec.backend.type"),
    "a negative limit": Refused(project_run(backoffLimit=-1), "spec.backoffLimit"),
    "a limit in quotes": Refused(project_run(backoffLimit="1"), "spec.backoffLimit"),
    "a word for a flag": Refused(project_run(suspend="yes"), "spec.suspend"),
    "a fraction of a quantity": Refused(
        of_kubernetes(resources={"limits": {"cpu": 0.5}}), "spec.backend.kubernetes.resources.limits.cpu"
    ),
    "a quantity with a wrong unit": Refused(
        of_kubernetes(resources={"limits": {"memory": "1GiB"}}), "spec.backend.kubernetes.resources.limits.memory"
    ),
    "a short digest": Refused(
        project_run(project={"bundle": {"configMapName": "a", "sha256": "abc"}}), "spec.project.bundle.sha256"
    ),
    "a Secret without a name": Refused(of_project(authSecretRef={}), "spec.project.authSecretRef.name"),
    "an empty entry point": Refused(of_project(entryPoint=""), "spec.project.entryPoint"),
    "a directory that is none of Databricks": Refused(
        of_databricks(serverless={}, uploadTo="/tmp/mlp"), f"{_DATABRICKS}.uploadTo"
    ),
    "a volume that is not whole": Refused(
        of_databricks(serverless={}, uploadTo="/Volumes/main/default"), f"{_DATABRICKS}.uploadTo"
    ),
    "a tag twice": Refused(
        of_databricks(
            cluster={"newCluster": {}}, tags=[{"name": "team", "value": "a"}, {"name": "team", "value": "b"}]
        ),
        f"{_DATABRICKS}.tags",
    ),
    "an unknown way to log in": Refused(of_databricks(serverless={}, auth="Password"), f"{_DATABRICKS}.auth"),
    "an unknown field": Refused(of_project(entrypoint="main"), "spec.project.entrypoint"),
}
