"""Projects that a workspace fetches from Git itself: who serves them, and which Python file of theirs is run."""

from __future__ import annotations

import shlex

import pytest

from mlp.backends.databricks.git_projects import git_provider, in_repository, python_call, spark_python_call
from mlp.backends.databricks.task import GitProject
from mlp.errors import UsageError


@pytest.mark.parametrize(
    ("uri", "provider"),
    [
        ("https://github.com/ann/wine.git", "gitHub"),
        ("https://GitLab.com/ann/wine", "gitLab"),
        ("https://bitbucket.org/ann/wine", "bitbucketCloud"),
        ("https://dev.azure.com/ann/wine/_git/wine", "azureDevOpsServices"),
        ("https://ann.visualstudio.com/wine/_git/wine", "azureDevOpsServices"),
        ("https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/wine", "awsCodeCommit"),
    ],
)
def test_who_serves_a_repository_is_told_by_its_host(uri, provider):
    assert git_provider(uri) == provider


def test_of_a_host_of_one_s_own_it_is_said():
    assert git_provider("https://git.example.com/wine", "gitHubEnterprise") == "gitHubEnterprise"
    with pytest.raises(UsageError, match=r"Who serves Git on git\.example\.com cannot be told .* git_provider"):
        git_provider("https://git.example.com/wine")


@pytest.mark.parametrize("uri", ["git@github.com:ann/wine.git", "ssh://git@github.com/ann/wine.git"])
def test_databricks_fetches_nothing_over_ssh(uri):
    with pytest.raises(UsageError, match="over https"):
        git_provider(uri, "gitHub")


@pytest.mark.parametrize(
    ("command", "call"),
    [
        ("python train.py", ("train.py", ())),
        ("  python3 src/train.py --alpha 0.5 \n", ("src/train.py", ("--alpha", "0.5"))),
        ("python3.12 train.py a\\ b", ("train.py", ("a b",))),
        ("python train.py \\\n  --alpha 1", ("train.py", ("--alpha", "1"))),
        ("python train.py \"a b\" '$HOME; x'", ("train.py", ("a b", "$HOME; x"))),
    ],
)
def test_a_plain_call_of_a_python_file_is_taken_apart(command, call):
    assert python_call(command) == call


def test_values_arrive_exactly_as_they_were_quoted():
    nasty = ["a b", "it's", '"', "$HOME", "`id`", "x; false", "a\nb", "Zoë 🐍", "", "*", "{x}", "\\n", "a=b", "#", "!"]

    assert python_call(f"python train.py {shlex.join(nasty)}") == ("train.py", tuple(nasty))


@pytest.mark.parametrize(
    "command",
    [
        "bash train.sh",
        "python -m train",
        "python -u train.py",
        "python",
        "ALPHA=1 python train.py",
        "python train.py && echo done",
        "python train.py > log",
        "python train.py $ALPHA",
        'python train.py "$ALPHA"',
        "python train.py *.csv",
        "python train.py `id`",
        "python train.py\npython test.py",
        "python train.py 'open",
        "python train.py # why",
    ],
)
def test_what_needs_a_shell_is_refused_with_the_way_out(command):
    with pytest.raises(UsageError, match=r"Databricks runs a Python file .* Have the project uploaded"):
        python_call(command)


def test_a_spark_job_s_other_command_is_refused_in_mlflow_s_words():
    assert spark_python_call("python job.py 3") == ("job.py", ("3",))
    with pytest.raises(UsageError, match=r"^Databricks spark job only supports 'python' command in the entry point"):
        spark_python_call("bash job.sh")


def test_a_file_is_named_from_the_repository_s_root():
    project = GitProject(uri="https://github.com/ann/wine", provider="gitHub", commit="0" * 40, subdirectory="a/b")

    assert in_repository(project, "./train.py") == "a/b/train.py"


@pytest.mark.parametrize("value", ["a\\\nb", "a\nb\\", "it's \\\n", "\\", " \t", "ü$`!", ""])
def test_the_files_arguments_are_exactly_the_values(value):
    assert python_call(f"python train.py {shlex.quote(value)} x") == ("train.py", (value, "x"))


def test_a_command_goes_on_behind_a_backslash_as_it_does_in_a_shell():
    assert python_call("python train.py \\\n  --alpha 1 \\\n  --be\\\nta 2\n") == (
        "train.py",
        ("--alpha", "1", "--beta", "2"),
    )
