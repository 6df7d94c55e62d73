"""Everything that is wrong with a project at once, for whoever writes one."""

from __future__ import annotations

import pytest

from mlp.errors import ParameterMissing, ProjectInvalid
from mlp.project import MappingFiles, Problem, Project

from .build import Marked, call, files, main

HOPELESS = """\
name: wine
entrypoints:
  main:
    parameters:
      a: flaot
      b: {type: int, default: x}
      c: 0.5
      d: {tpye: int, defualt: 1}
      1: float
    command: "run {a} {c} {dd} {a!x} {b:.3f} {dd}"
  other: python x.py
  third:
    comand: "awk '{print}'"
conda_env: gone.yaml
docker_env: {volumes: x, environment: [1]}
author: Ann
"""

FOUND = [
    ("MLproject:2:1", "the MLproject file has no key 'entrypoints'. Did you mean 'entry_points'?"),
    ("MLproject:5:10", "parameter 'a' has the unknown type 'flaot'. Did you mean 'float'?"),
    ("MLproject:6:31", "the default of parameter 'b' is 'x', which is not a whole number"),
    ("MLproject:7:10", "the declaration of parameter 'c' is a number"),
    ("MLproject:8:11", "the declaration of parameter 'd' has no key 'tpye'. Did you mean 'type'?"),
    ("MLproject:8:22", "the declaration of parameter 'd' has no key 'defualt'. Did you mean 'default'?"),
    ("MLproject:9:7", "a key of 'parameters' of entry point 'main' is a number"),
    ("MLproject:10:14", "the command uses {dd}, which is no parameter"),
    ("MLproject:10:14", "the command's placeholder {a!x} has an unknown conversion."),
    ("MLproject:10:14", "the command's placeholder {b:.3f} does not fit a text"),
    ("MLproject:11:10", "entry point 'other' is a text"),
    ("MLproject:13:5", "entry point 'third' has no key 'comand'. Did you mean 'command'?"),
    ("MLproject:13:13", "the command uses {print}, which is no parameter"),
    ("MLproject:14:12", "Project specified conda environment file gone.yaml, but no such file was found."),
    ("MLproject:15:1", "Project cannot contain multiple environment fields: {'conda_env', 'docker_env'}"),
    ("MLproject:15:13", "Docker environment specified but no image attribute found."),
    ("MLproject:15:23", "Docker volumes must be a list of strings"),
    ("MLproject:15:40", "environment must be a list containing either strings"),
]


def check(text: str | None, *paths: str) -> list[Problem]:
    return list(Project.check(files(text, *paths))[1])


def test_all_mistakes_are_found_at_once_in_the_order_of_the_file():
    errors = [problem for problem in check(HOPELESS) if problem.severity == "error"]

    assert [problem.place for problem in errors] == [place for place, _ in FOUND]
    for problem, (_, message) in zip(errors, FOUND, strict=True):
        assert message in problem.message


def test_what_is_odd_and_harmless_is_a_warning():
    (warning,) = [problem for problem in check(HOPELESS) if problem.severity == "warning"]

    assert (warning.file, warning.line, warning.column) == ("MLproject", 16, 1)
    assert warning.message.startswith("'author' in the MLproject file is ignored; the keys known are name, ")
    assert str(warning) == f"MLproject:16:1: {warning.message}"


@pytest.mark.parametrize("text", [None, "name: wine", main("run {a}", "a: {type: float, default: 1}")])
def test_in_a_project_without_mistakes_nothing_is_found(text):
    assert check(text, "train.py") == []


def test_of_a_file_that_is_no_yaml_the_place_where_it_ends_to_be_is_found():
    (problem,) = check("name: x\nentry_points: {")

    assert (problem.severity, problem.place) == ("error", "MLproject:2:16")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # What follows from a mistake is not another one.
        (main("run {a}", "a: 0.5"), "the declaration of parameter 'a' is a number"),
        (main("run {a}", "a: {tpye: int}"), "has no key 'tpye'"),
        ("entry_points: {main: {comand: run}}", "has no key 'comand'"),
        ("entry_points: {main: {command: 'run {a}', params: {a: int}}}", "has no key 'params'"),
        ("entry_points: {main: {command: 'run {a}', parameters: [a]}}", "'parameters' of entry point 'main' is a list"),
        (main("run {a} {a} {a}", "b: int"), "the command uses {a}"),
        # Nor is what an alias shows a second time.
        ("entry_points: {a: &a {command: 'run {b}'}, c: *a}", "the command uses {b}"),
    ],
)
def test_a_mistake_is_told_once(text, message):
    (problem,) = check(text)

    assert message in problem.message


@pytest.mark.parametrize(
    ("job", "messages"),
    [
        ("{pythonfile: a.py}", ["has no key 'pythonfile'. Did you mean 'python_file'?"]),
        ("{python_file: 1, parameters: x, python_libraries: y}", ["python_file of", "parameters of"]),
        ("{}", ["requires either 'databricks_spark_job.python_file' setting or 'entry_points' setting."]),
        ("a.py", ["databricks_spark_job is a text"]),
    ],
)
def test_mistakes_in_a_spark_job_are_found(job, messages):
    found = check(f"databricks_spark_job: {job}")

    for message, problem in zip(messages, found, strict=False):
        assert message in problem.message


