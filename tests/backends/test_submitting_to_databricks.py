"""What is asked of Databricks on a command line becomes fields of a ProjectRun, and is checked before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from mlp.backends.sending import Luggage
from mlp.backends.submission import Request, project_run, with_request
from mlp.errors import ProjectInvalid, UsageError
from tests.cli.program import project
from tests.resources.manifests import DATABRICKS, URI, of_databricks
from tests.resources.manifests import project_run as manifest_of

if TYPE_CHECKING:
    from pathlib import Path

NEW = {"spark_version": "16.4.x-scala2.12", "num_workers": 1}
HOST = "https://dbc.example.org"
LIBRARY = {"pypi": {"package": "polars"}}


def backend(run) -> dict:
    assert run["spec"]["backend"]["type"] == "Databricks"
    return run["spec"]["backend"]["databricks"]


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        (NEW, {"cluster": {"newCluster": NEW}}),
        (
            {"new_cluster": NEW, "libraries": [LIBRARY]},
            {"cluster": {"newCluster": NEW}, "libraries": [LIBRARY]},
        ),
        ({"existing_cluster_id": "1-2-abc"}, {"cluster": {"existingClusterId": "1-2-abc"}}),
        ({"serverless": True}, {"serverless": {}}),
        ({"serverless": {"environment_version": 4}}, {"serverless": {"environmentVersion": "4"}}),
    ],
)
def test_a_cluster_spec_of_mlflow_becomes_the_cluster(spec, fields):
    run = project_run(Request(uri=URI, databricks_secret="dbc", cluster_spec=spec))

    assert backend(run) == {"secretRef": {"name": "dbc"}, **fields}


def test_without_a_secret_it_is_submitted_as_a_service_account():
    asked = Request(uri=URI, databricks_host=HOST, cluster_spec={"serverless": True}, service_account="trainer")

    assert backend(project_run(asked)) == {
        "host": HOST,
        "auth": "WorkloadIdentity",
        "serviceAccountName": "trainer",
        "serverless": {},
    }


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"databricks_secret": "dbc"}, "give exactly one of cluster and serverless"),
        ({"cluster_spec": {"serverless": True}}, "so it needs the workspace's URL in host"),
        ({"cluster_spec": {}, "databricks_secret": "dbc"}, "is empty"),
        ({"cluster_spec": {"servrless": True}, "databricks_secret": "dbc"}, "Did you mean 'serverless'?"),
        (
            {"cluster_spec": {**NEW, "upload_to": "/Volumes/a/b/c", "tags": {"a": "b"}}, "databricks_secret": "dbc"},
            "says that: spec.backend.databricks.uploadTo, spec.backend.databricks.tags.",
        ),
        (
            {"cluster_spec": {"serverless": True}, "databricks_secret": "dbc", "service_account": "a"},
            "serviceAccountName goes with auth WorkloadIdentity",
        ),
        (
            {"cluster_spec": NEW, "databricks_secret": "dbc", "cpu": "2", "memory": "1Gi", "queue": "q"},
            "--cpu, --memory, --queue are for runs in pods",
        ),
        ({"cluster_spec": NEW, "databricks_secret": "dbc", "image": "a:1"}, "--image is for runs in pods"),
        ({"cluster_spec": NEW, "databricks_secret": "dbc", "data_secret": "aws"}, "--data-secret is for runs in pods"),
        (
            {"cluster_spec": NEW, "databricks_secret": "dbc", "pod": {"volumes": []}},
            "-P NAME=@FILE is for runs in pods",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(asked, said):
    with pytest.raises(UsageError) as caught:
        project_run(Request(uri=URI, **asked))

    assert said in str(caught.value)


def test_another_cluster_replaces_that_of_a_file_and_leaves_the_rest():
    file = of_databricks(host=HOST, cluster={"newCluster": NEW}, libraries=[LIBRARY], timeoutSeconds=60)

    run = with_request(file, Request(cluster_spec={"existing_cluster_id": "a"}))

    secret = {"secretRef": {"name": "databricks"}}
    assert backend(run) == {**secret, "host": HOST, "timeoutSeconds": 60, "cluster": {"existingClusterId": "a"}}
    with pytest.raises(UsageError, match="tags are those of a new cluster"):
        with_request(manifest_of(**DATABRICKS), Request(cluster_spec={"serverless": True}))


def test_a_file_for_databricks_takes_options_that_mean_something_there_alone():
    file = of_databricks(serverless={})

    run = with_request(file, Request(uri=URI, databricks_secret="other", backoff_limit=2))

    assert backend(run) == {"secretRef": {"name": "other"}, "serverless": {}}
    assert run["spec"]["backoffLimit"] == 2
    with pytest.raises(UsageError, match=r"--cpu is for runs in pods, and this one is for Databricks"):
        with_request(file, Request(cpu="2"))


# a directory, before it is sent


@pytest.fixture
def wine(tmp_path) -> Path:
    parameters = {"data": {"type": "path", "default": "data.csv"}}
    directory = project(tmp_path / "wine", "python train.py {data}", parameters=parameters)
    (directory / "train.py").touch()
    (directory / "data.csv").touch()
    return directory


def sent(directory: Path, **asked):
    request = Request(uri=str(directory), databricks_secret="dbc", cluster_spec=NEW, **asked)
    return Luggage(request).new().run


def test_a_directory_is_packed_for_databricks_as_for_a_pod(wine):
    run = sent(wine, parameters={"data": "dbfs:/Volumes/main/default/wine/data.csv"})

    assert set(run["spec"]["project"]) == {"bundle"}
    assert backend(run)["cluster"] == {"newCluster": NEW}
    assert backend(sent(wine, parameters={"data": "/Volumes/main/default/wine/data.csv"}))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("/home/ann/data.csv", "which is a path of somebody's machine"),
        ("~/data.csv", "which is a path of somebody's machine"),
        (__file__, "which is a path of this machine"),
        ("missing.csv", "which is not among what is sent"),
    ],
)
def test_a_path_that_no_cluster_knows_is_told_with_the_way_out(wine, value, said):
    with pytest.raises(ProjectInvalid) as caught:
        sent(wine, parameters={"data": value})

    assert said in str(caught.value)
    assert "/Volumes/…, /Workspace/…" in str(caught.value)


def test_a_container_is_none_for_databricks(wine):
    text = yaml.safe_load((wine / "MLproject").read_text())
    (wine / "MLproject").write_text(yaml.safe_dump({**text, "docker_env": {"image": "a:1"}}))

    with pytest.raises(ProjectInvalid, match=r"is not yet supported\. .* spec\.environment\.manager Local"):
        sent(wine)


def test_a_spark_job_is_run_by_its_file_and_has_to_have_it(tmp_path):
    directory = project(tmp_path / "spark")
    (directory / "MLproject").write_text("databricks_spark_job: {python_file: job.py, parameters: [a]}\n")
    with pytest.raises(
        ProjectInvalid, match=r"would execute the Python file job\.py, and the project has no such file"
    ):
        sent(directory)

    (directory / "job.py").touch()
    luggage = Luggage(Request(uri=str(directory), databricks_secret="dbc", cluster_spec=NEW, parameters={"alpha": "1"}))
    luggage.new()
    assert any("The entry point and the parameters do not count" in line for line in luggage.said())


def test_a_spark_job_has_python_commands_alone(tmp_path):
    directory = project(tmp_path / "spark")
    (directory / "MLproject").write_text("databricks_spark_job: {}\nentry_points: {main: {command: bash run.sh}}\n")

    with pytest.raises(ProjectInvalid, match="Databricks spark job only supports 'python' command"):
        sent(directory)
