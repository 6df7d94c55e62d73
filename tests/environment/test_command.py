"""``mlp env``, as it is typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.package_server import serving
from tests.servers.wheels import Index

MLP = Path(sys.executable).parent / "mlp"


@pytest.fixture
def mlp(monkeypatch, cache):
    monkeypatch.setenv("MLP_ENV_ROOT", str(cache.root))

    def run(*arguments, status: int = 0):
        done = subprocess.run([MLP, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == status, done.stderr
        return done

    return run


def test_nothing_to_list(mlp, cache):
    assert mlp("env", "list").stderr == f"No environments in {cache.root}.\n"


def test_environments_are_listed(mlp, cache, python_env, project):
    environment = cache.ensure(python_env("dependencies: [alpha]\n"))
    header, row = mlp("env", "list").stdout.splitlines()
    assert header.split() == ["HASH", "KIND", "SIZE", "CREATED", "USED", "FOR"]
    assert row.split()[:2] == [environment.hash, "python"]
    assert row.endswith(str(project / "python_env.yaml"))


def test_what_would_be_deleted_is_shown_first(mlp, cache, python_env):
    specification = python_env("dependencies: [alpha]\n")
    environment = cache.ensure(specification)
    assert mlp("env", "prune").stderr == "0 environments and 0 cached conda packages deleted.\n"
    asked = mlp("env", "prune", "--all", "--dry-run")
    assert environment.hash in asked.stdout
    assert asked.stderr == "1 environment would be deleted.\n"
    assert cache.find(specification)
    done = mlp("env", "prune", "--all")
    assert environment.hash in done.stdout
    assert done.stderr == "1 environment and 0 cached conda packages deleted.\n"
    assert not cache.find(specification)
    assert not list((cache.layout.caches / "uv").rglob("alpha*"))


@pytest.mark.parametrize(
    "limit", [["--unused-for", "0s"], ["--unused-for", "0d"], ["--keep", "0"], ["--max-size", "1K"]]
)
def test_limits(mlp, cache, python_env, limit):
    specification = python_env("dependencies: [alpha]\n")
    cache.ensure(specification)
    mlp("env", "prune", *limit)
    assert not cache.find(specification)


def test_limits_that_make_no_sense(mlp):
    assert "--all leaves nothing for another limit" in mlp("env", "prune", "--all", "--keep", 1, status=2).stderr
    assert "'many' is no size; write such as 500M or 20G" in mlp("env", "prune", "--max-size", "many", status=2).stderr


def test_an_environment_that_is_used_stays(mlp, cache, python_env):
    with cache.ensure(python_env("dependencies: [alpha]\n")).hold():
        assert "stays: it is being built or used" in mlp("env", "prune", "--all").stderr


def test_lock_files_of_a_conda_project(mlp, conda, project):
    conda("python", "greeter")
    done = mlp("env", "lock", project)
    files = [project / ".mlp" / name for name in ("env.lock.yaml", "explicit.txt", "pip-freeze.txt")]
    assert done.stdout.split() == list(map(str, files))
    assert "greeter-1.0-py_0" in files[1].read_text()


def test_lock_files_of_pip_packages_have_hashes(mlp, project, tmp_path, monkeypatch):
    index = Index(tmp_path / "index")
    index.add("gamma")
    monkeypatch.delenv("UV_NO_INDEX")
    (project / "python_env.yaml").write_text("dependencies: [gamma]\n")
    with serving(index.root) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        mlp("env", "lock", project, "--output", tmp_path / "locks")
    locked = (tmp_path / "locks" / "requirements.lock").read_text()
    assert locked.startswith("gamma==1.0")
    assert "--hash=sha256:" in locked


def test_a_project_without_an_environment_cannot_be_locked(mlp, project):
    (project / "MLproject").write_text("name: x\n")
    assert "declares no conda or Python environment" in mlp("env", "lock", project, status=2).stderr
