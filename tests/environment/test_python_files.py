"""What python_env.yaml may say, and what a conda.yaml means without conda. Nothing is built here."""

from __future__ import annotations

import platform

import pytest

from mlp.environment import check_manager, read
from mlp.errors import EnvironmentInvalid, ExecutionException, UsageError

HERE = platform.python_version()


def test_the_three_keys_are_read(python_env, project):
    (project / "requirements.txt").write_text("numpy\nscipy\n")
    found = python_env("python: '3.11'\nbuild_dependencies: [pip==24, wheel]\ndependencies: [-r requirements.txt]\n")
    assert (found.kind, found.python, found.build, found.pip) == (
        "python",
        "3.11",
        ("pip==24", "wheel"),
        ("numpy", "scipy"),
    )


@pytest.mark.parametrize("text", ["", "dependencies: []\n", "python:\n", "python: ''\n"])
def test_without_a_version_it_is_that_of_the_interpreter_that_runs_mlp(python_env, text):
    assert python_env(text).python == HERE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("python: 3.10\n", r"^python_env\.yaml:1:9: `python` must be a string but got a number; write python: '3\.10'"),
        ("python: [3]\n", r"^python_env\.yaml:1:9: `python` must be a string but got a list\."),
        ("python: '>=3.8'\n", r"^python_env\.yaml:1:9: python is '>=3\.8', but it must be one version"),
        ("dependancies: [a]\n", r"^python_env\.yaml:1:1: 'dependancies' is no key .* Did you mean 'dependencies'\?"),
        ("name: x\n", r"^python_env\.yaml:1:1: 'name' is no key of a python_env file; the keys are python, build_"),
        ("dependencies: numpy\n", r"^python_env\.yaml:1:15: dependencies is a text, but it must be a list"),
        ("dependencies: [1]\n", r"^python_env\.yaml:1:16: an entry of dependencies is a number"),
        ("- python\n", r"^python_env\.yaml:1:1: the file is a list, but it must be a mapping with the keys python"),
        ("dependencies: [-r absent.txt]\n", r"^python_env\.yaml:1: there is no file absent\.txt in .*; give a path"),
        ("dependencies: [./absent]\n", r"^python_env\.yaml:1: there is no \./absent in "),
    ],
)
def test_a_mistake_is_told_with_its_place(python_env, text, message):
    with pytest.raises(EnvironmentInvalid, match=message):
        python_env(text)


def test_an_unknown_manager_is_refused_in_mlflows_words():
    message = "Invalid value for `env_manager`: poetry. Must be one of ['local', 'conda', 'virtualenv', 'uv']"
    with pytest.raises(UsageError) as raised:
        check_manager("poetry")
    assert str(raised.value) == message


def test_conda_cannot_build_a_python_env_in_mlflows_words(python_env):
    with pytest.raises(ExecutionException) as raised:
        python_env("", manager="conda")
    assert str(raised.value) == (
        "python_env project cannot be executed using conda. Set `--env-manager` to 'virtualenv' or 'local' to execute "
        "this project."
    )


def test_the_manager_local_builds_nothing(python_env):
    with pytest.raises(UsageError, match="local builds no environment"):
        python_env("", manager="local")


@pytest.mark.parametrize("manager", ["virtualenv", "uv"])
def test_without_conda_a_conda_file_is_its_pip_section(project, manager):
    file = project / "conda.yaml"
    file.write_text(
        "dependencies:\n- python=3.11.5\n- numpy=1.2\n- pip<=24.0\n- setuptools=69\n- pip: [requests, 'scipy>1']\n"
        "variables: {A: 1}\n"
    )
    found = read("conda", file, manager=manager)
    assert (found.kind, found.python, found.build, found.pip, found.variables) == (
        "python",
        "3.11.5",
        ("pip<=24.0", "setuptools==69"),
        ("requests", "scipy>1"),
        {},
    )
    assert found.warnings == (
        "The following conda dependencies will not be installed in the resulting environment: ['numpy=1.2']",
        "conda.yaml:7:1: variables are set in conda environments only.",
    )


def test_without_conda_and_a_version_it_is_that_of_the_interpreter_that_runs_mlp(project):
    (project / "conda.yaml").write_text("dependencies: [{pip: [requests]}]\n")
    found = read("conda", project / "conda.yaml", manager="uv")
    assert found.python == HERE
    assert found.warnings == (
        f"conda.yaml does not include a python version specification. Using the current python version {HERE}.",
    )


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        ("python", "Invalid dependency for python: python. It must be pinned (e.g. python=3.8.13)."),
        ("python<3.9", "Invalid version comparator for python: '<'. Must be one of ['<=', '>=', '=', '==']."),
        ("python!=3.9", "Invalid version comparator for python: '!='. Must be one of ['<=', '>=', '=', '==']."),
        ("{npm: [a]}", "Invalid conda dependency: {'npm': ['a']}. Must be str or dict in the form of {\"pip\": [...]}"),
    ],
)
def test_without_conda_the_mistakes_are_told_in_mlflows_words(project, dependency, message):
    (project / "conda.yaml").write_text(f"dependencies:\n- {dependency}\n")
    with pytest.raises(EnvironmentInvalid) as raised:
        read("conda", project / "conda.yaml", manager="virtualenv")
    place, _, rest = str(raised.value).partition(": ")
    assert (place, rest) == ("conda.yaml:2:3", message)


def test_managers_that_build_the_same_share_an_environment(python_env):
    hashes = {python_env("dependencies: [numpy]\n", manager=manager).hash for manager in (None, "virtualenv", "uv")}
    assert len(hashes) == 1
