"""What the configuration of the backend databricks may say: MLflow's cluster specs, our keys beside them, mistakes."""

from __future__ import annotations

import pytest

from mlp.backends.databricks.configuration import read_configuration
from mlp.errors import UsageError

CLUSTER = {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}


@pytest.mark.parametrize(
    "given",
    [CLUSTER, {"new_cluster": CLUSTER}, {"cluster_spec": {"new_cluster": CLUSTER}}, {"cluster_spec": CLUSTER}],
)
def test_a_new_cluster_is_said_in_each_of_mlflow_s_ways(given):
    assert read_configuration(given).compute.new_cluster == CLUSTER


def test_our_keys_stand_beside_a_cluster_s_own_fields_and_do_not_reach_it():
    settings = read_configuration(
        {
            **CLUSTER,
            "host": "example.cloud.databricks.com/",
            "profile": "work",
            "libraries": [{"pypi": {"package": "polars"}}],
            "timeout_seconds": 60,
            "run_as": {"user_name": "ann@example.com"},
            "tags": {"team": "wine", "year": 2026},
            "project_source": "git",
            "git_provider": "gitlab",
            "upload_to": "/Volumes/main/default/mlp/",
            "tracking_uri": "https://mlflow.example.com",
            "status_check_timeout": 30,
            "poll_interval": 2.5,
        }
    )

    assert settings.compute.new_cluster == CLUSTER
    assert settings.compute.libraries == ({"pypi": {"package": "polars"}},)
    assert settings.host == "https://example.cloud.databricks.com"
    assert settings.profile == "work"
    assert settings.timeout_seconds == 60
    assert settings.run_as == {"user_name": "ann@example.com"}
    assert settings.tags == {"team": "wine", "year": "2026"}
    assert settings.project_source == "git"
    assert settings.git_provider == "gitLab"
    assert settings.upload_to == "/Volumes/main/default/mlp"
    assert settings.tracking_uri == "https://mlflow.example.com"
    assert (settings.status_check_timeout, settings.poll_interval) == (30.0, 2.5)


def test_an_existing_cluster_and_serverless_compute_are_taken_too():
    assert read_configuration({"existing_cluster_id": "0923-1"}).compute.existing_cluster_id == "0923-1"
    assert read_configuration({"serverless": True}).compute.serverless


def test_without_a_word_the_project_is_uploaded_and_waited_for_half_an_hour_of_silence():
    settings = read_configuration({"serverless": True})

    assert (settings.project_source, settings.status_check_timeout) == ("archive", 1800.0)


@pytest.mark.parametrize("given", [{}, {"new_cluster": None}])
def test_none_at_all_is_told_in_mlflow_s_words(given):
    with pytest.raises(UsageError) as told:
        read_configuration(given)

    said = str(told.value)
    assert said.startswith("Backend spec must be provided when launching MLflow project runs on Databricks. Give one")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"host": "https://x"}, "does not say what to run on"),
        ({"new_cluster": CLUSTER, "timout_seconds": 3}, "has no 'timout_seconds'. Did you mean 'timeout_seconds'?"),
        ({**CLUSTER, "upload": "/Volumes/a/b/c"}, "has no 'upload'. Did you mean 'upload_to'?"),
        ({"serverless": True, "namespace": "a"}, "has no 'namespace'. It may have: cluster_spec, existing_cluster_id"),
        ({"serverless": True, "tags": {"a": "b"}}, "'tags' are those of a new cluster"),
        ({"serverless": True, "timeout_seconds": True}, "'timeout_seconds' in the backend's configuration must be"),
        ({"serverless": True, "timeout_seconds": 0}, "must be whole seconds"),
        ({"serverless": True, "timeout_seconds": 1.5}, "must be whole seconds"),
        ({"serverless": True, "status_check_timeout": -1}, "'status_check_timeout' in the backend's configuration"),
        ({"serverless": True, "poll_interval": 3600}, "must be seconds, up to 600"),
        ({"serverless": True, "upload_to": "/tmp"}, "must be a directory: /Volumes/CATALOG/SCHEMA/VOLUME/…"),
        ({"serverless": True, "upload_to": "/Volumes/a/b/c/../../d"}, "must be a directory"),
        ({"serverless": True, "project_source": "svn"}, "must be 'archive' (the project is uploaded) or 'git'"),
        ({"serverless": True, "project_source": "git", "git_provider": "hub"}, "must be one of awsCodeCommit, "),
        ({"serverless": True, "git_provider": "gitHub"}, "'git_provider' goes with \"project_source\": \"git\""),
        ({"serverless": True, "run_as": "ann"}, '{"user_name": "…"}'),
        ({"serverless": True, "run_as": {"user_name": "a", "service_principal_name": "b"}}, '{"user_name": "…"}'),
        ({"serverless": True, "tracking_uri": "./mlruns"}, "must be 'databricks' or the URL of a server"),
        ({"serverless": True, "host": 3}, "'host' in the backend's configuration must be a text, and is 3."),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_the_way_out(given, message):
    with pytest.raises(UsageError) as told:
        read_configuration(given)

    assert message in str(told.value)


def test_credentials_in_the_host_are_refused_without_being_shown():
    with pytest.raises(UsageError, match="'host' in the backend's configuration has credentials") as told:
        read_configuration({"serverless": True, "host": "https://ann:dapi123@example.com"})

    assert "dapi123" not in str(told.value)


def test_credentials_in_the_tracking_server_s_address_are_refused_without_being_shown():
    with pytest.raises(UsageError, match="'tracking_uri' in the backend's configuration has credentials") as told:
        read_configuration({"serverless": True, "tracking_uri": "https://ann:s3cr3t@mlflow.example.com"})

    assert "s3cr3t" not in str(told.value)


def test_a_field_that_only_databricks_knows_reaches_the_cluster():
    given = {**CLUSTER, "remote_disk_throughput": 500}

    assert read_configuration(given).compute.new_cluster == given
