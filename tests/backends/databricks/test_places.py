"""What path parameters may say of a run on Databricks, seen from the machine of who submits it."""

from __future__ import annotations

import pytest

from mlp.backends.databricks.places import ClusterPlaces
from mlp.errors import ParameterInvalid

PLACES = ClusterPlaces(frozenset({"nested/data/table.csv", "shared/all.csv"}), "nested")


@pytest.mark.parametrize(
    "value",
    [
        "data/table.csv",
        "./data",
        "../shared/all.csv",
        ".",
        "s3://bucket/table.csv",
        "dbfs:/tables/table.csv",
        "/Volumes/main/default/files/table.csv",
        "/dbfs/tables",
        "file:///dbfs/tables",
        "/databricks-datasets/that/is/not/here",
    ],
)
def test_what_the_cluster_may_know_is_passed_on_as_it_is(value):
    assert PLACES.path("data", value, default=False) == value


@pytest.mark.parametrize("value", ["table.csv", "nested/data/table.csv", "../../shared", "data/tab"])
def test_a_relative_path_has_to_be_among_what_is_sent(value):
    with pytest.raises(ParameterInvalid, match="which is not among what is sent"):
        PLACES.path("data", value, default=False)


@pytest.mark.parametrize("value", ["~/table.csv", "/home/ann/table.csv", "file:///Users/ann/t.csv", "C:\\table.csv"])
def test_a_path_of_somebody_s_machine_is_refused_whether_it_is_here_or_not(value):
    with pytest.raises(ParameterInvalid, match="is a path of somebody's machine"):
        PLACES.path("data", value, default=False)


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}", "file://localhost{}", "FILE://{}"])
def test_a_path_of_this_machine_is_refused_however_it_is_written(form):
    with pytest.raises(ParameterInvalid, match=r"is a path of this machine\. Upload it and name its URI"):
        PLACES.path("data", form.format(__file__), default=False)


def test_nobody_downloads_for_a_project_that_the_workspace_fetches():
    with pytest.raises(ParameterInvalid, match="nobody downloads data for a project that the workspace fetches"):
        ClusterPlaces(frozenset(), downloads=False).path("data", "s3://bucket/table.csv", default=False)


def test_a_uri_is_the_program_s_own_business():
    assert PLACES.uri("out", "any where", default=False) == "any where"
