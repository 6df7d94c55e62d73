from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from mlp.errors import UsageError
from mlp.steps import Layout, run_steps
from tests.cluster.fixtures import is_ci
from tests.servers import git_http, lfs
from tests.source import repositories


def test_the_project_its_home_and_the_init_program_are_put_in_place(pod, repository, commit):
    pod.plan(uri=repository.uri, commit=commit, protocols=("file",))
    done = pod.run("clone")
    assert done.returncode == 0, done.stdout + done.stderr
    assert commit in done.stdout
    assert repositories.files_below(pod.layout.project) == {"MLproject", "sub/MLproject", "other/f"}
    assert pod.layout.home.is_dir()
    assert stat.S_IMODE(pod.layout.init_program.stat().st_mode) == 0o755
    assert subprocess.run([pod.layout.init_program, "--", "true"], timeout=10, check=False).returncode == 0
    assert pod.report["reason"] == "Completed"
    (step,) = pod.report["steps"]
    assert step["name"] == "clone"
    assert datetime.fromisoformat(step["startTime"]) <= datetime.fromisoformat(step["completionTime"])
    assert step["startTime"].endswith("Z")


def test_only_the_planned_subdirectory_is_brought(pod, repository, commit):
    pod.plan(uri=repository.uri, commit=commit, protocols=("file",), subdirectory="sub", ref="refs/heads/main")
    assert pod.run("clone").returncode == 0
    assert repositories.files_below(pod.layout.project) == {"MLproject", "sub/MLproject"}


def test_what_an_earlier_attempt_left_is_removed(pod, repository, commit):
    pod.plan(uri=repository.uri, commit=commit, protocols=("file",))
    (pod.layout.project / "half").mkdir(parents=True)
    (pod.layout.project / "half/done").write_text("x")
    (pod.layout.project / "link").symlink_to("half")
    (pod.layout.home / ".aws").mkdir(parents=True)
    (pod.layout.home / ".aws" / "config").write_text("[default]\ncredential_process = /mlp/run/project/x\n")
    assert pod.run("clone").returncode == 0
    assert list(pod.layout.home.iterdir()) == []
    assert pod.run("clone").returncode == 0
    assert repositories.files_below(pod.layout.project) == {"MLproject", "sub/MLproject", "other/f"}


def test_another_user_of_the_same_group_may_write_into_the_project(pod, repository, commit):
    pod.plan(uri=repository.uri, commit=commit, protocols=("file",))
    assert pod.run("clone").returncode == 0
    for path in (pod.layout.project, pod.layout.home, pod.layout.project / "MLproject"):
        assert path.stat().st_mode & stat.S_IWGRP, path


@pytest.mark.parametrize(("other_hosts", "code"), [(False, 64), (True, 0)])
def test_submodules_of_other_hosts_come_where_the_plan_allows_them(pod, repository, tmp_path, other_hosts, code):
    library = repositories.create(tmp_path / "elsewhere" / "library")
    library.commit({"lib.py": "pass\n"})
    with git_http.serving(library.path.parent) as other, git_http.serving(repository.path.parent) as server:
        repository.add_submodule(library.uri, "library")
        address = f"{other.url.replace('127.0.0.1', 'localhost')}/library"
        repository.git("config", "--file", ".gitmodules", "submodule.library.url", address)
        commit = repository.commit({})
        pod.plan(uri=f"{server.url}/project", commit=commit, protocols=("http",), other_hosts=other_hosts)
        assert pod.run("clone").returncode == code
    assert (pod.layout.project / "library/lib.py").is_file() == other_hosts


class TestCredentials:
    @pytest.fixture
    def server(self, repository):
        accounts = git_http.Accounts({"bob": "hunter2"})
        with git_http.serving(repository.path.parent, accounts=accounts) as server:
            yield server

    def mount(self, pod, password):
        pod.layout.credentials.mkdir(parents=True)
        (pod.layout.credentials / "username").write_text("bob")
        (pod.layout.credentials / "password").write_text(password)

    def test_mounted_ones_are_used_where_the_plan_says_so(self, pod, server, commit):
        self.mount(pod, "hunter2")
        pod.plan(uri=f"{server.url}/project", commit=commit, protocols=("http",), credentials=True)
        done = pod.run("clone")
        assert done.returncode == 0, done.stdout
        assert "hunter2" not in done.stdout + done.stderr + pod.layout.termination_log.read_text()

    def test_without_that_word_they_are_not(self, pod, server, commit):
        self.mount(pod, "hunter2")
        pod.plan(uri=f"{server.url}/project", commit=commit, protocols=("http",))
        assert pod.run("clone").returncode == 67
        assert not any(request.credentials for request in server.requests)

    def test_wrong_ones_end_with_the_code_that_is_not_tried_again(self, pod, server, commit):
        self.mount(pod, "wrong-pa55")
        pod.plan(uri=f"{server.url}/project", commit=commit, protocols=("http",), credentials=True)
        done = pod.run("clone")
        assert done.returncode == 67
        assert pod.report["reason"] == "AuthenticationFailed"
        assert "authSecretRef" in pod.report["message"]
        assert pod.report["steps"][0]["name"] == "clone"
        assert pod.report["message"] in done.stdout
        assert "wrong-pa55" not in done.stdout + done.stderr + pod.layout.termination_log.read_text()

    def test_a_server_that_fails_ends_with_the_code_that_is_tried_again(self, pod, server, commit):
        server.behaviour.status = 503
        pod.plan(uri=f"{server.url}/project", commit=commit, protocols=("http",))
        assert pod.run("clone").returncode == 75
        assert pod.report["reason"] == "SourceUnavailable"

    def test_sigterm_ends_the_step_and_git_at_once(self, pod, server, commit, monkeypatch):
        marker = f"/mlp-steps-mark-{os.getpid()}"
        monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{marker}")
        server.behaviour.delay = 60
        pod.plan(uri=f"{server.url}/project", commit=commit, protocols=("http",))
        with subprocess.Popen(pod.command("clone"), stdout=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 30
            while len(marked(marker)) < 3:  # the step, git, and git's child
                assert time.monotonic() < deadline
                time.sleep(0.02)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 128 + signal.SIGTERM
        assert time.monotonic() - began < 10
        assert marked(marker) == []
        assert pod.report["reason"] == "Terminated"
        assert list(pod.layout.project.iterdir()) == []


def marked(marker):
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("source", "code", "reason"),
    [
        ({"uri": "file:///no/such/repository", "commit": "0" * 40}, 66, "SourceNotFound"),
        ({"uri": "{repository}", "commit": "0" * 40}, 66, "SourceNotFound"),
        ({"uri": "{repository}", "commit": "{commit}", "subdirectory": "nix"}, 66, "SourceNotFound"),
        ({"uri": "{repository}", "commit": "main"}, 64, UsageError.reason),
        ({"uri": "{repository}", "commit": "{commit}", "protocols": ("https",)}, 64, "SourceInvalid"),
    ],
)
def test_an_error_ends_with_its_exit_code_and_a_report(pod, repository, commit, source, code, reason):
    values = {key: value.format(repository=repository.uri, commit=commit) if isinstance(value, str) else value
              for key, value in source.items()}  # fmt: skip
    pod.plan(**({"protocols": ("file",)} | values))
    done = pod.run("clone")
    assert done.returncode == code
    assert pod.report["reason"] == reason
    assert f"{reason}: {pod.report['message']}" in done.stdout
    assert list(pod.layout.project.iterdir()) == []


