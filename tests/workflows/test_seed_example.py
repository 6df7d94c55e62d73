"""The example with which MLflow's documentation introduces projects, from Git over https to its result in the store."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

import mlp
from tests.servers import dbfs, git_http
from tests.source import repositories
from tests.tracking import certificates

PROJECT = """\
name: My Project

conda_env: my_env.yaml

entry_points:
  main:
    parameters:
      data_file: path
      regularization: {type: float, default: 0.1}
    command: "python train.py -r {regularization} {data_file}"
  validate:
    parameters:
      data_file: path
    command: "python validate.py {data_file}"
"""
ENVIRONMENT = """\
name: my-project
channels: [conda-forge]
dependencies: [python=3.12, pip, {pip: [mlflow-skinny]}]
"""
TRAIN = """\
import argparse, csv
import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("-r", type=float, dest="regularization")
parser.add_argument("data_file")
arguments = parser.parse_args()

with open(arguments.data_file, newline="") as file:
    rows = [(float(row["x"]), float(row["y"])) for row in csv.DictReader(file)]
slope = sum(x * y for x, y in rows) / (sum(x * x for x, _ in rows) + arguments.regularization)
print("read", arguments.data_file)
with mlflow.start_run():
    mlflow.log_metric("slope", slope)
    mlflow.log_text(f"{slope:.4f}", "slope.txt")
"""
VALIDATE = """\
import csv, sys

with open(sys.argv[1], newline="") as file:
    rows = list(csv.DictReader(file))
print(len(rows), "rows")
sys.exit(0 if all(set(row) == {"x", "y"} for row in rows) else "the columns should be x and y")
"""
TABLE = "x,y\n1,2\n2,4\n3,6\n"
USER, PASSWORD, TOKEN = "ann", "git-pa55-w0rd", "dapi-t0ken"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("seed") / "authority")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    made = repositories.create(tmp_path_factory.mktemp("served") / "my-project")
    files = {"MLproject": PROJECT, "my_env.yaml": ENVIRONMENT, "train.py": TRAIN, "validate.py": VALIDATE}
    made.commit(files)
    return made


@pytest.fixture(scope="module")
def server(repository, authority):
    """Git over https, for one user."""
    accounts = git_http.Accounts({USER: PASSWORD})
    tls = certificates.serving_context(authority)
    with git_http.serving(repository.path.parent, accounts=accounts, tls=tls) as server:
        yield server


@pytest.fixture
def uri(server):
    return f"{server.url}/my-project"


@pytest.fixture
def variables(s3, authority):
    """What a user has set, beside the tracking server."""
    return {
        **s3.environment,
        "GIT_SSL_CAINFO": str(authority / "ca.pem"),
        "MLFLOW_GIT_PASSWORD": PASSWORD,
        "no_proxy": "127.0.0.1",
    }


@pytest.fixture
def data_file(s3):
    key = f"{uuid.uuid4().hex}/wine.csv"
    client = s3.client()
    client.put_object(Bucket=s3.bucket, Key=key, Body=TABLE.encode())
    client.close()
    return f"s3://{s3.bucket}/{key}"


def expected(repository, uri, entry_point, **more):
    return {
        "mlflow.source.name": uri,
        "mlflow.source.type": "PROJECT",
        "mlflow.source.git.commit": repository.git("rev-parse", "HEAD"),
        "mlflow.source.git.repoURL": uri,
        "mlflow.project.entryPoint": entry_point,
        "mlflow.project.backend": "local",
        "mlp.project.name": "My Project",
        **more,
    }


def test_the_project_comes_from_git_and_its_data_from_s3(desk, repository, uri, variables, data_file):
    done = desk.mlp(
        "run", uri, "-v", "main", "--git-username", USER, "--no-conda", "-P", f"data_file={data_file}", **variables
    )

    assert done.returncode == 0, done.stderr
    (run,) = desk.runs()
    assert (run.status, run.ended) == ("FINISHED", True)
    assert run.parameters == {"data_file": data_file, "regularization": "0.1"}
    assert run.metrics == {"slope": pytest.approx(28 / 14.1)}
    assert desk.text(run.run_id, "slope.txt") == "1.9858"
    assert run.own_tags == expected(repository, uri, "main", **{"mlflow.source.git.branch": "main"})
    # The program got a local file, which is gone with the run.
    said = next(line for line in done.stdout.splitlines() if line.startswith("read "))
    assert said.endswith("/data_file/wine.csv")
    assert not Path(said.removeprefix("read ")).exists()
    for secret in (PASSWORD, variables["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in done.stdout + done.stderr + json.dumps([run.parameters, run.tags])


def test_the_other_entry_point_gets_its_data_from_databricks(desk, repository, uri, variables, tmp_path):
    (tmp_path / "FileStore").mkdir()
    (tmp_path / "FileStore" / "wine.csv").write_text(TABLE)
    with dbfs.workspace(tmp_path, token=TOKEN) as workspace:
        variables |= {"DATABRICKS_HOST": workspace.url, "DATABRICKS_TOKEN": TOKEN}
        options = ("--git-username", USER, "--no-conda", "-P", "data_file=dbfs:/FileStore/wine.csv")
        done = desk.mlp("run", uri, "-e", "validate", *options, **variables)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 rows\n"
    (run,) = desk.runs()
    assert (run.status, run.parameters) == ("FINISHED", {"data_file": "dbfs:/FileStore/wine.csv"})
    assert run.own_tags == expected(repository, uri, "validate")


def test_python_does_the_same(desk, repository, uri, variables, data_file, monkeypatch, capfd):
    for name, value in desk.variables(**variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_GIT_PASSWORD")

    run = mlp.run(
        uri,
        parameters={"data_file": data_file, "regularization": 14},
        version=repository.git("rev-parse", "HEAD"),
        git_username=USER,
        git_password=PASSWORD,
        use_conda=False,
    )

    assert run.get_status() == "FINISHED"
    assert "/data_file/wine.csv" in capfd.readouterr().out
    assert mlp.tracking.get_run(run.run_id).data.metrics == {"slope": 1.0}
    (recorded,) = desk.runs()
    assert recorded.run_id == run.run_id
    assert recorded.parameters == {"data_file": data_file, "regularization": "14"}
    assert recorded.own_tags == expected(repository, uri, "main")


@pytest.mark.parametrize(
    ("given", "changed", "status", "said"),
    [
        ("regularization=strong", {}, 1, "'regularization' got 'strong'"),
        ("regularization=1", {"MLFLOW_GIT_PASSWORD": "wrong"}, 4, "Correct --git-username and --git-password"),
    ],
)
def test_what_is_wrong_before_the_run_begins_leaves_no_run(
    desk, uri, variables, data_file, given, changed, status, said
):
    done = desk.mlp(
        "run", uri, "--git-username", USER, "--no-conda", "-P", f"data_file={data_file}", "-P", given,
        **{**variables, **changed},
    )  # fmt: skip

    assert said in done.stderr
    assert done.returncode == status
    assert desk.runs() == []


def test_data_that_is_not_there_fails_the_run(desk, uri, variables, s3):
    done = desk.mlp(
        "run", uri, "--git-username", USER, "--no-conda", "-P", f"data_file=s3://{s3.bucket}/none.csv", **variables
    )

    assert f"s3://{s3.bucket}/none.csv" in done.stderr
    assert done.returncode == 1
    (run,) = desk.runs()
    assert (run.status, run.ended) == ("FAILED", True)
    assert run.parameters["data_file"] == f"s3://{s3.bucket}/none.csv"
