"""The examples do what they say: with ``mlp run``, and as ProjectRuns."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlp.backends.manifest import read_manifest
from tests.cli.program import EXAMPLES, mlp
from tests.cluster.fixtures import is_ci

PROJECTS = sorted(path.parent.name for path in EXAMPLES.glob("*/projectrun.yaml"))
WORKFLOWS = ["cross_validation", "pipeline", "tuning"]
needs_scikit_learn = pytest.mark.skipif(
    find_spec("sklearn") is None and not is_ci(), reason="the group examples is not installed"
)


@pytest.fixture(autouse=True)
def _left_as_it_was():
    before = sorted(EXAMPLES.rglob("*"))
    yield
    assert [path for path in sorted(EXAMPLES.rglob("*")) if path not in before and path.name != "__pycache__"] == []


def test_three_run_in_a_cluster_too_and_three_are_workflows():
    """What the workflows do stands in tests/workflows."""
    assert PROJECTS == ["diabetes_regression", "no_mlproject", "two_steps"]
    assert sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()) == sorted([*PROJECTS, *WORKFLOWS])


@pytest.mark.parametrize(
    "project", sorted(path.parent for path in EXAMPLES.rglob("MLproject")), ids=lambda path: path.name
)
def test_nothing_is_wrong_with_it(project):
    done = mlp("validate", project)

    assert done.returncode == 0, done.stdout + done.stderr


@needs_scikit_learn
def test_the_regression_learns_something_and_its_parameters_count():
    metrics = [
        json.loads(done.stdout)["metrics"]
        for alpha in ("0.1", "100")
        if (done := mlp("run", EXAMPLES / "diabetes_regression", "--no-conda", "-P", f"alpha={alpha}")).returncode == 0
    ]

    assert metrics[0]["r2"] > 0.4
    assert metrics[0]["r2"] > metrics[1]["r2"]


def test_the_regression_refuses_a_parameter_that_is_no_number():
    done = mlp("run", EXAMPLES / "diabetes_regression", "--no-conda", "-P", "alpha=strong")

    assert done.returncode == 1
    assert "'alpha' got 'strong'" in done.stderr


def test_scripts_without_a_project_file_run():
    greeted = mlp("run", EXAMPLES / "no_mlproject", "-e", "greet.py", "-P", "name=Ada", "-P", "times=2")
    counted = mlp("run", EXAMPLES / "no_mlproject", "-e", "count.sh", "-P", "word=two words")

    assert greeted.stdout == "Hello, Ada!\nHello, Ada!\n"
    assert counted.stdout == "2 arguments\n<--word>\n<two words>\n"


def test_two_steps_pass_a_file(tmp_path):
    prepared = mlp("run", EXAMPLES / "two_steps", "-e", "prepare", "-P", f"output={tmp_path / 'table.csv'}")
    trained = mlp("run", EXAMPLES / "two_steps", "-e", "train", "-P", "data=table.csv", cwd=tmp_path)

    assert prepared.stdout == "prepared 200 rows\n"
    assert json.loads(trained.stdout)["slope"] == pytest.approx(2, abs=0.1)


def test_a_step_whose_result_is_off_fails(tmp_path):
    (tmp_path / "table.csv").write_text("x,y\n0,0\n1,5\n")

    done = mlp("run", EXAMPLES / "two_steps", "-e", "train", "-P", "data=table.csv", cwd=tmp_path)

    assert done.returncode == 1
    assert "the slope should be 2" in done.stderr


@pytest.mark.parametrize("name", PROJECTS)
def test_its_projectrun_is_valid_and_says_where_in_the_repository_the_project_lies(name):
    run = read_manifest(EXAMPLES / name / "projectrun.yaml")

    assert run.spec.project.subdirectory == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("diabetes_regression", '"alpha": 0.3', marks=needs_scikit_learn),
        ("no_mlproject", "Hello, Ada Lovelace!\nHello, Ada Lovelace!\n"),
        ("two_steps", "prepared 500 rows\n"),
    ],
)
def test_its_projectrun_runs_here(name, said):
    done = mlp("run", EXAMPLES / name, "-f", EXAMPLES / name / "projectrun.yaml")

    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize("name", ["no_mlproject", "two_steps"])
def test_it_needs_nothing_but_python(name):
    """These run in the runner's image as it is."""
    for script in (EXAMPLES / name).glob("*.py"):
        for line in script.read_text().splitlines():
            if line.startswith(("import ", "from ")):
                module = Path(line.split()[1].partition(".")[0]).name
                assert module in {"__future__", "argparse", "csv", "json", "pathlib", "random", "statistics", "sys"}