def test_a_plan_that_is_missing_or_none_is_told_as_such(pod):
    assert pod.run("clone").returncode == 64
    assert "cannot be read" in pod.report["message"]
    pod.layout.plan.write_text("{}")
    assert pod.run("clone").returncode == 64
    assert "different versions" in pod.report["message"]


def test_a_step_that_there_is_not_is_refused(pod, repository, commit):
    pod.plan(uri=repository.uri, commit=commit, protocols=("file",))
    assert pod.run("clone", "cloen").returncode == 64
    assert "cloen" in pod.report["message"]
    assert not pod.layout.project.exists()


def test_an_image_without_the_init_program_is_told_so(pod, repository, commit, monkeypatch, capsys):
    pod.plan(uri=repository.uri, commit=commit, protocols=("file",))
    monkeypatch.setattr("mlp.steps.clone._INIT_PROGRAM", "/nowhere/catatonit")
    monkeypatch.setenv("PATH", "/nowhere")
    assert run_steps(["clone"], pod.layout) == 70
    assert "no init program" in pod.report["message"]
    assert "no init program" in capsys.readouterr().out


def test_the_init_program_is_found_on_path_too(pod, repository, commit, monkeypatch, tmp_path):
    pod.plan(uri=repository.uri, commit=commit, protocols=("file",))
    program = tmp_path / "bin/catatonit"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("mlp.steps.clone._INIT_PROGRAM", "/nowhere/catatonit")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert run_steps(["clone"], pod.layout) == 0
    assert pod.layout.init_program.read_text() == "#!/bin/sh\n"


def test_an_error_of_our_own_is_reported_and_traced(pod, repository, commit, capsys):
    pod.plan(uri=repository.uri, commit=commit, protocols=("file",))
    pod.layout.home.parent.mkdir(parents=True, exist_ok=True)
    pod.layout.home.write_text("a file where a directory belongs")
    assert run_steps(["clone"], pod.layout) == 70
    assert pod.report["reason"] == "InternalError"
    assert "FileExistsError" in pod.report["message"]
    assert "Traceback" in capsys.readouterr().err


def test_without_another_root_the_paths_are_the_pods():
    layout = Layout()
    assert layout == Layout.under(Path("/"))
    assert str(layout.project) == "/mlp/run/project"


class TestLargeFiles:
    """Git LFS: contents where the plan wants them, else pointers."""

    @pytest.fixture
    def store(self):
        return lfs.LargeFiles()

    @pytest.fixture
    def server(self, repository, store):
        with git_http.serving(repository.path.parent, lfs=store) as server:
            yield server

    @pytest.fixture
    def commit(self, repository, store):
        return repository.commit({".gitattributes": lfs.ATTRIBUTES, "model.bin": store.put(b"weights")})

    @pytest.mark.skipif(not lfs.available() and not is_ci(), reason="there is no git-lfs on this machine")
    @pytest.mark.parametrize(("wanted", "begins"), [(True, b"weights"), (False, b"version https://git-lfs")])
    def test_contents_are_brought_where_the_plan_says_so(self, pod, server, commit, wanted, begins):
        pod.plan(uri=f"{server.url}/project", commit=commit, protocols=("http",), lfs=wanted)
        done = pod.run("clone")
        assert done.returncode == 0, done.stdout
        assert (pod.layout.project / "model.bin").read_bytes().startswith(begins)

    def test_an_image_without_the_program_is_told_so(self, pod, server, commit, tmp_path):
        programs = tmp_path / "programs"
        programs.mkdir()
        for name in ("git", "sh", "cat", "catatonit"):
            (programs / name).symlink_to(shutil.which(name) or "/usr/bin/catatonit")
        pod.plan(uri=f"{server.url}/project", commit=commit, protocols=("http",), lfs=True)
        assert pod.run("clone", PATH=str(programs)).returncode == 64
        assert "no program git-lfs" in pod.report["message"]
