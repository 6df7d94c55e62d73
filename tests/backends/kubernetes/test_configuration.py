"""What backend_config says to the backend kubernetes, MLflow's keys among it."""

from __future__ import annotations

import logging
import re

import pytest
import yaml

from mlp.backends.kubernetes.configuration import KEYS, merged, read_configuration
from mlp.errors import UsageError
from mlp.resources import ProjectRun
from tests.resources.manifests import project_run
from tests.test_docs import ROOT, table

JOB = """
apiVersion: batch/v1
kind: Job
metadata:
  name: "{replaced with MLflow Project name}"
  namespace: mlflow
spec:
  ttlSecondsAfterFinished: 100
  backoffLimit: 0
  template:
    spec:
      containers:
      - name: "{replaced with MLflow Project name}"
        image: "{replaced with URI of Docker image created during Project execution}"
        command: ["{replaced with MLflow Project entry point command}"]
        env: ["{appended with MLFLOW_TRACKING_URI, MLFLOW_RUN_ID and MLFLOW_EXPERIMENT_ID}"]
        resources:
          limits: {memory: 512Mi}
          requests: {memory: 256Mi}
      restartPolicy: Never
"""
"""The template of MLflow's documentation."""


def kubernetes(**fields):
    return {"backend": {"kubernetes": fields}}


@pytest.mark.parametrize(
    ("given", "spec"),
    [
        ({}, {}),
        ({"auth_secret": "git"}, {"project": {"authSecretRef": {"name": "git"}}}),
        ({"data_secret": "aws"}, {"data": {"secretRef": {"name": "aws"}}}),
        ({"tracking_secret": "m"}, {"tracking": {"secretRef": {"name": "m"}}}),
        ({"tracking_uri": "http://mlflow:5000"}, {"tracking": {"uri": "http://mlflow:5000"}}),
        ({"environment_secret": "index"}, {"environment": {"secretRef": {"name": "index"}}}),
        ({"cache_claim": "envs"}, {"environment": {"cache": {"volumeClaimName": "envs"}}}),
        ({"image": "wine:3"}, {"environment": {"manager": "Image", "image": "wine:3"}}),
        (
            {"image": "wine:3", "spec": {"environment": {"manager": "Conda"}}},
            {"environment": {"manager": "Conda", "image": "wine:3"}},
        ),
        ({"queue": "team-a"}, {"queueName": "team-a"}),
        ({"priority": "prod"}, {"queuePriorityClassName": "prod"}),
        ({"service_account": "driver"}, kubernetes(serviceAccountName="driver")),
        ({"cpu": 2}, kubernetes(resources={"requests": {"cpu": "2"}})),
        ({"memory": "4Gi"}, kubernetes(resources={"requests": {"memory": "4Gi"}, "limits": {"memory": "4Gi"}})),
        (
            {"cpu": "500m", "resources": {"limits": {"nvidia.com/gpu": 1}}},
            kubernetes(resources={"limits": {"nvidia.com/gpu": 1}, "requests": {"cpu": "500m"}}),
        ),
        ({"spec": {"backoffLimit": 2}, "queue": "q"}, {"backoffLimit": 2, "queueName": "q"}),
        ({"spec": {"queueName": "a"}, "queue": "b"}, {"queueName": "b"}),
        ({"spec": {"project": {"lfs": True}}}, {"project": {"lfs": True}}),
    ],
)
def test_a_short_key_stands_for_a_field_and_goes_before_the_spec(given, spec):
    found = read_configuration(given)

    assert found.spec == spec
    ProjectRun.parse({**project_run(), "spec": merged(project_run()["spec"], found.spec)})


def test_the_place_is_told_from_the_run():
    found = read_configuration({"kube-context": "east", "kubeconfig": "/k", "namespace": "team-a", "name": "wine-1"})

    assert (found.context, found.kubeconfig, found.namespace, found.name) == ("east", "/k", "team-a", "wine-1")
    assert found.spec == {}


def test_what_is_null_was_not_given():
    assert read_configuration({"namespace": None, "image": None, "kube-job-template-path": None}).spec == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"namespce": "a"}, "has no 'namespce'. Did you mean 'namespace'?"),
        ({"serviceAccount": "a"}, "Did you mean 'service_account'?"),
        ({"zzz": 1}, "has no 'zzz'. It may have: auth_secret, cache_claim, "),
        ({"kube-context": "a", "context": "b"}, "'kube-context' and 'context' name two contexts"),
        ({"namespace": ["a"]}, "'namespace' in the backend's configuration must be a text, and is \"['a']\""),
        ({"image": True}, "'image' in the backend's configuration must be a text"),
        ({"spec": "a"}, "'spec' in the backend's configuration must be an object, and is 'a'"),
        ({"resources": "4Gi"}, "'resources' in the backend's configuration must be an object"),
        ({"spec": {"project": {"uri": "x"}}}, "spec.project.uri in the backend's configuration is for the call itself"),
        ({"kube-job-template-path": "nowhere.yaml"}, "Could not find 'kube-job-template-path': nowhere.yaml"),
    ],
)
def test_what_cannot_be_is_named_with_the_way_out(given, said):
    with pytest.raises(UsageError) as caught:
        read_configuration(given)

    assert said in str(caught.value)


