"""docker_env on one machine: the container's command line as a table, and containers of a real engine."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import subprocess
from pathlib import Path

import pytest

from mlp.backends.local.container import PROJECT_DIRECTORY, contain, container_arguments
from mlp.backends.local.container_storage import storage
from mlp.backends.local.engine import Engine, end_container, find_engine, refuse_to_build
from mlp.backends.local.mounts import Mount, volume
from mlp.errors import EngineUnavailable, ParameterInvalid, UsageError
from mlp.project import Environment

PROJECT = Path("/home/ann/project")
ENGINE = Engine("/usr/bin/docker", user="1000:1000")


def container(*, image="py:3", volumes=(), environment=(), engine=ENGINE, **given):
    declared = Environment("docker", image=image, volumes=tuple(volumes), variables=tuple(environment))
    settings = {"command": "python train.py", "variables": {}, "environ": {}, "project": PROJECT, "name": "mlp-1"}
    return contain(engine, environment=declared, caller=Path("/caller"), **{**settings, **given})


def values_of(option, arguments):
    return [value for name, value in itertools.pairwise(arguments) if name == option]


def test_the_project_lies_in_its_container_where_images_of_mlflow_have_it():
    made = container()

    assert made.arguments[:6] == ("/usr/bin/docker", "run", "--rm", "--init", "--name", "mlp-1")
    assert values_of("--workdir", made.arguments) == [PROJECT_DIRECTORY]
    assert values_of("--mount", made.arguments) == [f"type=bind,source={PROJECT},target={PROJECT_DIRECTORY}"]
    assert made.arguments[-8:-5] == ("--", "py:3", "sh")
    assert made.arguments[-1] == "python train.py"


def test_a_command_is_one_argument_whatever_it_holds():
    command = "a && b; c $(d) 'e f' \"$HOME\" `g`\nh"

    assert container(command=command).arguments[-1] == command


def test_files_belong_to_the_caller_who_has_a_home_to_write_to():
    made = container(environ={"USER": "ann"})

    assert values_of("--user", made.arguments) == ["1000:1000"]
    assert values_of("--env", made.arguments) == ["HOME=/tmp", "USER"]


def test_root_of_an_engine_without_a_daemon_keeps_the_home_of_the_image():
    made = container(engine=Engine("/usr/bin/podman", user="0:0", selinux=True))

    assert values_of("--user", made.arguments) == ["0:0"]
    assert values_of("--env", made.arguments) == []
    assert values_of("--security-opt", made.arguments) == ["label=disable"]


def test_no_value_of_a_variable_is_an_argument():
    made = container(
        environment=("TOKEN", ("PASSWORD", "p4ss word;x")),
        environ={"TOKEN": "t0ken", "USER": "ann"},
        variables={"MLFLOW_TRACKING_URI": "https://ann:s3cret@host", "MLFLOW_RUN_ID": "abc"},
    )

    assert set(values_of("--env", made.arguments)) >= {"TOKEN", "PASSWORD", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"}
    assert not [word for word in made.arguments for secret in ("t0ken", "p4ss", "s3cret") if secret in word]
    # What is copied is in the caller's environment already.
    assert made.variables == {
        "PASSWORD": "p4ss word;x",
        "MLFLOW_TRACKING_URI": "https://ann:s3cret@host",
        "MLFLOW_RUN_ID": "abc",
    }


@pytest.mark.parametrize("name", ["PATH", "DOCKER_HOST", "LD_PRELOAD", "XDG_RUNTIME_DIR", "CONTAINERS_CONF"])
def test_a_variable_of_the_project_does_not_reach_the_engine(name):
    made = container(environment=((name, "/opt/bin"),), environ={"PATH": "/bin"})

    assert f"{name}=/opt/bin" in values_of("--env", made.arguments)
    assert name not in made.variables


def test_the_projects_own_variables_come_before_ours():
    made = container(environment=(("MLFLOW_TRACKING_URI", "http://there"),), variables={"MLFLOW_TRACKING_URI": "x"})

    assert made.variables["MLFLOW_TRACKING_URI"] == "http://there"


def test_a_variable_to_copy_has_to_be_set():
    with pytest.raises(UsageError) as refused:
        container(environment=("A", ("B", "1"), "C"), environ={"A": ""})

    assert str(refused.value) == (
        "This project expects the A, C environment variables to be set on the machine running the project, but C was "
        "not set. Please ensure all expected environment variables are set"
    )


@pytest.mark.parametrize("name", ["AWS_*", "A B", "*"])
def test_a_name_that_an_engine_reads_otherwise_is_refused(name):
    with pytest.raises(UsageError, match="no container engine takes for a variable"):
        container(environment=((name, "x"),))


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("/data:/data", "/data:/data"),
        ("/data:/data:ro", "/data:/data:ro"),
        ("data/raw:/data", "/home/ann/project/data/raw:/data"),
        ("./data:/data:ro,z", "/home/ann/project/data:/data:ro,z"),
        ("../shared:/data", "/home/ann/shared:/data"),
        (".:/here", "/home/ann/project:/here"),
        ("~/data:/data", "/home/ann/data:/data"),
        ("~:/data", "/home/ann:/data"),
        ("$HOME/data:/data", "/home/ann/data:/data"),
        ("${HOME}/data:/data", "/home/ann/data:/data"),
        ("/a;b c:/data", "/a;b c:/data"),
        ("kept:/data", "kept:/data"),
        ("/only-there", "/only-there"),
    ],
)
def test_volumes_have_absolute_paths_on_this_machine(written, given):
    assert volume(written, base=PROJECT, environ={"HOME": "/home/ann"}) == given


def test_a_volume_whose_variable_is_not_set_is_refused():
    with pytest.raises(UsageError, match=r"The volume \$DATA/x:/data of docker_env needs the variable DATA"):
        container(volumes=["$DATA/x:/data"])


def test_local_paths_are_seen_at_the_same_place_and_cannot_be_written():
    made = container(paths=[Path("/data/a"), Path("/data"), Path("/data"), Path("/else/x.csv")])

    assert values_of("--mount", made.arguments)[:2] == [
        "type=bind,source=/data,target=/data,readonly",
        "type=bind,source=/else/x.csv,target=/else/x.csv,readonly",
    ]
    assert len(values_of("--mount", made.arguments)) == 3


@pytest.mark.parametrize("path", ["/", "/usr", "/etc", "/opt", "/mlflow", PROJECT_DIRECTORY])
def test_a_path_that_would_cover_the_image_is_refused(path):
    with pytest.raises(ParameterInvalid, match="would cover what is in the image"):
        container(paths=[Path(path)])


def test_of_two_mounts_at_one_place_the_projects_own_counts():
    made = container(volumes=["/other:/data/:ro", f"/code:{PROJECT_DIRECTORY}"], paths=[Path("/data")])

    assert values_of("--mount", made.arguments) == []
    assert values_of("--volume", made.arguments) == ["/other:/data/:ro", f"/code:{PROJECT_DIRECTORY}"]


def test_a_mount_takes_any_path():
    mount = Mount(Path('/a b,c:d"e'), "/x", read_only=True)

    assert str(mount) == 'type=bind,"source=/a b,c:d""e",target=/x,readonly'


def test_docker_args_are_options_of_docker_run():
    made = container(docker_args={"gpus": "all", "t": True, "init": "false", "m": "1g", "read-only": False})

    end = made.arguments.index("--")
    assert made.arguments[end - 5 : end] == ("--gpus=all", "-t", "--init=false", "-m=1g", "--read-only=false")


def test_a_name_of_the_user_is_the_containers():
    assert container(docker_args={"name": "mine"}).name == "mine"
    assert container().name == "mlp-1"


@pytest.mark.parametrize("name", ["--gpus", "", "a b", "-v", "a=b"])
def test_what_is_no_option_is_refused(name):
    with pytest.raises(UsageError, match="no name of an option of docker run"):
        container(docker_args={name: "x"})


@pytest.mark.parametrize("name", ["d", "detach"])
def test_a_container_is_waited_for(name):
    with pytest.raises(UsageError, match=r"call its run finished.*synchronous=False"):
        container(docker_args={name: True})


def test_a_tracking_server_on_this_machine_asks_for_its_network():
    here = {"MLFLOW_TRACKING_URI": "http://localhost:5000"}

    (warning,) = container(variables=here).warnings
    assert "-A network=host" in warning
    assert container(variables=here, docker_args={"network": "host"}).warnings == ()
    assert container(variables={"MLFLOW_TRACKING_URI": "http://mlflow:5000"}).warnings == ()


@pytest.mark.parametrize(
    ("tracking", "mounted", "inside"),
    [
        ("sqlite:////db/mlflow.db", "/db", "sqlite:////mlflow/tmp/mlruns/mlflow.db"),
        ("sqlite:///mlflow.db?timeout=9", "/caller", "sqlite:////mlflow/tmp/mlruns/mlflow.db?timeout=9"),
        ("sqlite:///sub/my%20runs.db", "/caller/sub", "sqlite:////mlflow/tmp/mlruns/my%20runs.db"),
        ("file:///store/a%20b", "/store/a b", "file:///mlflow/tmp/mlruns"),
        ("./mlruns", "/caller/mlruns", "file:///mlflow/tmp/mlruns"),
    ],
)
def test_a_local_tracking_store_is_mounted_and_named_as_the_container_sees_it(tracking, mounted, inside):
    found = storage(tracking, None, environ={}, base=Path("/caller"))

    assert found.mounts == (Mount(Path(mounted), "/mlflow/tmp/mlruns", read_only=False),)
    assert found.variables == {"MLFLOW_TRACKING_URI": inside}
    assert found.directories == (Path(mounted),)


@pytest.mark.parametrize("tracking", [None, "databricks", "databricks://profile", "postgresql://db/x", "sqlite://"])
def test_other_tracking_stores_need_nothing_of_this_machine(tracking):
    assert storage(tracking, None, environ={"MLFLOW_TRACKING_TOKEN": "t"}, base=Path("/caller")).mounts == ()


def test_a_tracking_server_gets_its_login():
    environ = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "pw", "OTHER": "x"}

    found = storage("https://mlflow", None, environ=environ, base=Path("/caller"))

    assert found.variables == {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "pw"}


@pytest.mark.parametrize("uri", ["/store/0/abc/artifacts", "file:///store/0/abc/artifacts"])
def test_local_artifacts_are_written_where_the_run_names_them(uri):
    found = storage(None, uri, environ={}, base=Path("/caller"))

    assert found.mounts == (Mount(Path("/store/0/abc/artifacts"), "/store/0/abc/artifacts", read_only=False),)
    assert found.directories == (Path("/store/0/abc/artifacts"),)


def test_artifacts_on_s3_get_the_callers_credentials(tmp_path):
    (tmp_path / ".aws").mkdir()
    environ = {
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SESSION_TOKEN": "t",
        "MLFLOW_S3_ENDPOINT_URL": "http://s3",
        "AZURE_STORAGE_ACCESS_KEY": "not for here",
    }

    found = storage(None, "s3://bucket/0/abc", environ=environ, base=Path("/caller"))

    assert found.mounts == (Mount(tmp_path / ".aws", "/.aws", read_only=True),)
    assert found.variables == {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SESSION_TOKEN": "t",
        "MLFLOW_S3_ENDPOINT_URL": "http://s3",
        "AWS_SHARED_CREDENTIALS_FILE": "/.aws/credentials",
        "AWS_CONFIG_FILE": "/.aws/config",
    }
    assert storage(None, "s3://bucket/0", environ={}, base=Path("/caller")) == storage(
        None, None, environ={}, base=PROJECT
    )


@pytest.mark.parametrize(
    ("uri", "environ", "variables", "mounts"),
    [
        ("wasbs://c@a.blob/x", {"AZURE_STORAGE_ACCESS_KEY": "k"}, {"AZURE_STORAGE_ACCESS_KEY": "k"}, ()),
        (
            "gs://bucket/x",
            {"GOOGLE_APPLICATION_CREDENTIALS": "/keys/g.json"},
            {"GOOGLE_APPLICATION_CREDENTIALS": "/.gcs"},
            (Mount(Path("/keys/g.json"), "/.gcs", read_only=True),),
        ),
        ("gs://bucket/x", {}, {}, ()),
        (
            "hdfs://host/x",
            {"MLFLOW_KERBEROS_USER": "ann", "MLFLOW_KERBEROS_TICKET_CACHE": "/tmp/krb5"},
            {"MLFLOW_KERBEROS_USER": "ann", "MLFLOW_KERBEROS_TICKET_CACHE": "/tmp/krb5"},
            (Mount(Path("/tmp/krb5"), "/tmp/krb5", read_only=True),),
        ),
        ("mlflow-artifacts:/0/abc", {"AWS_ACCESS_KEY_ID": "a"}, {}, ()),
    ],
)
def test_other_artifact_stores_get_their_own_credentials_alone(uri, environ, variables, mounts):
    found = storage(None, uri, environ=environ, base=Path("/caller"))

    assert (found.variables, found.mounts) == (variables, mounts)


def test_building_an_image_is_refused_with_the_reason():
    with pytest.raises(UsageError, match="builds no images, and needs none"):
        refuse_to_build()


# Finding an engine.


def program(directory, name, script):
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return {"PATH": f"{directory}:/usr/bin:/bin"}


def test_without_an_engine_the_error_is_mlflows_with_a_way_out(tmp_path):
    with pytest.raises(EngineUnavailable, match="--env-manager local") as raised:
        find_engine({"PATH": str(tmp_path)})

    assert str(raised.value).startswith(
        "Could not find Docker executable. Ensure Docker is installed as per the instructions at "
        "https://docs.docker.com/install/overview/."
    )


# Docker's client of release 28 ends with 0 when it is asked for JSON; others end with 1.
@pytest.mark.parametrize("status", [0, 1])
def test_a_client_whose_daemon_does_not_run_is_no_engine(tmp_path, status):
    environ = program(
        tmp_path / "bin",
        "docker",
        f"""echo '{{"ServerVersion":"","SecurityOptions":null}}'; echo "Cannot connect to the Docker daemon" >&2
        exit {status}""",
    )

    with pytest.raises(EngineUnavailable, match="--env-manager local") as raised:
        find_engine({**environ, "MLP_CONTAINER_ENGINE": "docker"})

    assert str(raised.value).startswith(
        "Ran `docker info` to ensure docker daemon is running but it failed with the following output:\n"
        "Cannot connect to the Docker daemon\n"
    )


def test_an_engine_that_is_named_and_missing_is_not_replaced(tmp_path):
    environ = program(tmp_path / "bin", "podman", "echo {}")

    with pytest.raises(EngineUnavailable, match="Could not find nothing-such, which the variable MLP_CONTAINER_ENGINE"):
        find_engine({**environ, "MLP_CONTAINER_ENGINE": "nothing-such"})


def test_what_is_no_engine_is_told_by_its_answer(tmp_path):
    environ = program(tmp_path / "bin", "docker", "echo no JSON")

    with pytest.raises(EngineUnavailable, match="no description of a Docker or Podman"):
        find_engine({**environ, "MLP_CONTAINER_ENGINE": "docker"})


@pytest.mark.parametrize(
    ("options", "rootless", "selinux"),
    [
        ("[]", False, False),
        ("null", False, False),
        ('["name=seccomp,profile=builtin","name=rootless"]', True, False),
        ('["name=selinux"]', False, True),
    ],
)
def test_docker_says_who_its_root_is(tmp_path, options, rootless, selinux):
    environ = program(tmp_path, "docker", f"""echo '{{"ServerVersion":"28.2.2","SecurityOptions":{options}}}'""")

    found = find_engine(environ)

    assert found == Engine(
        str(tmp_path / "docker"), user="0:0" if rootless else f"{os.getuid()}:{os.getgid()}", selinux=selinux
    )


def test_podman_steps_in_for_a_docker_that_does_not_answer(tmp_path):
    program(tmp_path, "docker", "exit 1")
    answer = '{"host":{"security":{"rootless":true,"selinuxEnabled":true}}}'

    assert find_engine(program(tmp_path, "podman", f"echo '{answer}'")) == Engine(
        str(tmp_path / "podman"), user="0:0", selinux=True
    )


# A real engine.


@pytest.fixture
def run(podman, tmp_path):
    """Run a command in a container of Podman's, in a directory that needs care."""
    environ = {**os.environ, **podman.variables, "MLP_CONTAINER_ENGINE": podman.program, "USER": "ann"}
    engine = find_engine(environ)
    project = tmp_path / 'the "project", of ann;'
    project.mkdir()
    (project / "data.txt").write_text("of the project\n")

    def start(command, *, image=podman.small, environment=(), volumes=(), user=None, copied=None, **given):
        declared = Environment("docker", image=image, volumes=tuple(volumes), variables=tuple(environment))
        made = contain(
            Engine(engine.program, user=user or engine.user),
            environment=declared,
            project=project,
            name=f"mlp-{secrets.token_hex(4)}",
            command=command,
            environ={**environ, **(copied or {})},
            caller=tmp_path,
            **{"variables": {}, **given},
        )
        for directory in made.directories:
            directory.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            made.arguments,
            env={**environ, **(copied or {}), **made.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(command, **given):
        with start(command, **given) as client:
            out, err = client.communicate(timeout=120)
        return subprocess.CompletedProcess(client.args, client.returncode, out.decode(), err.decode())

    run.start = start
    run.project = project
    return run


def test_a_command_runs_in_the_project_inside_the_container(run):
    done = run("pwd && cat data.txt && touch 'written there' && echo \"$0\" | cat; false && echo never; exit 3")

    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == "/mlflow/projects/code\nof the project\nsh\n"
    assert (run.project / "written there").exists()


def test_a_command_runs_in_bash_where_the_image_has_it(run, podman):
    assert run("echo ${BASH:+bash}", image=podman.large).stdout == "bash\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_all_of_the_command(run, podman, number):
    """As it does without a container: what a script has started can end in its own way."""
    (run.project / "patient.sh").write_text(
        f"trap 'echo told; exit 7' {number.name[3:]}\nwhile :; do echo goes on; sleep 0.1; done\n"
    )
    client = run.start("bash patient.sh; true", image=podman.large)
    with client:
        # Podman's client takes signals for itself until a moment after the first output.
        assert [client.stdout.readline() for _ in range(20)] == [b"goes on\n"] * 20
        client.send_signal(number)
        assert client.stdout.read().endswith(b"told\n")
        assert client.wait(timeout=60) in {0, 128 + number}  # bash goes on where what it waits for took the SIGINT


def test_the_last_of_a_command_says_how_it_ended(run, podman):
    ended = [run(command, image=podman.large) for command in ("exit 127", "kill -9 $$", "sleep 0 & wait; true", "cat")]

    assert [(done.returncode, done.stdout, done.stderr) for done in ended] == [
        (127, "", ""),
        (137, "", ""),
        (0, "", ""),
        (0, "", ""),
    ]


def test_values_arrive_as_they_are_and_nothing_of_them_runs_here(run, tmp_path):
    nasty = f"x; touch {tmp_path}/escaped; $(touch {tmp_path}/escaped) 'a b' \"c\"\nd=e"

    done = run(
        'printf "%s|" "$COPIED" "$PAIR" "$MLFLOW_RUN_ID" "$DOCKER_HOST" "$HOME" "$USER" "$ELSE"',
        environment=("COPIED", ("PAIR", nasty), ("DOCKER_HOST", "tcp://there")),
        copied={"COPIED": nasty, "ELSE": "not copied"},
        variables={"MLFLOW_RUN_ID": "abc"},
        user="12345:12345",
    )

    assert done.stdout == f"{nasty}|{nasty}|abc|tcp://there|/tmp|ann||"
    assert not (tmp_path / "escaped").exists()


def test_what_a_container_writes_belongs_to_the_caller(run):
    run.project.chmod(0o777)

    assert run("id -u; id -g; touch mine", user="12345:54321").stdout == "12345\n54321\n"

    written = (run.project / "mine").stat()
    assert (written.st_uid, written.st_gid) == (12345, 54321)


def test_volumes_and_paths_are_seen_there(run, tmp_path):
    (tmp_path / "in,put: a").mkdir()
    (tmp_path / "in,put: a" / "x.csv").write_text("1;2\n")
    (run.project / "raw").mkdir()

    done = run(
        f"cat '{tmp_path}/in,put: a/x.csv'; touch /data/new; touch '{tmp_path}/in,put: a/new'",
        volumes=["./raw:/data"],
        paths=[tmp_path / "in,put: a"],
    )

    assert done.stdout == "1;2\n"
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr
    assert [path.name for path in (run.project / "raw").iterdir()] == ["new"]


def test_local_stores_are_written_from_there(run, tmp_path):
    done = run(
        f'echo "$MLFLOW_TRACKING_URI"; touch /mlflow/tmp/mlruns/mlflow.db-journal; echo k > {tmp_path}/store/a/model',
        variables={"MLFLOW_TRACKING_URI": "sqlite:///db/mlflow.db"},
        artifact_uri=f"file://{tmp_path}/store/a",
    )

    assert (done.stdout, done.stderr) == ("sqlite:////mlflow/tmp/mlruns/mlflow.db\n", "")
    assert (tmp_path / "db" / "mlflow.db-journal").exists()
    assert (tmp_path / "store" / "a" / "model").read_text() == "k\n"


def test_options_of_the_user_come_after_ours(run):
    assert run("pwd", docker_args={"workdir": "/tmp", "init": "false"}).stdout == "/tmp\n"


def test_an_image_that_cannot_be_had_is_told_by_the_engine(run):
    done = run("true", image="127.0.0.1:1/absent:1")

    assert done.returncode == 125
    assert "127.0.0.1:1/absent" in done.stderr


def test_an_image_is_never_an_option(run):
    done = run("true", image="--privileged")

    assert (done.returncode, done.stderr) == (125, "Error: invalid reference format\n")


def test_a_container_of_this_process_is_ended_by_its_name(podman, tmp_path, monkeypatch, caplog):
    for variable, value in podman.variables.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    engine = Engine(podman.program, user="0:0")
    made = container_arguments(
        engine,
        environment=Environment("docker", image=podman.small),
        directory=tmp_path,
        name=f"mlp-{secrets.token_hex(4)}",
        command="ls artifacts && echo begun; sleep 600 & wait",
        variables={"MLFLOW_TRACKING_URI": "http://localhost:1"},
        artifact_uri="artifacts",
    )
    assert "may not reach the tracking server" in caplog.text
    client_variables = {**os.environ, **made.variables}
    with subprocess.Popen(
        made.arguments, env=client_variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as client:
        assert client.stdout
        assert client.stdout.readline() == b"begun\n"
        assert made.name in podman.containers()

        end_container(engine, made.name, grace=0)

        assert client.wait(timeout=60) != 0
    assert made.name not in podman.containers()
    end_container(engine, made.name, grace=0)
