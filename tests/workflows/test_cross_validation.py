"""examples/cross_validation: the same training on several splits, by seed and by the folds of another project."""

from __future__ import annotations

import statistics

import pytest


@pytest.fixture(scope="module")
def place(make_place):
    return make_place("cross_validation")


@pytest.fixture(scope="module")
def by_seed(place):
    done = place.run("cross_validation", "--env-manager", "local", "-P", "alpha=0.10")
    assert done.returncode == 0, done.stderr
    parent, *runs = place.runs()
    return parent, runs, done


@pytest.fixture(scope="module")
def by_fold(place, by_seed):
    before = 1 + len(by_seed[1])
    done = place.run("cross_validation", "-e", "folds", "--env-manager", "local", "-P", "folds=3")
    assert done.returncode == 0, done.stderr
    parent, split, *runs = place.runs()[before:]
    return parent, split, runs


def test_there_is_one_run_a_seed(place, by_seed):
    parent, runs, _ = by_seed

    assert sorted((run.parameters["seed"], run.parameters["alpha"], run.status) for run in runs) == [
        ("0", "0.10", "FINISHED"),
        ("1", "0.10", "FINISHED"),
        ("2", "0.10", "FINISHED"),
    ]
    for run in runs:
        assert run.own_tags == place.tags("cross_validation", "train", project="cross-validation", parent=parent.run_id)
    assert len({run.metrics["rmse"] for run in runs}) == 3


def test_the_parent_has_the_mean_and_the_deviation(place, by_seed):
    parent, runs, done = by_seed
    errors = [run.metrics["rmse"] for run in runs]

    assert (parent.status, parent.ended) == ("FINISHED", True)
    assert parent.parameters == {"seeds": "3", "alpha": "0.10"}
    assert parent.own_tags == place.tags("cross_validation", "main", project="cross-validation")
    assert parent.metrics == {
        "rmse_mean": pytest.approx(statistics.mean(errors)),
        "rmse_std": pytest.approx(statistics.stdev(errors)),
    }
    assert f"rmse {statistics.mean(errors):.2f} ± " in done.stdout


def test_another_project_makes_the_folds(place, by_fold):
    parent, split, _ = by_fold

    assert split.status == "FINISHED"
    assert split.parameters == {"folds": "3", "seed": "7"}
    assert split.own_tags == place.tags("cross_validation/splitter", "main", project="splitter", parent=parent.run_id)
    tested = [row for fold in range(3) for row in place.text(split.run_id, f"fold-{fold}/test.csv").splitlines()]
    assert len(tested) == len(set(tested)) == 442


def test_there_is_one_run_a_fold_which_is_told_the_fold_s_artifacts(place, by_fold):
    parent, split, runs = by_fold

    assert {run.parameters["fold"]: run.status for run in runs} == {
        f"runs:/{split.run_id}/fold-{number}": "FINISHED" for number in range(3)
    }
    for run in runs:
        assert run.own_tags == place.tags(
            "cross_validation", "train_on_fold", project="cross-validation", parent=parent.run_id
        )
    assert parent.status == "FINISHED"
    assert parent.metrics["rmse_mean"] == pytest.approx(statistics.mean(run.metrics["rmse"] for run in runs))


@pytest.mark.usefixtures("by_seed", "by_fold")
def test_a_run_that_fails_is_told_with_what_it_wrote(place):
    before = len(place.runs())

    done = place.run("cross_validation", "--no-conda", "-P", "alpha=-1", "-P", "seeds=1")

    assert done.returncode == 1
    assert "The 'alpha' parameter of Ridge must be" in done.stderr
    assert [(run.entry_point, run.status) for run in place.runs()[before:]] == [
        ("main", "FAILED"),
        ("train", "FAILED"),
    ]
