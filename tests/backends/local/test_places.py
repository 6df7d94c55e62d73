"""What path and uri parameters mean on this machine."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import pytest

from mlp.backends.local.downloads import Downloads
from mlp.backends.local.places import LocalPlaces
from mlp.errors import ParameterInvalid


@pytest.fixture
def places(tmp_path):
    for directory in ("caller", "project"):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / f"{directory}.csv").touch()
        (tmp_path / directory / "both.csv").touch()
    with ExitStack() as cleaning:
        downloads = Downloads(None, cleaning)
        yield LocalPlaces(caller=tmp_path / "caller", project=tmp_path / "project", downloads=downloads)


def test_a_given_path_is_the_caller_s_and_never_the_project_s(places):
    assert places.path("data", "caller.csv", default=False) == str(places.caller / "caller.csv")
    with pytest.raises(ParameterInvalid, match=r"Got value project\.csv for parameter data"):
        places.path("data", "project.csv", default=False)


def test_a_default_path_is_looked_for_with_the_caller_and_then_in_the_project(places):
    assert places.path("data", "caller.csv", default=True) == str(places.caller / "caller.csv")
    assert places.path("data", "./project.csv", default=True) == str(places.project / "project.csv")
    with pytest.raises(ParameterInvalid, match=f"{places.caller} and {places.project}"):
        places.path("data", "neither.csv", default=True)


def test_a_default_that_is_in_both_places_is_the_caller_s_with_a_warning(places, caplog):
    with caplog.at_level(logging.WARNING, logger="mlp"):
        logging.getLogger("mlp").propagate = True
        assert places.path("data", "both.csv", default=True) == str(places.caller / "both.csv")

    assert str(places.project / "both.csv") in caplog.text


def test_dots_go_and_symbolic_links_stay(places):
    (places.caller / "link").symlink_to(places.project)

    assert places.path("data", "x/../link/project.csv", default=False) == str(places.caller / "link" / "project.csv")


@pytest.mark.parametrize("form", ["file://{}", "file://localhost{}", "file:{}", "FILE://{}"])
def test_a_file_uri_is_its_path(places, form):
    file = places.caller / "with space.csv"
    file.touch()

    assert places.path("data", form.format(str(file).replace(" ", "%20")), default=False) == str(file)


def test_a_file_uri_of_another_host_is_not_here(places):
    with pytest.raises(ParameterInvalid, match="lies elsewhere"):
        places.path("data", "file://other/x.csv", default=False)


def test_a_path_that_looks_like_an_address_can_be_written_with_a_dot(places):
    (places.caller / "a:").mkdir()
    (places.caller / "a:" / "b").touch()

    assert places.path("data", "./a:/b", default=False) == str(places.caller / "a:" / "b")


def test_an_absolute_path_that_is_missing_is_not_said_to_be_looked_for_elsewhere(places):
    with pytest.raises(ParameterInvalid) as missing:
        places.path("data", "/no/such/file", default=False)

    assert str(missing.value) == "Got value /no/such/file for parameter data, but no such file or directory was found."


def test_a_uri_without_a_scheme_is_made_absolute_and_need_not_exist(places):
    assert places.uri("out", "new/model", default=False) == str(places.caller / "new" / "model")
    assert places.uri("out", "/abs", default=False) == "/abs"


def test_a_default_uri_is_the_project_s_file_only_where_there_is_one(places):
    assert places.uri("data", "project.csv", default=True) == str(places.project / "project.csv")
    assert places.uri("data", "neither.csv", default=True) == str(places.caller / "neither.csv")