def test_a_repository_for_images_is_passed_over_with_a_word(caplog):
    with caplog.at_level(logging.INFO, logger="mlp"):
        assert read_configuration({"repository-uri": "registry.example.com/x"}).spec == {}

    assert "mlp builds and pushes no image" in caplog.text


def template(tmp_path, text):
    path = tmp_path / "job.yaml"
    path.write_text(text)
    return {"kube-job-template-path": str(path), "repository-uri": "registry.example.com/wine"}


def test_the_template_of_mlflows_documentation_is_an_overlay_of_the_pod(tmp_path):
    found = read_configuration(template(tmp_path, JOB))

    assert found.namespace == "mlflow"
    assert found.spec == {
        "backoffLimit": 0,
        "retention": {"jobSecondsAfterSuccess": 100, "jobSecondsAfterFailure": 100},
        **kubernetes(
            podTemplate={
                "spec": {
                    "containers": [
                        {"name": "main", "resources": {"limits": {"memory": "512Mi"}, "requests": {"memory": "256Mi"}}}
                    ]
                }
            }
        ),
    }
    ProjectRun.parse({**project_run(), "spec": {**project_run()["spec"], **found.spec}})


def test_the_configurations_own_words_go_before_the_templates(tmp_path):
    found = read_configuration({**template(tmp_path, JOB), "namespace": "team-a", "spec": {"backoffLimit": 4}})

    assert found.namespace == "team-a"
    assert found.spec["backoffLimit"] == 4


def job(metadata=None, template=None, **spec):
    pod = {"metadata": {}, **(template or {})}
    return yaml.safe_dump({"kind": "Job", "metadata": metadata or {}, "spec": {"template": pod, **spec}})


def of_pod(**fields):
    return {"spec": fields}


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        (job(), {}),
        (
            job({"labels": {"team": "a"}, "annotations": {"b": "c"}}),
            kubernetes(labels={"team": "a"}, annotations={"b": "c"}),
        ),
        (job({"labels": {"kueue.x-k8s.io/queue-name": "q"}}, suspend=True), {"queueName": "q"}),
        (job({"labels": {"kueue.x-k8s.io/priority-class": "p"}}), {"queuePriorityClassName": "p"}),
        (job(suspend=True, activeDeadlineSeconds=60), {"suspend": True, "activeDeadlineSeconds": 60}),
        (job(completions=1, parallelism=1, completionMode="NonIndexed"), {}),
        (job(template=of_pod(restartPolicy="Never", containers=[{"name": "a", "image": "b", "command": ["c"]}])), {}),
        (
            job(template=of_pod(nodeSelector={"disk": "ssd"}, containers=[{"tty": True}, {"name": "sidecar"}])),
            kubernetes(
                podTemplate={
                    "spec": {
                        "nodeSelector": {"disk": "ssd"},
                        "containers": [{"name": "main", "tty": True}, {"name": "sidecar"}],
                    }
                }
            ),
        ),
        (
            job(template=of_pod(containers=[{"env": [{"name": "A", "value": "b"}, "{appended}"]}])),
            kubernetes(podTemplate={"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "b"}]}]}}),
        ),
    ],
)
def test_each_field_of_a_job_becomes_that_of_a_projectrun(tmp_path, text, spec):
    assert read_configuration(template(tmp_path, text)).spec == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (":", "is not YAML"),
        ("- a", "holds no object"),
        ("kind: CronJob", "The Job template is a CronJob, and must be a Job."),
        ("spec: 3", "The Job template's spec must be an object, and is '3'"),
        (job(parallelism=3), "spec.parallelism can only be 1: a run is one pod"),
        (job(podFailurePolicy={}), "has spec.podFailurePolicy, which mlp's operator decides itself"),
        (job({"finalizers": ["a"]}), "has metadata.finalizers, which"),
        (job(template=of_pod(restartPolicy="OnFailure")), "restartPolicy is OnFailure, and must be Never"),
        (job(template=of_pod(containers=[{"args": ["a"]}])), "first container has args"),
        (job(template=of_pod(containers="a")), "containers must be a list of containers"),
    ],
)
def test_what_a_runs_job_cannot_have_is_refused_by_name(tmp_path, text, said):
    given = template(tmp_path, text)

    with pytest.raises(UsageError) as caught:
        read_configuration(given)

    assert said in str(caught.value)
    assert given["kube-job-template-path"] in str(caught.value)


def test_parameters_and_tags_are_merged_by_their_names():
    secret = {"name": "token", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}
    base = {
        "parameters": [secret, {"name": "alpha", "value": "1"}],
        "experiment": {"tags": [{"name": "a", "value": "1"}]},
    }
    over = {"parameters": [{"name": "alpha", "value": "2"}], "experiment": {"tags": [{"name": "b", "value": "2"}]}}

    assert merged(base, over) == {
        "parameters": [secret, {"name": "alpha", "value": "2"}],
        "experiment": {"tags": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]},
    }


def test_the_documentation_has_every_key():
    rows = table(ROOT / "docs/run.md", "Key", "Meaning")

    assert sorted(key for row in rows for key in re.findall(r"`([^`]+)`", row[0])) == sorted(KEYS)
