"""``mlp validate``: everything that is wrong, with places, as a person in front of a terminal or a CI gets it."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.cli.program import EXAMPLES, commit, mlp, project
from tests.servers import git_http

BROKEN = """\
name: wine
entry_points:
  main:
    parameters:
      alpha: flaot
      rows: {type: int, default: many}
    command: "python train.py {alpha} {row}"
  evaluate:
    comand: python evaluate.py
author: Ann
"""

FINE = """\
entry_points:
  main:
    parameters:
      alpha: float
      rows: {type: int, default: 10}
      data: {type: path, default: data.csv}
    command: "python train.py {alpha} {rows} {data}"
  other:
    command: "true"
"""


def run_of(uri="https://git.example.com/wine.git", *, name="wine", parameters=None, entry_point="main"):
    given = [{"name": key, "value": value} for key, value in (parameters or {}).items()]
    return {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "metadata": {"name": name},
        "spec": {"project": {"uri": uri, "entryPoint": entry_point}, "parameters": given},
    }


def manifest(path, *objects):
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False))
    return path


@pytest.fixture
def wine(tmp_path):
    directory = tmp_path / "wine"
    directory.mkdir()
    (directory / "MLproject").write_text(FINE)
    (directory / "data.csv").touch()
    (directory / "train.py").touch()
    return directory


@pytest.fixture
def broken(tmp_path):
    directory = tmp_path / "broken"
    directory.mkdir()
    (directory / "MLproject").write_text(BROKEN)
    (directory / "train.py").touch()
    (directory / "evaluate.py").touch()
    return directory


def places(done) -> list[str]:
    return [line.partition(": ")[0] for line in done.stdout.splitlines()]


def test_all_problems_of_a_project_are_told_at_once_with_file_line_and_column(broken):
    done = mlp("validate", "broken", cwd=broken.parent)

    assert done.returncode == 1
    told = [
        "broken/MLproject:5:14: error: parameter 'alpha' has the unknown type 'flaot'. Did you mean 'float'? The types",
        "broken/MLproject:6:34: error: the default of parameter 'rows' is 'many', which is not a whole number such as",
        "broken/MLproject:7:14: error: the command uses {row}, which is no parameter of the entry point; declared are",
        "broken/MLproject:9:5: error: entry point 'evaluate' has no key 'comand'. Did you mean 'command'?",
        "broken/MLproject:10:1: warning: 'author' in the MLproject file is ignored; the keys known are name, python_e",
    ]
    for line, beginning in zip(done.stdout.splitlines(), told, strict=True):
        assert line.startswith(beginning)
    assert done.stderr == "broken: 4 errors and 1 warning\n"


@pytest.mark.parametrize("arguments", [(), (".",), ("MLproject",), ("./MLproject",)])
def test_the_project_is_the_current_directory_or_named_by_its_file(broken, arguments):
    done = mlp("validate", *arguments, cwd=broken)

    assert places(done) == ["MLproject:5:14", "MLproject:6:34", "MLproject:7:14", "MLproject:9:5", "MLproject:10:1"]


def test_a_subdirectory_is_shown_with_its_path(broken):
    assert places(mlp("validate", ".#broken", cwd=broken.parent))[0] == "broken/MLproject:5:14"


@pytest.mark.parametrize("example", ["two_steps", "no_mlproject"])
def test_a_project_in_which_nothing_is_wrong_is_valid(example):
    done = mlp("validate", EXAMPLES / example, "--strict")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{EXAMPLES / example}: no problems\n"


def test_a_directory_in_which_nothing_can_be_run_is_worth_a_warning(tmp_path):
    done = mlp("validate", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stdout == f".: warning: There is no MLproject file and no script in the root of '{tmp_path.name}'.\n"
    assert done.stderr == ".: 1 warning\n"


def test_warnings_are_no_errors_unless_they_are_meant_to_be(tmp_path):
    project(tmp_path, "true", author="Ann")

    assert mlp("validate", tmp_path).returncode == 0
    assert mlp("validate", tmp_path, "--strict").returncode == 1


def test_a_program_gets_json(broken, wine):
    done = mlp("validate", "broken", "-o", "json", cwd=broken.parent)

    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert (found["target"], found["valid"], len(found["problems"])) == ("broken", False, 5)
    assert found["problems"][3] == {
        "severity": "error",
        "file": "broken/MLproject",
        "line": 9,
        "column": 5,
        "message": "entry point 'evaluate' has no key 'comand'. Did you mean 'command'?",
        "reason": "ProjectInvalid",
        "parameter": None,
    }
    assert json.loads(mlp("validate", wine, "-o", "json").stdout) == {
        "target": str(wine),
        "valid": True,
        "problems": [],
    }


def test_a_call_is_checked_with_all_its_parameters(wine):
    done = mlp("validate", ".", "-P", "rows=x", "-P", "data=gone.csv", "-P", "alhpa=1", cwd=wine)

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        ".: error: No value given for missing parameters: 'alpha'. 'alhpa' was given: did you mean 'alpha'?",
        ".: error: Parameter 'rows' got 'x', which is not a whole number such as 42. Its type is int (MLproject:5:20).",
        ".: error: Got value gone.csv for parameter data, but no such file or directory was found.",
        ".: warning: Parameter 'alhpa' is not declared and is appended as --alhpa. Did you mean 'alpha'?",
    ]


def test_a_call_that_fits_is_valid_from_anywhere(wine, tmp_path):
    assert mlp("validate", wine, "-P", "alpha=1", "-P", "data=s3://bucket/key", cwd=tmp_path).returncode == 0
    assert mlp("validate", wine, "-e", "other", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("entry_point", "message"), [("othre", "Did you mean 'other'?"), ("trian.py", "the project has no such file.")]
)
def test_an_entry_point_that_is_not_there_is_a_problem(wine, entry_point, message):
    done = mlp("validate", wine, "-e", entry_point)

    assert done.returncode == 1
    assert message in done.stdout


def test_a_project_is_fetched_from_git_to_be_checked(broken):
    before = commit(broken)
    (broken / "MLproject").write_text(FINE)
    commit(broken)

    assert mlp("validate", broken, "-v", "main").returncode == 0
    done = mlp("validate", broken.as_uri(), "-v", before)
    assert (done.returncode, places(done)[0]) == (1, "MLproject:5:14")


def test_a_project_that_is_not_there_is_an_error_and_no_problem_of_it(tmp_path):
    done = mlp("validate", tmp_path / "gone")

    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no directory" in done.stderr


def test_the_mistakes_of_all_projectruns_in_a_file_are_told_at_once(tmp_path):
    file = tmp_path / "runs.yaml"
    file.write_text("""\
