"""examples/tuning: runs side by side, their errors read while they train, the poor ones ended, the best one named."""

from __future__ import annotations

import pytest

GOOD, POOR = ["0.01", "0.001"], ["1e-7", "1e-8"]


@pytest.fixture(scope="module")
def place(make_place):
    return make_place("tuning")


@pytest.fixture(scope="module")
def done(place):
    return place.run("tuning", "--env-manager", "local")


@pytest.fixture(scope="module")
def runs(place, done):
    assert done.returncode == 0, done.stderr
    parent, *tried = place.runs()
    return parent, {run.parameters["learning_rate"]: run for run in tried}


def test_the_poor_ones_are_ended_early_and_the_good_ones_finish(runs):
    _, tried = runs

    assert {rate: (run.status, run.ended) for rate, run in tried.items()} == {
        **dict.fromkeys(GOOD, ("FINISHED", True)),
        **dict.fromkeys(POOR, ("KILLED", True)),
    }
    for rate in POOR:
        # It was ended for what it had shown so far.
        assert tried[rate].metrics["rmse"] > 1.1 * tried["0.01"].metrics["best_rmse"]
        assert "best_rmse" not in tried[rate].metrics


def test_all_are_children_of_the_tuning_and_have_their_parameters(place, runs):
    parent, tried = runs

    assert {rate: run.parameters for rate, run in tried.items()} == {
        rate: {"learning_rate": rate, "seed": "7"} for rate in (*GOOD, *POOR)
    }
    for run in tried.values():
        assert run.own_tags == place.tags("tuning", "train", project="tuning", parent=parent.run_id)


def test_the_best_one_is_named_by_the_parent(place, runs, done):
    parent, tried = runs
    best = min((tried[rate] for rate in GOOD), key=lambda run: run.metrics["best_rmse"])

    assert (parent.status, parent.ended) == ("FINISHED", True)
    assert parent.parameters == {
        "learning_rates": "0.01 1e-7 0.001 1e-8",
        "parallel": "2",
        "tolerance": "1.1",
        "backend": "local",
    }
    assert parent.metrics == {"best_rmse": best.metrics["best_rmse"]}
    assert parent.own_tags == {
        **place.tags("tuning", "main", project="tuning"),
        "best_run": best.run_id,
        "best_learning_rate": best.parameters["learning_rate"],
    }
    assert f"The best learning rate is {best.parameters['learning_rate']}: run {best.run_id}\n" in done.stdout
