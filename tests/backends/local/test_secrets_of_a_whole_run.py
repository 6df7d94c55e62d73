"""One run with a credential for each of its parts, and a search for them: arguments, logs, records, errors, files."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
import yaml

from tests.cli.program import MLP, commit, environment
from tests.servers import git_http
from tests.servers.conda_channel import Channel, noarch, python_stub
from tests.servers.guarded_proxy import guarding
from tests.servers.package_server import serving

GIT, CHANNEL, TRACKING, PARAMETER = "g1t-Sesame/1", "ch4nnel-Sesame/2", "tr4cking-Sesame/3", "p4rameter Sesame 4"


@contextlib.contextmanager
def argument_lists():
    """The argument lists of all processes of this machine, read again and again while the block lasts."""
    seen: set[str] = set()
    ended = threading.Event()

    def watch():
        while not ended.is_set():
            for entry in Path("/proc").iterdir():
                if entry.name.isdecimal():
                    with contextlib.suppress(OSError):
                        seen.add((entry / "cmdline").read_text(errors="replace").replace("\0", " "))
            time.sleep(0.005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def forms(secret: str, user: str = "ann") -> list[str]:
    """A secret as it is, as it stands in URLs, and as it stands in headers."""
    return [secret, quote(secret, safe=""), base64.b64encode(f"{user}:{secret}".encode()).decode()]


def holding(secrets: list[str], *roots: Path) -> list[str]:
    """The files below these directories that one of the secrets is in."""
    return [
        str(file)
        for root in roots
        for file in root.rglob("*")
        if file.is_file() and not file.is_symlink() and any(each.encode() in file.read_bytes() for each in secrets)
    ]


@pytest.fixture
def repository(tmp_path):
    work = tmp_path / "made" / "wine"
    work.mkdir(parents=True)
    conda = {
        "channels": ["${CHANNEL_URL}", "nodefaults"],
        "dependencies": ["python", "words"],
    }
    (work / "conda.yaml").write_text(yaml.safe_dump(conda))
    # The command says what it was given where only the test looks.
    main = {
        "parameters": {"data": "path", "token": "string"},
        "command": 'python -c "import words" && cat {data} > "$SAID" && echo {token} >> "$SAID" && exit $STATUS',
    }
    (work / "MLproject").write_text(yaml.safe_dump({"conda_env": "conda.yaml", "entry_points": {"main": main}}))
    commit(work)
    return work


@pytest.mark.parametrize("status", [0, 3])
def test_no_secret_of_a_run_is_left_anywhere(tmp_path, repository, s3, mlflow_server, status):
    experiment = f"secrets-{uuid.uuid4().hex}"
    key = f"{uuid.uuid4().hex}/table.csv"
    s3.client().put_object(Bucket=s3.bucket, Key=key, Body=b"1,2\n")
    Channel(tmp_path / "channel", python_stub(), noarch("words"))
    places = {name: tmp_path / name for name in ("here", "home", "tmp", "envs", "storage")}
    for place in places.values():
        place.mkdir()
    run = {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "metadata": {"name": "wine"},
        "spec": {
            "project": {"uri": "https://git.example.com/wine.git"},
            "parameters": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        },
    }
    (tmp_path / "run.yaml").write_text(json.dumps(run))

    with (
        git_http.serving(repository.parent, accounts=git_http.Accounts({"ann": GIT})) as git,
        serving(tmp_path / "channel", user=("ann", CHANNEL)) as channel,
        guarding(
            mlflow_server.uri, authorization=f"Basic {base64.b64encode(f'ann:{TRACKING}'.encode()).decode()}"
        ) as tracking,
    ):
        host = tracking.url.removeprefix("http://")
        variables = environment(
            MLP_TRACKING="on",
            MLP_ENV_ROOT=str(places["envs"]),
            MLP_ENV_COMPILE="false",
            HOME=str(places["home"]),
            TMPDIR=str(places["tmp"]),
            MLFLOW_GIT_USERNAME="ann",
            MLFLOW_GIT_PASSWORD=GIT,
            CHANNEL_URL=channel.url_with(f"ann:{quote(CHANNEL, safe='')}"),
            MLFLOW_TRACKING_URI=f"http://ann:{quote(TRACKING, safe='')}@{host}",
            SAID=str(tmp_path / "said"),
            STATUS=str(status),
            **s3.environment,
        )
        # Whoever gives a secret parameter as an argument shows it to the machine; it must go no further than that.
        call = [
            *(MLP, "run", f"{git.url}/wine/.git", "-f", str(tmp_path / "run.yaml"), "--experiment-name", experiment),
            *("-P", f"data=s3://{s3.bucket}/{key}", "--storage-dir", str(places["storage"])),
        ]
        with argument_lists() as seen:
            done = subprocess.run(
                [*call, "-P", f"token={PARAMETER}"],
                cwd=places["here"],
                env=variables,
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )

    assert done.returncode == status, done.stderr
    assert (tmp_path / "said").read_text() == f"1,2\n{PARAMETER}\n"
    credentials = [form for secret in (GIT, CHANNEL, TRACKING) for form in forms(secret)] + forms(
        s3.secret_key, s3.access_key
    )
    assert any("mlp.environment.builder" in each for each in seen)
    assert any("git" in each and "fetch" in each for each in seen)
    assert not [each for each in seen for secret in credentials if secret in each]
    assert not [secret for secret in [*credentials, PARAMETER] if secret in done.stdout + done.stderr]
    query = {"experiment_ids": [_experiment(mlflow_server.uri, experiment)]}
    runs = requests.post(f"{mlflow_server.uri}/api/2.0/mlflow/runs/search", json=query, timeout=60).json()["runs"]
    assert [each["info"]["status"] for each in runs] == ["FAILED" if status else "FINISHED"]
    assert not [secret for secret in [*credentials, PARAMETER] if secret in json.dumps(runs)]
    assert not holding([*credentials, PARAMETER], *places.values())
    assert list(places["here"].iterdir()) == []
    assert list(places["tmp"].iterdir()) == []
    assert [file.read_text() for file in places["storage"].rglob("*.csv")] == ["1,2\n"]


def _experiment(uri: str, name: str) -> str:
    named = {"experiment_name": name}
    answer = requests.get(f"{uri}/api/2.0/mlflow/experiments/get-by-name", params=named, timeout=60)
    return answer.json()["experiment"]["experiment_id"]


@pytest.mark.parametrize("wrong", ["git", "channel", "tracking", "data"])
def test_no_refused_secret_is_in_the_error(tmp_path, repository, s3, mlflow_server, wrong):
    Channel(tmp_path / "channel", python_stub(), noarch("words"))
    given = {name: f"wr0ng-{name}/Sesame" if name == wrong else "r1ght" for name in ("git", "channel", "tracking")}
    with (
        git_http.serving(repository.parent, accounts=git_http.Accounts({"ann": "r1ght"})) as git,
        serving(tmp_path / "channel", user=("ann", "r1ght")) as channel,
        guarding(mlflow_server.uri, authorization=f"Basic {base64.b64encode(b'ann:r1ght').decode()}") as tracking,
    ):
        host = tracking.url.removeprefix("http://")
        keys = {"AWS_SECRET_ACCESS_KEY": "wr0ng-data/Sesame"} if wrong == "data" else {}
        done = subprocess.run(
            [MLP, "run", f"{git.url}/wine/.git", "-P", f"data=s3://{s3.bucket}/no.csv", "-P", "token=x"],
            cwd=tmp_path,
            env=environment(
                MLP_TRACKING="on",
                MLP_ENV_ROOT=str(tmp_path / "envs"),
                MLFLOW_GIT_USERNAME="ann",
                MLFLOW_GIT_PASSWORD=given["git"],
                CHANNEL_URL=channel.url_with(f"ann:{quote(given['channel'], safe='')}"),
                MLFLOW_TRACKING_URI=f"http://ann:{quote(given['tracking'], safe='')}@{host}",
                **{**s3.environment, **keys},
            ),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    assert done.returncode not in {0, 130}
    assert done.stderr.count("Error: ") == 1
    assert "Traceback" not in done.stderr
    # The channel and the data are asked at the same time: either may be the first to say no.
    secrets = [form for secret in (given.get(wrong, "wr0ng-data/Sesame"), "r1ght") for form in forms(secret)]
    assert not [secret for secret in secrets if secret in done.stdout + done.stderr]
