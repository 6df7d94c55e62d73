"""``-P NAME=VALUE``."""

from __future__ import annotations

import click
import pytest

from mlp.cli.parameters import parse_parameters


def test_the_first_equals_sign_ends_the_name():
    assert parse_parameters(["query=a=b", "empty=", "text= x \n"]) == {"query": "a=b", "empty": "", "text": " x \n"}


def test_parameters_keep_their_order():
    assert list(parse_parameters(["z=1", "a=2", "m=3"])) == ["z", "a", "m"]


def test_a_parameter_without_an_equals_sign_is_refused_in_mlflow_s_words():
    with pytest.raises(click.UsageError) as refused:
        parse_parameters(["alpha"])

    assert refused.value.message == "Invalid format for -P parameter: 'alpha'. Use -P name=value."


def test_a_repeated_parameter_is_refused_in_mlflow_s_words():
    with pytest.raises(click.UsageError) as refused:
        parse_parameters(["alpha=1", "beta=2", "alpha=1"])

    assert refused.value.message == "Repeated parameter: 'alpha'"
