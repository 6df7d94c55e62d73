"""Running once more what has ended. The test plays the operator."""

from __future__ import annotations

import base64
import json

import pytest

from mlp.backends.kubernetes import Cluster, KubernetesRun
from mlp.backends.kubernetes.retrying import repetition
from mlp.errors import ClusterError, UsageError
from tests.resources.manifests import SHA256, project_run

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ENDED = {"type": "Succeeded", "status": "False", "reason": "OOMKilled", "lastTransitionTime": "2026-01-02T12:00:00Z"}


def ended(name: str = "wine", *, labels: dict[str, str] | None = None, **spec) -> dict:
    run = project_run(name=name, **spec)
    run["metadata"] |= {"labels": labels or {}, "annotations": {"a": "b"}, "uid": "1", "namespace": "team"}
    return run | {"status": {"conditions": [ENDED], "source": {"commit": COMMIT}, "phase": "Failed"}}


@pytest.fixture
def cluster_of_user(runs):
    with Cluster.connect(kubeconfig=str(runs.cluster.kubeconfig), namespace=runs.namespace) as connection:
        yield connection


def test_a_repetition_has_the_same_spec_and_the_same_commit_and_nothing_of_the_execution():
    old = ended(parameters=[{"name": "alpha", "value": "0.5"}], shutdown="Stop", suspend=True, backoffLimit=2)

    new = repetition(old, name="again")

    assert new["spec"]["project"] == {**old["spec"]["project"], "version": COMMIT}
    rest = {key: value for key, value in old["spec"].items() if key not in {"project", "shutdown", "suspend"}}
    assert {key: value for key, value in new["spec"].items() if key != "project"} == rest
    assert new["metadata"] == {"name": "again", "namespace": "team", "labels": {"mlp.dev/retry-of": "wine"}}
    assert "status" not in new
    assert old["spec"]["shutdown"] == "Stop"


def test_the_latest_version_is_what_was_written():
    old = ended()
    assert repetition(old, latest=True)["spec"]["project"] == old["spec"]["project"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("wine", "wine"),
        ("wine-main-x7k2p", "wine-main"),
        ("wine-alpha-05", "wine-alpha-05"),
        ("two-steps-50000", "two-steps-50000"),
        ("w" * 52, "w" * 46),
    ],
)
def test_a_repetition_is_named_after_the_first_run(name, stem):
    made = repetition(ended(name))["metadata"]["name"]

    assert made[:-6] == stem
    assert made[-6] == "-"
    assert made != name


def test_labels_by_which_tools_know_what_is_theirs_stay_behind():
    labels = {
        "team": "a",
        "app.kubernetes.io/instance": "argo",
        "app.kubernetes.io/name": "wine",
        "kustomize.toolkit.fluxcd.io/name": "flux",
    }

    kept = repetition(ended(labels=labels))["metadata"]["labels"]

    assert kept == {"team": "a", "app.kubernetes.io/name": "wine", "mlp.dev/retry-of": "wine"}


def test_a_run_that_goes_on_is_not_repeated():
    going_on = ended()
    going_on["status"] = {}
    with pytest.raises(UsageError, match=r"'wine' has not ended\. Cancel it first"):
        repetition(going_on)


def test_what_a_run_brought_along_is_copied_and_what_is_of_others_is_not(runs, cluster_of_user):
    def config_map(name: str, owner: str | None = None, **content) -> None:
        metadata = {"name": name}
        if owner:
            reference = {"apiVersion": "mlp.dev/v1alpha1", "kind": "ProjectRun", "name": "wine", "uid": owner}
            metadata["ownerReferences"] = [reference]
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}
        runs.kubectl("create", "-f", "-", stdin=json.dumps(body))

    volumes = [{"name": name, "configMap": {"name": name}} for name in ("files-x-bcdfg", "shared")]
    runs.create(
        "wine",
        project={"bundle": {"configMapName": "project-x-bcdfg", "sha256": SHA256}},
        backend={"kubernetes": {"volumes": volumes}},
    )
    uid = runs.read("wine")["metadata"]["uid"]
    archive = base64.b64encode(b"archive").decode()
    config_map("project-x-bcdfg", uid, binaryData={"project.tar.gz": archive})
    config_map("files-x-bcdfg", uid, data={"table": "1,2"})
    config_map("shared", data={"a": "b"})
    runs.report("wine", phase="Failed", succeeded="False", reason="OOMKilled")

    again = KubernetesRun(cluster_of_user, "wine").retry()

    created = runs.read(again.name)
    spec = created["spec"]
    project = spec["project"]["bundle"]["configMapName"]
    files, shared = (each["configMap"]["name"] for each in spec["backend"]["kubernetes"]["volumes"])
    assert project != "project-x-bcdfg"
    assert shared == "shared"
    for name, content in ((project, {"binaryData": {"project.tar.gz": archive}}), (files, {"data": {"table": "1,2"}})):
        copy = json.loads(runs.kubectl("get", "configmap", name, "-o", "json"))
        assert copy | content == copy
        assert [owner["uid"] for owner in copy["metadata"]["ownerReferences"]] == [created["metadata"]["uid"]]


def test_a_project_that_is_gone_is_told_before_anything_is_created(runs, cluster_of_user):
    runs.create("wine", project={"bundle": {"configMapName": "gone", "sha256": SHA256}})
    runs.report("wine", phase="Failed", succeeded="False", reason="OOMKilled")

    with pytest.raises(ClusterError, match="The ConfigMap 'gone' is gone, which held the project of 'wine'"):
        KubernetesRun(cluster_of_user, "wine").retry()

    assert runs.names() == ["wine"]
