"""Where data for parameters lies."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from mlp.backends.local.downloads import Downloads
from mlp.data import directory_name


@pytest.mark.parametrize("name", ["data", "train.csv", "a-b_c", "0"])
def test_a_parameter_s_data_lies_in_a_directory_of_its_name(name):
    assert directory_name(name) == name


@pytest.mark.parametrize(
    "name", ["..", ".", ".hidden", "../../etc", "/etc", "a/b", "", "a b", "é", "\udc80", "a" * 300]
)
def test_a_name_that_could_lead_elsewhere_is_replaced(name):
    assert directory_name(name).startswith("parameter-")
    assert len({directory_name(name), directory_name(f"{name}x")}) == 2


def test_nothing_is_planned_outside_of_the_run_s_directory(tmp_path):
    with ExitStack() as cleaning:
        planned = Downloads(tmp_path, cleaning).plan("../../../escape", "https://data.example.com/x.csv")

        assert planned.parent.parent.parent == tmp_path
        assert planned.name == "x.csv"


def test_a_directory_for_data_that_was_never_brought_goes_away(tmp_path):
    with ExitStack() as cleaning:
        Downloads(tmp_path, cleaning).plan("data", "https://data.example.com/x.csv")
        assert len(list(tmp_path.iterdir())) == 1

    assert list(tmp_path.iterdir()) == []