def test_what_a_spark_job_does_not_go_together_with_is_found_in_each_place():
    text = """\
databricks_spark_job: {python_libraries: [x]}
entry_points:
  main: {command: run, parameters: {a: path, b: path}}
conda_env: x.yaml
"""
    assert [problem.place for problem in check(text)] == ["MLproject:3:40", "MLproject:3:49", "MLproject:4:1"]


@pytest.mark.parametrize("text", [HOPELESS, "name: x\nentry_points: {", "[]", "conda_env: x"])
def test_whoever_runs_the_project_is_told_one_of_them(text):
    with pytest.raises(ProjectInvalid) as caught:
        call(text)

    assert str(caught.value) in [str(problem) for problem in check(text) if problem.severity == "error"]


def test_the_project_is_given_as_far_as_it_can_be_understood():
    project, _ = Project.check(files(HOPELESS))

    assert list(project.entry_points) == ["main", "third"]
    assert list(project.entry_points["main"].parameters) == ["a", "b", "c", "d"]


def test_a_misnamed_file_is_a_warning_without_a_place():
    (problem,) = Project.check(MappingFiles("wine", {"MLproject.yaml": ""}))[1]

    assert (problem.severity, problem.place) == ("warning", "")
    assert "Rename it to MLproject." in str(problem)


@pytest.mark.parametrize(
    ("command", "warning"),
    [
        (
            "python trian.py {a}",
            "the command runs trian.py, and the project has no such file. Did you mean 'train.py'?",
        ),
        ("bash src/run.sh", "the command runs src/run.sh, and the project has no such file."),
        ("python train.py {a}", None),
        ("python ./src/../train.py", None),
        ("python src/prepare.py && python gone.py", None),
        # What cannot be known without running the command.
        ("python -m gone", None),
        ("cd src && python gone.py", None),
        ("python {a}.py", None),
        ("python /opt/gone.py", None),
        ("python $DIR/gone.py", None),
    ],
)
def test_a_command_whose_script_is_not_there_is_worth_a_warning(command, warning):
    found = check(main(f"'{command}'", "a: string"), "train.py", "src/prepare.py")

    assert [(problem.severity, problem.place, problem.message) for problem in found] == (
        [("warning", "MLproject:4:14", warning)] if warning else []
    )


def objections(text: str | None, parameters: dict[str, str | None], entry_point: str = "main") -> list[str]:
    of = files(text, "train.py")
    project, problems = Project.check(of)
    assert problems == ()
    return [str(problem) for problem in project.objections(entry_point, parameters, files=of, places=Marked())]


def test_everything_that_is_wrong_with_a_call_is_found_at_once():
    declared = "a: float, b: {type: int, default: 1}, c: string, alpha: path, d: float"

    assert objections(main("run", declared), {"b": "x", "alpha": "", "Alpha": "1", "d": "?", "": "x"}) == [
        "No value given for missing parameters: 'a', 'c'",
        "Parameter 'b' got 'x', which is not a whole number such as 42. Its type is int (MLproject:3:38).",
        "Got value  for parameter alpha, but no such file or directory was found.",
        "Parameter 'd' got '?', which is not a number such as 0.5 or 1e-3. Its type is float (MLproject:3:83).",
        "Parameter '' has no name, or contains a NUL character.",
        "Parameter 'Alpha' is not declared and is appended as --Alpha. Did you mean 'alpha'?",
    ]


def test_a_value_that_is_not_known_here_is_given_all_the_same():
    assert objections(main("run", "a: float, b: int"), {"a": None, "b": "x", "c": None}) == [
        "Parameter 'b' got 'x', which is not a whole number such as 42. Its type is int (MLproject:3:31)."
    ]


def test_an_entry_point_that_is_not_there_is_found():
    assert objections(None, {}, "train.py") == []
    assert objections(None, {}, "trian.py") == [
        "Could not find trian.py: it is no entry point, and the project has no such file. Did you mean 'train.py'?"
    ]


@pytest.mark.parametrize(
    ("command", "parameters", "fault"),
    [
        ("run {c}", "a: float, b: int", "the command uses {c}"),
        ("run", "a: float, b: banana", "parameter 'b' has the unknown type 'banana'"),
        ("run", "a: float, b: {type: int, default: x}", "the default of parameter 'b' is 'x'"),
    ],
)
def test_what_the_author_has_to_put_right_is_told_before_what_the_caller_has(command, parameters, fault):
    with pytest.raises(ProjectInvalid) as caught:
        call(main(f"'{command}'", parameters))
    assert fault in str(caught.value)

    with pytest.raises(ProjectInvalid):
        call(main(f"'{command}'", parameters), parameters={"a": "no number"})


def test_without_validation_only_the_command_counts():
    declared = "a: float, b: banana, c: {type: int, default: x}"

    with pytest.raises(ParameterMissing):
        call(main("run", declared), validate=False)
    with pytest.raises(ProjectInvalid, match=r"the command uses \{d\}"):
        call(main("'run {d}'", declared), validate=False)