apiVersion: mlp.dev/v1alpha1
kind: ProjectRun
metadata: {name: first}
spec:
  project: {uri: https://git.example.com/wine.git, entrypoint: main}
  parameters:
    - {name: alpha, value: 0.5}
  suspend: false
  suspend: true
---
apiVersion: v1
kind: Secret
---
apiVersion: mlp.dev/v1alpha1
kind: projectrun
metadata: {name: second}
spec: {}
""")

    done = mlp("validate", "runs.yaml", cwd=tmp_path)

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "runs.yaml:5:52: error: spec.project.entrypoint: unknown field; did you mean entryPoint?",
        'runs.yaml:7:21: error: spec.parameters[0].value: must be a string; write "0.5"',
        "runs.yaml:9:3: error: 'suspend' is given twice; Kubernetes refuses that",
        "runs.yaml:15:1: error: kind: must be 'ProjectRun'",
        "runs.yaml:17:1: error: spec.project: required",
    ]


def test_a_projectrun_comes_by_standard_input_too(tmp_path):
    text = manifest(tmp_path / "x.yaml", {"kind": "ProjectRun", "spec": {}}).read_text()

    for arguments in (["-"], ["-f", "-"]):
        done = mlp("validate", *arguments, stdin=text)
        assert done.returncode == 1
        assert "standard input:1:1: error: metadata: required" in done.stdout


def test_a_valid_projectrun_is_valid_and_that_its_project_was_not_looked_at_is_said(tmp_path):
    file = manifest(tmp_path / "run.yaml", run_of(parameters={"alpha": "x"}))

    done = mlp("validate", file)

    assert (done.returncode, done.stdout) == (0, "")
    assert "Its project was not looked at: give --resolve" in done.stderr


def test_a_projectrun_is_held_against_a_project_at_hand(wine):
    runs = [run_of(parameters={"beta": "1", "rows": "x"}), run_of(name="b", entry_point="othre")]
    file = manifest(wine / "runs.yaml", *runs)

    done = mlp("validate", ".", "-f", file.name, cwd=wine)

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("runs.yaml:9:3: error: No value given for missing parameters: 'alpha'")
    assert lines[1].startswith("runs.yaml:13:5: error: Parameter 'rows' got 'x'")
    assert lines[2].startswith("runs.yaml:22:5: error: Could not find othre among entry points ['main', 'other']")
    assert mlp("validate", ".", "-f", file.name, "-e", "other", cwd=wine).returncode == 0


def test_a_projectrun_s_project_is_fetched_where_that_is_asked_for(wine, tmp_path):
    commit(wine)
    file = manifest(tmp_path / "run.yaml", run_of(wine.as_uri(), parameters={"alpha": "x"}))

    done = mlp("validate", file, "--resolve")

    assert done.returncode == 1
    assert "Parameter 'alpha' got 'x', which is not a number" in done.stdout


def test_what_is_wrong_with_its_project_concerns_a_projectrun_only_where_it_uses_it(broken, tmp_path):
    (broken / "MLproject").write_text(FINE.replace("other:\n", "other:\n    parameters: {a: banana}\n"))
    good = manifest(tmp_path / "good.yaml", run_of(parameters={"alpha": "1"}))
    bad = manifest(tmp_path / "bad.yaml", run_of(parameters={"a": "1"}, entry_point="other"))

    assert mlp("validate", broken, "-f", good).returncode == 0
    done = mlp("validate", broken, "-f", bad)
    assert "error: In its project, MLproject:9:" in done.stdout
    assert done.returncode == 1


def on_databricks(uri="https://git.example.com/wine.git", *, parameters=None, **databricks):
    run = run_of(uri, parameters=parameters)
    given = {"secretRef": {"name": "databricks"}, "cluster": {"existingClusterId": "a"}, **databricks}
    run["spec"]["backend"] = {"type": "Databricks", "databricks": given}
    return run


def test_a_projectrun_for_databricks_is_held_against_its_project(wine, tmp_path):
    good = on_databricks(parameters={"alpha": "1", "data": "/Volumes/main/default/wine/data.csv"})
    home = on_databricks(parameters={"alpha": "1", "data": "/home/ann/data.csv"})
    shell = on_databricks("https://github.com/a/wine", projectSource="Git", parameters={"alpha": "1"})
    shell["spec"]["project"]["entryPoint"] = "other"

    assert mlp("validate", wine, "-f", manifest(tmp_path / "good.yaml", good)).stdout == ""
    done = mlp("validate", wine, "-f", manifest(tmp_path / "home.yaml", home))
    assert done.returncode == 1
    assert "got /home/ann/data.csv, which is a path of somebody's machine" in done.stdout
    done = mlp("validate", wine, "-f", manifest(tmp_path / "shell.yaml", shell), "-P", "alpha=1")
    assert done.returncode == 1
    assert "shell.yaml:" in done.stdout
    assert "error: " in done.stdout

    (wine / "MLproject").write_text(f"docker_env: {{image: wine}}\n{FINE}")
    done = mlp("validate", wine, "-f", tmp_path / "good.yaml")
    assert done.returncode == 1
    assert "Running docker-based projects on Databricks is not yet supported." in done.stdout
    local = {**good, "spec": {**good["spec"], "environment": {"manager": "Local"}}}
    assert mlp("validate", wine, "-f", manifest(tmp_path / "local.yaml", local)).stdout == ""


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (
            on_databricks("https://git.example.com/wine.git", projectSource="Git"),
            "spec.backend.databricks.projectSource: Who serves Git on git.example.com cannot be told",
        ),
        (
            on_databricks("ssh://git@github.com/a/b", projectSource="Git"),
            "spec.backend.databricks.projectSource: Databricks fetches repositories over https",
        ),
        (
            on_databricks(cluster={"newCluster": {}}),
            "spec.backend.databricks.cluster: cluster.newCluster is empty",
        ),
        (
            on_databricks(host="https://dbc.example.org", auth="WorkloadIdentity"),
            "spec.backend.databricks.secretRef: name the Secret with the credentials in secretRef, or use auth",
        ),
    ],
)
def test_what_is_wrong_with_a_run_for_databricks_is_told_where_it_stands(tmp_path, run, message):
    done = mlp("validate", manifest(tmp_path / "run.yaml", run))

    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert message in line
    assert line.partition(": error:")[0].count(":") == 2, "the file, the line, the column"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b: c", "run.yaml:1:5: error: not readable as YAML: mapping values are not allowed here"),
        ("kind: Secret", "run.yaml: error: There is no ProjectRun in it; a ProjectRun begins with"),
        ("", "There is no ProjectRun in it"),
        ("- a", "run.yaml:1:1: error: a ProjectRun is an object, and this is a list."),
    ],
)
def test_a_file_without_a_projectrun_is_a_problem(tmp_path, text, message):
    (tmp_path / "run.yaml").write_text(text)

    done = mlp("validate", "run.yaml", cwd=tmp_path)

    assert done.returncode == 1
    assert message in done.stdout


def test_a_misnamed_project_file_is_told_its_right_name(tmp_path):
    (tmp_path / "MLproject.yaml").write_text(FINE)

    done = mlp("validate", "MLproject.yaml", cwd=tmp_path)

    assert done.returncode == 1
    assert "the file that describes a project is called MLproject, without an ending" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((".", "--resolve"), "--resolve is for ProjectRuns"),
        (("-f", "x.yaml", "-v", "main"), "-v goes with a project's URI"),
        (("-f", "gone.yaml"), "gone.yaml cannot be read: No such file or directory."),
        ((".", "-P", "alpha"), "Invalid format for -P parameter: 'alpha'. Use -P name=value."),
    ],
)
def test_a_wrong_call_is_a_usage_error(tmp_path, arguments, message):
    done = mlp("validate", *arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("python_env.yaml", "python: 3.11\n", "wine/python_env.yaml:1:9"),
        ("conda.yaml", "dependencies:\n  - python=3.11\n  - pip: x\n", "wine/conda.yaml:3:"),
        ("conda.yaml", "dependencies: [\n", "wine/conda.yaml:2:1"),
    ],
)
def test_what_is_wrong_with_the_environment_file_is_found(wine, name, text, place):
    (wine / name).write_text(text)

    done = mlp("validate", "wine", cwd=wine.parent)

    assert done.returncode == 1
    (told,) = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert told.startswith(place)


@pytest.mark.parametrize("by_manifest", [False, True])
def test_a_private_repository_is_looked_at_with_the_credentials_of_the_variables(wine, tmp_path, by_manifest):
    commit(wine)
    with git_http.serving(tmp_path, accounts=git_http.Accounts({"ann": "pa55"})) as server:
        uri = f"{server.url}/wine"
        file = manifest(tmp_path / "run.yaml", run_of(uri, parameters={"alpha": "1"}))
        target = (file, "--resolve") if by_manifest else (uri,)
        known, unknown = (
            mlp("validate", *target, MLFLOW_GIT_USERNAME="ann", MLFLOW_GIT_PASSWORD=password)
            for password in ("pa55", "wrong")
        )

    assert (known.returncode, known.stdout) == (0, "")
    assert unknown.returncode == 4


def test_an_address_that_cannot_be_downloaded_is_a_problem(tmp_path):
    project(tmp_path, "cat {data}", parameters={"data": "path"})

    done = mlp("validate", tmp_path, "-e", "main", "-P", "data=http://[bad")

    assert done.returncode == 1
    assert "The http URL is malformed" in done.stdout
