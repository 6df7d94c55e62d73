"""examples/pipeline: load, transform and train, each a run of its own that gets the artifacts of the one before."""

from __future__ import annotations

import json

import pytest

STEPS = ["main", "load", "transform", "train"]


@pytest.fixture(scope="module")
def place(make_place):
    return make_place("pipeline")


@pytest.fixture(scope="module")
def first(place):
    """The workflow, run from its directory."""
    return place.run("pipeline", "--env-manager", "local", "-P", "rows=200", "-P", "alpha=0.50")


@pytest.fixture(scope="module")
def runs(place, first):
    assert first.returncode == 0, first.stderr
    found = place.runs()
    assert [run.entry_point for run in found] == STEPS
    return {run.entry_point: run for run in found}


def test_every_run_is_finished(runs):
    assert {name: (run.status, run.ended) for name, run in runs.items()} == dict.fromkeys(STEPS, ("FINISHED", True))


def test_each_step_is_told_which_run_has_made_what_it_needs(runs):
    assert runs["main"].parameters == {
        "rows": "200", "test_share": "0.25", "seed": "7", "alpha": "0.50", "reuse": "no",
    }  # fmt: skip
    assert runs["load"].parameters == {"rows": "200"}
    assert runs["transform"].parameters == {
        "table": f"runs:/{runs['load'].run_id}/table.csv", "test_share": "0.25", "seed": "7",
    }  # fmt: skip
    assert runs["train"].parameters == {
        "features": f"runs:/{runs['transform'].run_id}/features", "alpha": "0.50",
    }  # fmt: skip


def test_the_steps_are_children_of_the_workflow_and_each_says_which_code_it_was(place, runs):
    parent = runs["main"]
    written = parent.own_tags

    assert written.pop("model") == f"runs:/{runs['train'].run_id}/model.json"
    assert written == place.tags("pipeline", "main", project="pipeline")
    for name in STEPS[1:]:
        assert runs[name].own_tags == place.tags("pipeline", name, project="pipeline", parent=parent.run_id)


def test_the_steps_record_what_they_make(place, runs):
    table = place.text(runs["load"].run_id, "table.csv").splitlines()
    model = json.loads(place.text(runs["train"].run_id, "model.json"))

    assert len(table) == 201
    assert table[0].endswith(",target")
    assert runs["load"].metrics == {"rows": 200}
    assert runs["transform"].metrics == {"train_rows": 150, "test_rows": 50}
    assert len(model["coefficients"]) == 10
    assert 0.2 < runs["train"].metrics["r2"] < 0.9
    assert runs["main"].metrics == runs["train"].metrics


def test_the_workflow_says_what_it_does(first, runs):
    for name in STEPS[1:]:
        assert f"{name}: run {runs[name].run_id}\n" in first.stdout


def test_what_was_done_before_is_not_done_again_though_the_project_comes_from_elsewhere(place, runs):
    done = place.run(
        f"{place.directory.as_uri()}#pipeline", "-v", place.commit, "--no-conda",
        "-P", "rows=200", "-P", "alpha=2", "-P", "reuse=yes",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    for name in ("load", "transform"):
        assert f"{name}: run {runs[name].run_id} has done that\n" in done.stdout
    parent, train = place.runs()[len(STEPS) :]
    assert (parent.entry_point, train.entry_point) == ("main", "train")
    assert {run.status for run in (parent, train)} == {"FINISHED"}
    assert train.parent == parent.run_id
    assert train.parameters == {**runs["train"].parameters, "alpha": "2"}
    assert {run.tags["mlflow.source.git.commit"] for run in (parent, train)} == {place.commit}
    assert parent.tags["mlflow.source.name"] == f"file://{place.directory}#pipeline"


def test_a_step_that_fails_fails_the_workflow(place, runs):
    before = len(place.runs())

    done = place.run("pipeline", "--no-conda", "-P", "rows=200", "-P", "alpha=-1", "-P", "reuse=yes")

    assert done.returncode == 1
    assert "The 'alpha' parameter of Ridge must be" in done.stderr
    failed = place.runs()[before:]
    assert [(run.entry_point, run.status, run.ended) for run in failed] == [
        ("main", "FAILED", True),
        ("train", "FAILED", True),
    ]
    assert failed[1].parent == failed[0].run_id
    assert runs["load"].status == "FINISHED"
