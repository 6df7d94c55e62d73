"""Which environment a project asks for, by its file and by convention."""

from __future__ import annotations

import pytest

from mlp.errors import EntryPointNotFound, ProjectInvalid
from mlp.project import Environment

from .build import call, files, load

X8 = "Project configuration (MLproject file) was invalid: Docker environment specified but no image attribute found."
X9 = (
    "Project configuration (MLproject file) was invalid: Docker volumes must be a list of strings, e.g.: "
    '\'["/path1/:/path1", "/path2/:/path2"])'
)
X10 = (
    "Project configuration (MLproject file) was invalid: environment must be a list containing either strings (to copy "
    "environment variables from host system) or lists of string pairs (to define new environment variables).E.g.: "
    '\'[["NEW_VAR", "new_value"], "VAR_TO_COPY_FROM_HOST"])'
)


@pytest.mark.parametrize(
    ("text", "paths", "environment"),
    [
        # By convention, with and without a file.
        (None, [], Environment()),
        (None, ["conda.yaml"], Environment("conda", "conda.yaml")),
        (None, ["python_env.yaml"], Environment("python", "python_env.yaml")),
        (None, ["conda.yaml", "python_env.yaml"], Environment("python", "python_env.yaml")),
        (None, ["requirements.txt", "environment.yml", "src/conda.yaml"], Environment()),
        ("name: x", ["conda.yaml"], Environment("conda", "conda.yaml")),
        ("name: x", ["conda.yaml", "python_env.yaml"], Environment("python", "python_env.yaml")),
        # By name.
        ("conda_env: c.yaml", ["c.yaml", "python_env.yaml"], Environment("conda", "c.yaml")),
        ("conda_env: envs/./c.yaml", ["envs/c.yaml"], Environment("conda", "envs/c.yaml")),
        ("conda_env: envs/../c.yaml", ["c.yaml"], Environment("conda", "c.yaml")),
        ("python_env: p.yaml", ["p.yaml", "conda.yaml"], Environment("python", "p.yaml")),
        # Null and an empty text name nothing, as in MLflow: then the conventions hold.
        ("conda_env:", ["conda.yaml"], Environment("conda", "conda.yaml")),
        ("python_env: ''", [], Environment()),
        # Images.
        ("docker_env: {image: 'python:3.12'}", ["conda.yaml"], Environment("docker", image="python:3.12")),
        (
            "docker_env: {image: i, volumes: ['/a:/b', /c:/d], environment: [[A, b c], HOME, [N, 1], [T, yes]]}",
            [],
            Environment(
                "docker",
                image="i",
                volumes=("/a:/b", "/c:/d"),
                variables=(("A", "b c"), "HOME", ("N", "1"), ("T", "True")),
            ),
        ),
        ("docker_env: {image: i, volumes: , environment: }", [], Environment("docker", image="i")),
        ("docker_env: {image: i, volumes: [], environment: []}", [], Environment("docker", image="i")),
    ],
)  # fmt: skip
def test_the_environment_is_what_the_file_names_or_the_conventions_give(text, paths, environment):
    assert load(text, *paths).environment == environment


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "conda_env: a\npython_env: b",
            "MLproject:2:1: Project cannot contain multiple environment fields: {'conda_env', 'python_env'}",
        ),
        (
            "docker_env: {}\nconda_env:",
            "MLproject:2:1: Project cannot contain multiple environment fields: {'docker_env', 'conda_env'}",
        ),
        (
            "conda_env: c.yaml",
            "MLproject:1:12: Project specified conda environment file c.yaml, but no such file was found.",
        ),
        (
            "name: x\npython_env: p.yaml",
            "MLproject:2:13: Project specified python_env file p.yaml, but no such file was found.",
        ),
        ("conda_env: ../c.yaml", "MLproject:1:12: The conda environment file ../c.yaml lies outside the project"),
        ("conda_env: a/../../c.yaml", "lies outside the project"),
        ("python_env: /etc/passwd", "The python_env file /etc/passwd lies outside the project"),
        ("conda_env: [c.yaml]", "MLproject:1:12: conda_env is a list, but it must be the path of a file"),
        ("python_env: 3.11", "MLproject:1:13: python_env is a number, but it must be the path of a file"),
        ("conda_env: {dependencies: []}", "conda_env is a mapping, but it must be the path of a file"),
        ("docker_env:", f"MLproject:1:12: {X8}"),
        ("docker_env: {}", f"MLproject:1:13: {X8}"),
        ("docker_env: {volumes: []}", X8),
        ("docker_env: {image: }", X8),
        ("docker_env: {image: ''}", X8),
        ("docker_env: {image: 3.11}", "MLproject:1:21: the image of docker_env is a number, but it must be a text; pu"),
        ("docker_env: python:3", "MLproject:1:13: docker_env is a text, but it must be a mapping with an image"),
        ("docker_env: {image: x, volume: []}", "docker_env has no key 'volume'. Did you mean 'volumes'?"),
        ("docker_env: {image: x, volumes: '/a:/b'}", f"MLproject:1:33: {X9}"),
        ("docker_env: {image: x, volumes: ['/a:/b', 1]}", f"MLproject:1:43: {X9}"),
        ("docker_env: {image: x, volumes: {a: b}}", X9),
        ("docker_env: {image: x, environment: HOME}", f"MLproject:1:37: {X10}"),
        ("docker_env: {image: x, environment: {A: b}}", X10),
        ("docker_env: {image: x, environment: [HOME, 1]}", f"MLproject:1:44: {X10}"),
        ("docker_env: {image: x, environment: [[A]]}", f"MLproject:1:38: {X10}"),
        ("docker_env: {image: x, environment: [[A, b, c]]}", X10),
        ("docker_env: {image: x, environment: [[A, [b]]]}", X10),
        ("docker_env: {image: x, environment: [[A, ]]}", X10),
        ("docker_env: {image: x, environment: [[1, b]]}", X10),
        ("docker_env: {image: x, environment: ['']}", X10),
        ("docker_env: {image: x, environment: [A=b c]}", f'{X10} To set A, write ["A", "b c"].'),
    ],
)  # fmt: skip
def test_an_environment_that_cannot_be_meant_is_refused(text, message):
    with pytest.raises(ProjectInvalid) as caught:
        load(text, "conda.yaml")
    assert message in str(caught.value)


