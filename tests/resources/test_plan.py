"""The pod's plan as it travels: from the operator's annotation to the steps' file, between versions of both."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mlp.resources.plan import (
    Plan,
    PlannedBundle,
    PlannedDownload,
    PlannedEnvironment,
    PlannedParameter,
    PlannedProject,
    PlannedSource,
)

SMALL = Plan(source=PlannedSource(uri="https://h/x"), project=PlannedProject(name="x", entry_point="main", command="t"))
WHOLE = Plan(
    source=PlannedSource(
        commit="a" * 40,
        bundle=PlannedBundle(uri="s3://b/k", sha256="0" * 64),
        ref="refs/heads/main",
        version="main",
        subdirectory="sub",
        submodules=False,
        lfs=True,
        protocols=("https",),
        other_hosts=True,
        credentials=True,
    ),
    project=PlannedProject(
        name="Wein ü",
        entry_point="train",
        command="echo '$HOME' \u2028 \"x\"",
        parameters=(
            PlannedParameter(name="alpha", type="float", value="0.5", source="Default"),
            PlannedParameter(name="token", type="string", source="Spec", given="g"),
        ),
        manager="Conda",
    ),
    downloads=(PlannedDownload(parameter="p", uri="s3://b/k", path="/mlp/run/data/p/k"),),
    environment=PlannedEnvironment(
        kind="conda",
        file="conda.yaml",
        manager="conda",
        policy="Refresh",
        overrides={"CONDA_OVERRIDE_CUDA": "12.4"},
    ),
    tracking_uri="http://mlflow:5000",
)


@pytest.mark.parametrize("plan", [SMALL, WHOLE], ids=["small", "whole"])
def test_a_plan_arrives_as_it_was_sent(plan):
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json().encode()) == plan


def test_a_plan_is_compact_json_without_what_is_not_there():
    assert SMALL.to_json() == (
        '{"source":{"uri":"https://h/x","subdirectory":"","submodules":true,"lfs":false,"protocols":["https","ssh"],'
        '"otherHosts":false,"credentials":false},'
        '"project":{"name":"x","entryPoint":"main","command":"t","parameters":[],"manager":"Local"},"downloads":[]}'
    )


def test_what_a_newer_operator_says_in_addition_is_passed_over():
    text = json.loads(WHOLE.to_json())
    text["weather"] = {"sunny": True}
    text["source"]["mirror"] = ["https://elsewhere"]
    assert Plan.from_json(json.dumps(text)) == WHOLE


def test_what_an_older_operator_does_not_say_is_as_it_was_then():
    text = {"source": {"uri": "https://h/x"}, "project": {"name": "x", "entryPoint": "main", "command": "t"}}
    assert Plan.from_json(json.dumps(text)) == SMALL


def test_null_is_nothing_where_nothing_may_be():
    text = json.loads(SMALL.to_json()) | {"environment": None, "trackingUri": None}
    assert Plan.from_json(json.dumps(text)) == SMALL


def changed(*path, to):
    text = json.loads(WHOLE.to_json())
    place = text
    for key in path[:-1]:
        place = place[key]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return json.dumps(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("no plan", "Expecting value"),
        ("[]", "Plan is no dict"),
        ("null", "Plan is no dict"),
        ("[" * 100_000, "nested too deeply"),
        (b"\xc3(", "decode"),
        (changed("source", to=None), "Plan.source is missing"),
        (changed("source", to="https://h/x"), "Plan.source is no dict"),
        (changed("source", "lfs", to="yes"), "Plan.source.lfs is no bool"),
        (changed("source", "protocols", to="https"), "Plan.source.protocols is no list"),
        (changed("source", "protocols", to=["https", 1]), "Plan.source.protocols.1 is no str"),
        (changed("source", "bundle", to={}), "Plan.source.bundle.sha256 is missing"),
        (changed("project", "entryPoint", to=None), "Plan.project.entryPoint is missing"),
        (changed("project", "command", to=["sh"]), "Plan.project.command is no str"),
        (changed("project", "parameters", 1, "source", to="Guess"), "source is none of Spec, Default, Extra"),
        (changed("project", "parameters", 1, "source", to=["Spec"]), "source is none of Spec, Default, Extra"),
        (changed("environment", "overrides", to={"A": 1}), "Plan.environment.overrides.A is no str"),
        (changed("environment", "manager", to="poetry"), "Plan.environment.manager is none of conda, virtualenv"),
    ],
)
def test_what_is_no_plan_is_refused_with_its_place(text, said):
    with pytest.raises(ValueError, match=said):
        Plan.from_json(text)


def test_reading_a_plan_needs_nothing_that_a_step_would_wait_for():
    program = "import mlp.steps.execution, mlp.resources.plan, sys; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
