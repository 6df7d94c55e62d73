"""``mlp run`` with Git repositories, by file:// and by the directory of a work tree."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.cli.program import MLP, commit, environment, git, mlp, project


@pytest.fixture
def repository(tmp_path):
    """A work tree with three commits: v1 is a tag, other a branch, main has moved on."""
    work = project(tmp_path / "work", "echo one; pwd", name="numbers")
    commit(work)
    git(work, "tag", "v1")
    git(work, "branch", "other")
    project(work, "echo two; pwd")
    commit(work)
    git(work, "checkout", "--quiet", "other")
    project(work, "echo other; pwd")
    commit(work)
    git(work, "checkout", "--quiet", "main")
    return work


@pytest.fixture
def bare(repository, tmp_path):
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), "numbers.git")
    return f"file://{tmp_path / 'numbers.git'}"


@pytest.fixture
def temporary(tmp_path):
    """Where temporary directories are made, to see that none is left."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    return directory


def test_a_repository_is_fetched_into_a_directory_that_goes_away(bare, temporary):
    done = mlp("run", bare, TMPDIR=str(temporary))

    assert done.returncode == 0
    said, directory = done.stdout.splitlines()
    assert said == "two"
    assert directory.startswith(f"{temporary}/mlp-")
    assert f"=== Fetching project from {bare} into {directory} ===" in done.stderr
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("status", [0, 3])
def test_the_directory_goes_away_however_the_command_ends(repository, temporary, status):
    project(repository, f"touch $PWD/made; exit {status}")
    commit(repository)

    done = mlp("run", f"file://{repository}", "-v", "main", TMPDIR=str(temporary))

    assert done.returncode == status
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(("version", "said"), [("v1", "one"), ("other", "other"), ("main", "two"), (None, "two")])
def test_a_version_is_a_branch_or_a_tag(bare, version, said):
    done = mlp("run", bare, *(["-v", version] if version else []))

    assert done.stdout.splitlines()[0] == said


@pytest.mark.parametrize("length", [40, 9])
def test_a_version_is_a_full_or_short_commit(repository, bare, length):
    first = git(repository, "rev-parse", "v1")

    done = mlp("run", bare, "-v", first[:length])

    assert done.stdout.splitlines()[0] == "one"
    assert first in done.stderr


def test_an_unknown_version_is_named(bare, temporary):
    done = mlp("run", bare, "-v", "v9", TMPDIR=str(temporary))

    assert done.returncode == 1
    assert "Unable to checkout version 'v9' of git repo" in done.stderr
    assert not list(temporary.iterdir())


def test_a_version_of_a_work_tree_leaves_the_tree_as_it_is(repository):
    (repository / "MLproject").write_text("entry_points: {main: {command: echo changed}}\n")
    before = git(repository, "status", "--porcelain=v2", "--branch"), git(repository, "config", "--list", "--local")

    assert mlp("run", repository, "-v", "other").stdout.splitlines()[0] == "other"
    assert mlp("run", ".", "-v", "v1", cwd=repository).stdout.splitlines()[0] == "one"

    after = git(repository, "status", "--porcelain=v2", "--branch"), git(repository, "config", "--list", "--local")
    assert after == before
    assert mlp("run", repository).stdout == "changed\n"


def test_a_version_of_a_subdirectory_of_a_work_tree_is_of_that_subdirectory(tmp_path):
    project(tmp_path / "work" / "inner", "echo one; pwd")
    commit(tmp_path / "work")
    git(tmp_path / "work", "tag", "v1")
    project(tmp_path / "work" / "inner", "echo two")

    for uri in (tmp_path / "work" / "inner", f"{tmp_path / 'work'}#inner"):
        said, directory = mlp("run", uri, "-v", "v1").stdout.splitlines()
        assert said == "one"
        assert directory.endswith("/inner")


def test_a_version_of_a_directory_that_is_in_no_repository_is_refused_in_mlflow_s_words(tmp_path):
    done = mlp("run", project(tmp_path, "true"), "-v", "v1")

    assert done.returncode == 1
    assert "Setting a version is only supported for Git project URIs" in done.stderr


