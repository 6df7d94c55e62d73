"""A cluster spec is read as MLflow's users write it, and what makes no sense is refused by name."""

import pytest

from mlp.backends.databricks.compute import compute_of, dependencies, read_compute, with_python_libraries
from mlp.backends.databricks.task import Compute
from mlp.errors import UsageError
from mlp.resources.databricks import DatabricksBackend

CLUSTER = {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
POLARS = {"pypi": {"package": "polars"}}


@pytest.mark.parametrize(
    "spec",
    [
        CLUSTER,
        {"new_cluster": CLUSTER},
        {"cluster_spec": {"new_cluster": CLUSTER}},
        {"cluster_spec": CLUSTER},
        {"new_cluster": CLUSTER, "existing_cluster_id": None, "serverless": False},
    ],
)
def test_a_new_cluster_may_be_flat_or_named_or_within_cluster_spec(spec):
    assert read_compute(spec) == Compute(new_cluster=CLUSTER)


@pytest.mark.parametrize(
    "spec",
    [
        {**CLUSTER, "libraries": [POLARS]},
        {"new_cluster": CLUSTER, "libraries": [POLARS]},
        {"cluster_spec": {"new_cluster": CLUSTER, "libraries": [POLARS]}},
        {"cluster_spec": {"new_cluster": CLUSTER}, "libraries": [POLARS]},
    ],
)
def test_libraries_stand_beside_the_clusters_fields(spec):
    assert read_compute(spec) == Compute(new_cluster=CLUSTER, libraries=(POLARS,))


@pytest.mark.parametrize("field", [{"policy_id": "p"}, {"instance_pool_id": "i"}, {"spark_version": "17"}])
def test_a_new_cluster_may_have_fields_that_nobody_here_knows(field):
    assert read_compute({**field, "of_tomorrow": True}).new_cluster == {**field, "of_tomorrow": True}


def test_what_mlflow_adds_for_itself_never_reaches_the_cluster():
    own = {
        "ENV_MANAGER": "conda",
        "SYNCHRONOUS": True,
        "DOCKER_ARGS": {},
        "STORAGE_DIR": None,
        "build_image": False,
        "docker_auth": None,
    }
    assert read_compute({**CLUSTER, **own}).new_cluster == CLUSTER
    assert read_compute({"new_cluster": {**CLUSTER, **own}, **own}).new_cluster == CLUSTER


def test_an_existing_cluster_and_serverless_compute_stand_in_place_of_a_new_cluster():
    assert read_compute({"existing_cluster_id": "0923-1-a", "libraries": [POLARS]}) == Compute(
        existing_cluster_id="0923-1-a", libraries=(POLARS,)
    )
    assert read_compute({"serverless": True}) == Compute(serverless=True)
    assert read_compute({"serverless": {"environment_version": 3}}) == Compute(serverless=True, environment_version="3")


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({}, "empty"),
        ({"serverless": False}, "serverless: false"),
        ({"new_cluster": CLUSTER, "existing_cluster_id": "a"}, "new_cluster and existing_cluster_id"),
        ({"new_cluster": CLUSTER, "num_workers": 2}, "'num_workers' beside new_cluster"),
        ({"new_cluster": {}}, "new_cluster is empty"),
        ({"new_cluster": "small"}, "new_cluster must be a mapping"),
        ({"new_cluster": {**CLUSTER, "libraries": []}}, "beside new_cluster"),
        ({"cluster_spec": "c.json"}, "cluster_spec must be a mapping"),
        ({"cluster_spec": {"new_cluster": CLUSTER}, "new_cluster": CLUSTER}, "'new_cluster' beside cluster_spec"),
        ({"existing_cluster_id": " "}, "existing_cluster_id must be"),
        ({"servrless": True}, "no 'servrless'. Did you mean 'serverless'"),
        ({"existing_cluster": "a"}, "no 'existing_cluster'. Did you mean 'existing_cluster_id'"),
        ({"cluster_spec": {"newCluster": CLUSTER}}, "Did you mean 'new_cluster'"),
        ({**CLUSTER, "librarys": [POLARS]}, "Did you mean 'libraries'"),
        ({"new_cluster": CLUSTER, "librarys": [POLARS]}, "'librarys' beside new_cluster.*Did you mean 'libraries'"),
        ({"where": "anywhere", "cloud": 1}, "'where', 'cloud', which makes no new cluster"),
        ({"serverless": "yes"}, "serverless must be"),
        ({"serverless": {"version": "4"}}, "no field 'version'"),
        ({"serverless": {"environment_version": True}}, "environment_version must be"),
        ({"new_cluster": CLUSTER, "libraries": POLARS}, "libraries must be a list"),
        ({"new_cluster": CLUSTER, "libraries": ["polars"]}, "'polars'"),
        ({"serverless": True, "libraries": [{"jar": "dbfs:/a.jar"}]}, "a.jar"),
        ({"serverless": True, "libraries": [{"pypi": {"package": "a", "repo": "https://i"}}]}, "index"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_by_name(spec, named):
    with pytest.raises(UsageError, match=named):
        read_compute(spec)


def test_serverless_compute_gets_its_libraries_as_lines_for_pip():
    libraries = [POLARS, {"whl": "/Volumes/a/b/c/x.whl"}, {"requirements": "/Workspace/r.txt"}]
    assert dependencies(libraries) == ("polars", "/Volumes/a/b/c/x.whl", "-r /Workspace/r.txt")


def test_a_projects_python_libraries_are_added_once():
    compute = with_python_libraries(Compute(new_cluster=CLUSTER, libraries=(POLARS,)), ["polars", "pyarrow>=1"])
    assert compute.libraries == (POLARS, {"pypi": {"package": "pyarrow>=1"}})


def test_a_project_run_says_the_same_in_its_own_fields():
    workspace = {"auth": "WorkloadIdentity", "host": "https://workspace.example"}

    def backend(**fields):
        return compute_of(DatabricksBackend.model_validate({**workspace, **fields}))

    assert backend(cluster={"newCluster": CLUSTER}, libraries=[POLARS]) == Compute(
        new_cluster=CLUSTER, libraries=(POLARS,)
    )
    assert backend(cluster={"existingClusterId": "a"}) == Compute(existing_cluster_id="a")
    assert backend(serverless={}) == Compute(serverless=True)
    assert backend(serverless={"environmentVersion": "3"}) == Compute(serverless=True, environment_version="3")
    with pytest.raises(UsageError, match=r"a\.jar"):
        backend(serverless={}, libraries=[{"jar": "dbfs:/a.jar"}])
