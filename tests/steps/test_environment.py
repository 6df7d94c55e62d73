"""The step ``environment``, over a real channel, wheels, and servers that want credentials or hold back."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mlp.environment import EnvironmentCache
from tests.environment.local_package import write_package
from tests.environment.mounts import tmpfs
from tests.processes import running_in
from tests.servers.conda_channel import Channel, Package, noarch, python_stub
from tests.servers.package_server import serving
from tests.steps.pods import CONDA, PYTHON, SOURCE, Pod, conda, declare, mount, running

PATIENCE = 120.0
MARK = {"MLP_POD_UID": "0c9d-1", "MLP_POD_NAMESPACE": "team", "MLP_POD_NAME": "run-x7"}
HELLO = Package(
    "hello",
    files={
        "bin/hello": '#!/bin/sh\necho "hello $FLAVOUR"\n',
        # Many packages' scripts look for variables that are not set.
        "etc/conda/activate.d/hello.sh": 'if [ "$MLP_NEVER_SET" = "" ]; then export ACTIVATED=yes; fi\n',
    },
    executable={"bin/hello"},
)


def in_main(pod, command, *options, **how):
    """What container main does with a command."""
    return subprocess.run(
        ["bash", *options, "-c", f". {pod.layout.activate} || exit 126\n{command}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **how,
    )


@pytest.fixture
def channel(tmp_path):
    return Channel(tmp_path / "channel", HELLO)


def test_an_environment_is_built_once_and_activated_for_main(pod, conda_channel):
    declare(pod, conda(conda_channel.url, "python", "greeter", "pip: [alpha]"))
    first = pod.run("environment")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Environment: Solving for" in first.stdout
    assert re.search(r"Built conda environment \w{20} for conda.yaml in \d", first.stdout)
    assert pod.report["message"].startswith("Built conda environment")
    assert in_main(pod, "greeter; alpha").stdout == "greeter 1.0\nalpha 1.0\n"
    second = pod.run("environment")
    assert pod.report["message"].startswith("Found conda environment")
    assert "Solving" not in second.stdout
    assert [(step["name"], step["state"]) for step in pod.report["steps"]] == [("environment", "Succeeded")]


def test_the_file_is_the_one_in_the_planned_subdirectory_and_the_manager_the_planned_one(pod, conda_channel):
    planned = {"kind": "conda", "file": "env/conda.yaml", "manager": "virtualenv"}
    file = pod.layout.project / "sub" / planned["file"]
    file.parent.mkdir(parents=True)
    file.write_text(conda(conda_channel.url, "pip: [-r requirements.txt]"))
    # Where MLflow looks: in the project's root, not beside the file.
    (pod.layout.project / "sub" / "requirements.txt").write_text("alpha\n")
    pod.plan(environment=planned, subdirectory="sub", **SOURCE)
    done = pod.run("environment")
    assert done.returncode == 0, done.stdout
    assert "Built python environment" in done.stdout
    assert in_main(pod, "alpha").stdout == "alpha 1.0\n"


def test_what_was_found_is_found_without_what_builds_and_downloads(pod):
    declare(pod, "dependencies: []\n", planned=PYTHON)
    assert pod.run("environment").returncode == 0
    code = "import sys; from mlp.steps.__main__ import main; main(); print(*sys.modules, sep='\\n', file=sys.stderr)"
    command = [sys.executable, "-c", code, *pod.command("environment")[3:]]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "Found python environment" in done.stdout
    imported = set(done.stderr.split())
    assert "mlp.environment.cache" in imported
    heavy = {"rattler", "boto3", "botocore", "requests", "urllib3", "git", "asyncio", "ssl", "kubernetes"}
    assert not heavy & imported
    assert not [name for name in imported if name.startswith(("mlp.source", "mlp.environment.building"))]


def test_activation_bears_a_strict_shell_another_user_and_a_volume_that_can_only_be_read(channel):
    with tempfile.TemporaryDirectory(prefix="mlp-pod-") as directory:
        pod = Pod(Path(directory))
        Path(directory).chmod(0o755)
        for path in (pod.layout.plan, pod.layout.termination_log):
            path.parent.mkdir(parents=True)
        declare(pod, conda(channel.url, "hello", more="variables: {FLAVOUR: vanilla}\n"))
        # What the kubelet may leave as umask.
        done = pod.run("environment")
        assert done.returncode == 0, done.stdout
        for path in pod.layout.environments.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
        other = {"user": 12345, "group": 65532, "extra_groups": []} if os.geteuid() == 0 else {}
        environment = {"PATH": os.environ["PATH"], "HOME": "/nowhere"}
        ran = in_main(pod, 'hello; echo "$ACTIVATED $-"', "-eu", env=environment, cwd="/", **other)
        assert ran.stderr == ""
        said, activated = ran.stdout.splitlines()
        assert said == "hello vanilla"
        assert activated.startswith("yes ")
        assert {"e", "u"} <= set(activated.split()[1])
        loose = in_main(pod, 'echo "$-"', env=environment, cwd="/", **other)
        assert "u" not in loose.stdout
        for path in pod.layout.environments.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)


def test_an_environment_that_is_gone_ends_the_command_with_126(pod, channel):
    declare(pod, conda(channel.url, "hello"))
    assert pod.run("environment").returncode == 0
    shutil.rmtree(pod.layout.environments)
    gone = in_main(pod, "echo on")
    assert (gone.returncode, gone.stdout) == (126, "")
    assert str(pod.layout.environments) in gone.stderr


def test_refreshed_is_built_anew(pod, channel):
    declare(pod, conda(channel.url, "hello"))
    assert pod.run("environment").returncode == 0
    declare(pod, conda(channel.url, "hello"), planned={**CONDA, "policy": "Refresh"})
    assert "Built conda environment" in pod.run("environment").stdout


def test_it_is_built_for_the_machine_that_main_will_run_on(pod, tmp_path):
    channel = Channel(tmp_path / "channel", Package("fast", depends=("__cuda >=12",)))
    declare(pod, conda(channel.url, "fast"), planned={**CONDA, "overrides": {"CONDA_OVERRIDE_CUDA": ""}})
    assert pod.run("environment").returncode == 69
    assert pod.report["reason"] == "EnvironmentUnsolvable"
    assert pod.report["steps"][0]["state"] == "Failed"
    declare(pod, conda(channel.url, "fast"), planned={**CONDA, "overrides": {"CONDA_OVERRIDE_CUDA": "12.4"}})
    assert pod.run("environment").returncode == 0


def test_a_file_that_cannot_be_understood_is_the_authors_mistake(pod):
    declare(pod, "dependencies: 3\n")
    assert pod.run("environment").returncode == 65
    assert pod.report["reason"] == "EnvironmentInvalid"
    assert not pod.layout.activate.exists()


@pytest.mark.parametrize(
    ("options", "reason", "code"), [("size=8k", "VolumeFull", 75), ("ro", "VolumeNotWritable", 69)]
)
def test_a_volume_that_will_not_do_has_a_reason_of_its_own(pod, channel, options, reason, code):
    declare(pod, conda(channel.url, "hello"))
    with tmpfs(pod.layout.environments, options):
        done = pod.run("environment", **MARK)
    assert done.returncode == code, done.stdout
    assert pod.report["reason"] == reason
    assert "claim" in pod.report["message"]
    assert "spec.environment.cache" in pod.report["message"]


class TestCredentials:
    def test_those_of_the_secret_reach_the_channel_and_stay_nowhere(self, pod, tmp_path):
        Channel(tmp_path / "served", HELLO)
        mount(pod.layout.environment_credentials, CHANNEL_TOKEN="t0ps3cret\n", MLP_ENV_SALT="s")
        with serving(tmp_path / "served", token="t0ps3cret") as server:
            declare(pod, conda(server.url.replace("127.0.0.1", "localhost") + "/t/${CHANNEL_TOKEN}", "hello"))
            done = pod.run("environment")
            assert done.returncode == 0, done.stdout
        everything = [done.stdout, done.stderr, pod.layout.termination_log.read_text()]
        everything += [
            file.read_text(errors="replace")
            for place in (pod.layout.environments, pod.layout.activate.parent)
            for file in place.rglob("*")
            if file.is_file()
        ]
        assert not [text for text in everything if "t0ps3cret" in text]

    def test_without_it_the_step_says_what_is_wanted(self, pod, tmp_path):
        Channel(tmp_path / "served", HELLO)
        with serving(tmp_path / "served", user=("bob", "pa55word")) as server:
            declare(pod, conda(server.url, "hello"))
            assert pod.run("environment").returncode == 67
        assert pod.report["reason"] == "EnvironmentAccessDenied"
        assert "credentials" in pod.report["message"]

    def test_a_netrc_file_is_found_by_its_variable(self, pod, tmp_path, wheels):
        mount(pod.layout.environment_credentials, NETRC="machine 127.0.0.1 login bob password pa55word\n")
        (tmp_path / "served").mkdir()
        page = tmp_path / "served" / "simple" / "alpha"
        page.mkdir(parents=True)
        (found,) = wheels.glob("alpha-*.whl")
        shutil.copy(found, page)
        (page / "index.html").write_text(f'<a href="{found.name}">{found.name}</a>')
        with serving(tmp_path / "served", user=("bob", "pa55word")) as server:
            declare(pod, "dependencies: [alpha]\n", planned=PYTHON)
            variables = {"UV_NO_INDEX": "", "UV_FIND_LINKS": "", "UV_DEFAULT_INDEX": f"{server.url}/simple"}
            done = pod.run("environment", **variables)
        assert done.returncode == 0, done.stdout

    def test_those_for_data_are_not_there_while_code_of_the_project_runs(self, pod, tmp_path):
        """Also where one process has both steps, which the operator never asks for."""
        mount(pod.layout.data_credentials, AWS_SECRET_ACCESS_KEY="hunter2")
        project = pod.layout.project
        write_package(project, "1")
        seen = tmp_path / "seen"
        backend = project / "backend.py"
        backend.write_text(f"import os\nopen({str(seen)!r}, 'w').write(repr(dict(os.environ)))\n{backend.read_text()}")
        (tmp_path / "served").mkdir()
        (tmp_path / "served" / "words.txt").write_text("words")
        with serving(tmp_path / "served", held=("words.txt",)) as server:
            declare(
                pod, "dependencies: [.]\n", planned=PYTHON, downloads={"d": (f"{server.url}/words.txt", "words.txt")}
            )
            with running(pod, "data", "environment") as process:
                assert server.asked_for_held.wait(PATIENCE)
                assert process.poll() is None
                assert not seen.exists()
                server.release()
                said = process.communicate(timeout=PATIENCE)[0]
            assert process.returncode == 0, said
        assert "PATH" in seen.read_text()
        assert "hunter2" not in seen.read_text()


class TestMarks:
    def test_a_pod_leaves_one_that_says_who_it_is(self, pod, channel):
        declare(pod, conda(channel.url, "hello"))
        assert pod.run("environment", **MARK).returncode == 0
        assert pod.run("environment", **{**MARK, "MLP_POD_UID": "0c9d-2"}).returncode == 0
        cache = EnvironmentCache(pod.layout.environments)
        (environment,) = cache.list()
        assert [(use.hash, use.id, use.holder) for use in cache.uses()] == [
            (environment.hash, "0c9d-1", "team/run-x7"),
            (environment.hash, "0c9d-2", "team/run-x7"),
        ]

    def test_one_that_has_no_environment_leaves_none(self, pod, channel):
        declare(pod, conda(channel.url, "nosuch"))
        assert pod.run("environment", **MARK).returncode == 69
        assert EnvironmentCache(pod.layout.environments).uses() == ()

    def test_outside_of_a_pod_there_is_none(self, pod, channel):
        declare(pod, conda(channel.url, "hello"))
        assert pod.run("environment").returncode == 0
        assert EnvironmentCache(pod.layout.environments).uses() == ()

    def test_an_environment_is_kept_from_the_moment_of_its_mark(self, pod, tmp_path):
        """The mark is there before the build, and so before anybody can take away what it has built."""
        Channel(tmp_path / "served", HELLO)
        with serving(tmp_path / "served", held=(".tar.bz2",)) as server:
            declare(pod, conda(server.url, "hello"))
            with running(pod, "environment", **MARK) as process:
                assert server.asked_for_held.wait(PATIENCE)
                assert len(EnvironmentCache(pod.layout.environments).uses()) == 1
                server.release()
                assert process.wait(PATIENCE) == 0


def builders_of(process):
    found = []
    for task in Path("/proc", str(process.pid), "task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def wait_until_gone(group):
    deadline = time.monotonic() + PATIENCE
    while left := running_in(group):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_8_steps_on_a_cold_cache_build_once(pod, tmp_path):
    Channel(tmp_path / "served", python_stub(), noarch("words"))
    with serving(tmp_path / "served", held=("words-1.0-py_0.tar.bz2",)) as server, contextlib.ExitStack() as stack:
        declare(pod, conda(server.url, "python", "words"))
        pods = [{**MARK, "MLP_POD_UID": f"pod-{number}"} for number in range(8)]
        processes = [stack.enter_context(running(pod, "environment", **mark)) for mark in pods]
        assert server.asked_for_held.wait(PATIENCE)
        # The one that builds cannot get on before all the others wait for it.
        cache = EnvironmentCache(pod.layout.environments)
        deadline = time.monotonic() + PATIENCE
        while len(cache.uses()) < len(pods):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        server.release()
        said = [process.communicate(timeout=PATIENCE)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * 8, said
    assert sum("Built conda environment" in text for text in said) == 1
    assert sum("Found conda environment" in text for text in said) == 7
    fetched = [request.path for request in server.requests if request.path.endswith(".tar.bz2")]
    assert len(fetched) == len(set(fetched)) == 2


def test_a_step_that_was_killed_leaves_nothing_in_the_way_of_the_next(pod, tmp_path):
    Channel(tmp_path / "served", HELLO)
    with serving(tmp_path / "served", held=(".tar.bz2",)) as server:
        declare(pod, conda(server.url, "hello"))
        with running(pod, "environment", **MARK) as process:
            assert server.asked_for_held.wait(PATIENCE)
            (builder,) = builders_of(process)
            process.kill()
            process.wait(PATIENCE)
        server.release()
        wait_until_gone(builder)
        assert "Built conda environment" in pod.run("environment", **MARK).stdout
    assert in_main(pod, "hello").stdout == "hello \n"
    assert stat.S_IMODE(pod.layout.activate.stat().st_mode) == 0o664