def test_an_unknown_key_of_docker_env_is_ignored_with_a_warning():
    (warning,) = load("docker_env: {image: x, gpus: all}").warnings
    assert warning.startswith("MLproject:1:24: 'gpus' in docker_env is ignored")


def test_the_environment_travels_with_the_invocation():
    of = files("python_env: p.yaml\nentry_points: {main: {command: ls}}", "p.yaml")
    assert call(of).environment == Environment("python", "p.yaml")


def test_a_spark_job_is_kept_as_it_is():
    job = {"python_file": "job.py", "parameters": ["a", 1], "python_libraries": ["numpy==2"]}
    project = load(f"name: x\ndatabricks_spark_job: {job}", "conda.yaml")
    assert project.databricks_spark_job == job
    assert project.environment == Environment()
    assert load("databricks_spark_job:").databricks_spark_job is None


def test_a_project_that_is_only_a_spark_job_says_that_it_runs_on_databricks_alone():
    with pytest.raises(EntryPointNotFound, match="a python_file, which the Databricks backend alone can run"):
        call(files("databricks_spark_job: {python_file: job.py}", "job.py"), "job.py")


def test_the_entry_points_of_a_spark_job_are_those_declared():
    of = files("databricks_spark_job: {}\nentry_points: {main: {command: python a.py}}", "a.py")
    assert call(of).command == "python a.py"
    with pytest.raises(
        EntryPointNotFound, match=r"The entry point 'a\.py' is not defined in the Databricks spark job MLproject file\."
    ):
        call(of, "a.py")


ENTRY = "\nentry_points: {main: {parameters: {a: path}, command: ls}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "databricks_spark_job: {parameters: []}",
            "MLproject:1:23: Databricks Spark job requires either 'databricks_spark_job.python_file' setting or 'entry",
        ),
        (
            "databricks_spark_job: {python_file: a.py}\nentry_points: {main: {command: ls}}",
            "Databricks Spark job does not allow setting both 'databricks_spark_job.python_file' and 'entry_points'.",
        ),
        (
            "databricks_spark_job: {}" + ENTRY,
            "Databricks Spark job does not support entry point parameter of 'path' type. 'a' value type is invalid.",
        ),
        (
            "databricks_spark_job: {python_file: a.py}\ndocker_env: {image: x}",
            "MLproject:2:1: Databricks Spark job does not support setting docker environment.",
        ),
        (
            "databricks_spark_job: {python_file: a.py}\npython_env: p.yaml",
            "Databricks Spark job does not support setting python environment.",
        ),
        (
            "databricks_spark_job: {python_file: a.py}\nconda_env: c.yaml",
            "Databricks Spark job does not support setting conda environment.",
        ),
        ("databricks_spark_job: a.py", "databricks_spark_job is a text, but it must be a mapping with a python_file."),
        ("databricks_spark_job: {python_file: [a.py]}", "python_file of databricks_spark_job is a list, but it must b"),
        ("databricks_spark_job: {python_file: a, parameters: b}", "parameters of databricks_spark_job is a text, but "),
        ("databricks_spark_job: {python_flie: a.py}", "databricks_spark_job has no key 'python_flie'. Did you mean"),
    ],
)  # fmt: skip
def test_a_spark_job_that_contradicts_the_rest_is_refused(text, message):
    with pytest.raises(ProjectInvalid) as caught:
        load(text)
    assert message in str(caught.value)


def test_a_spark_jobs_python_file_is_run_with_its_own_parameters_as_texts():
    project = load("databricks_spark_job: {python_file: jobs/a.py, parameters: [--n, 1, 0.5, true, 'x y']}")
    assert project.spark_script is not None
    assert project.spark_script.file == "jobs/a.py"
    assert project.spark_script.arguments == ("--n", "1", "0.5", "True", "x y")


def test_other_projects_have_no_such_script():
    assert load("name: x").spark_script is None
    assert load("{databricks_spark_job: {}, entry_points: {main: {command: python a.py}}}").spark_script is None