def test_a_subdirectory_of_a_repository_is_the_project_and_names_it(tmp_path):
    project(tmp_path / "work" / "team" / "model", 'basename "$PWD"')
    commit(tmp_path / "work")

    assert mlp("run", f"file://{tmp_path / 'work'}#team/model", "-v", "main").stdout == "model\n"


def test_an_entry_point_s_default_path_is_found_in_the_fetched_project(tmp_path):
    work = project(tmp_path / "work", "cat {data}", parameters={"data": {"type": "path", "default": "shipped.csv"}})
    (work / "shipped.csv").write_text("shipped\n")
    commit(work)

    assert mlp("run", f"file://{work}", "-v", "main", cwd=tmp_path).stdout == "shipped\n"


def test_credentials_in_a_uri_are_refused_and_not_shown():
    done = mlp("run", "https://ann:s3cret@git.example.com/team/project.git")

    assert done.returncode == 1
    assert "s3cret" not in done.stdout + done.stderr


def test_a_run_that_is_ended_while_it_fetches_leaves_nothing(bare, temporary, tmp_path):
    """A Git that hangs stands for a server that does."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").write_text(f"#!/bin/sh\necho $$ > {tmp_path}/hanging\nexec sleep 300\n")
    (programs / "git").chmod(0o755)
    variables = environment(TMPDIR=str(temporary))
    variables["PATH"] = f"{programs}:{variables['PATH']}"

    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with subprocess.Popen([MLP, "run", bare], env=variables, stderr=subprocess.PIPE) as running:
            deadline = time.monotonic() + 20
            while not (tmp_path / "hanging").exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(0.1)
            running.send_signal(number)
            _, error = running.communicate(timeout=30)
        assert running.returncode == status
        assert b"Traceback" not in error
        assert not list(temporary.iterdir())
        hanging = (tmp_path / "hanging").read_text().strip()
        assert subprocess.run(
            ["ps", "-o", "stat=", "-p", hanging], capture_output=True, text=True, check=False
        ).stdout.strip() in {"", "Z", "Zs"}
        (tmp_path / "hanging").unlink()


def test_python_finds_the_fetched_project_s_own_modules(tmp_path):
    work = project(tmp_path / "work", f"{sys.executable} main.py")
    (work / "main.py").write_text("import beside\nprint(beside.VALUE)\n")
    (work / "beside.py").write_text("VALUE = 42\n")
    commit(work)

    assert mlp("run", f"file://{work}", "-v", "main").stdout == "42\n"


def test_pointers_of_large_files_stay_where_git_lfs_is_told_to_leave_them(tmp_path):
    work = project(tmp_path / "work", "head -c 42 model.bin")
    (work / ".gitattributes").write_text("*.bin -text\n")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 5\n"
    (work / "model.bin").write_text(pointer)
    commit(work)
    (work / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    git(work, "-c", "filter.lfs.clean=cat", "add", ".gitattributes")
    git(work, "-c", "filter.lfs.clean=cat", "commit", "--quiet", "--message", "pointers")

    done = mlp("run", work, "-v", "main", GIT_LFS_SKIP_SMUDGE="1")

    assert (done.returncode, done.stdout) == (0, pointer[:42])
    assert "model.bin" in done.stderr


def test_variables_with_a_password_are_no_reason_against_a_repository_by_ssh(temporary):
    """They may be set for all that somebody runs; an option is meant for this one run."""
    # Where nobody answers: the question is only what is said.
    uri = "ssh://git@127.0.0.1:1/wine.git"

    tried = mlp("run", uri, TMPDIR=str(temporary), MLFLOW_GIT_PASSWORD="pa55")
    refused = mlp("run", uri, "--git-password", "pa55", TMPDIR=str(temporary))

    assert (tried.returncode, refused.returncode) == (1, 4)
    assert "takes a key" not in tried.stderr
    assert "takes a key" in refused.stderr
