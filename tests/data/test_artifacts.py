"""Artifacts of runs, from a real MLflow server and from stores without one."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from mlp.data import download, download_artifacts
from mlp.errors import DataAccessDenied, DataInvalid, DataNotFound, DataUnavailable, UsageError
from tests.data.names import everything, tree
from tests.servers.files_http import File
from tests.servers.flaky_proxy import flaky_proxy

ARTIFACTS = {
    "model/MLmodel": b"flavors: {}\n",
    "model/data/weights.bin": os.urandom(3 << 20),
    "model/data/ü a+b.txt": b"odd",
    "plot.png": b"\x89PNG",
    "empty": b"",
}


def ask(server, path, **body):
    answer = requests.post(f"{server.uri}/api/2.0/mlflow/{path}", json=body, timeout=60)
    answer.raise_for_status()
    return answer.json()


@pytest.fixture(scope="module")
def run(mlflow_server):
    """A run with artifacts: its id, and where they lie."""
    experiment = ask(mlflow_server, "experiments/create", name=f"data-{uuid.uuid4()}")["experiment_id"]
    info = ask(mlflow_server, "runs/create", experiment_id=experiment, start_time=1)["run"]["info"]
    base = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    for path, content in ARTIFACTS.items():
        url = f"{mlflow_server.uri}/api/2.0/mlflow-artifacts/artifacts/{quote(f'{base}/{path}')}"
        requests.put(url, data=content, timeout=60).raise_for_status()
    return info


@pytest.fixture
def tracked(mlflow_server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    return mlflow_server


@pytest.mark.usefixtures("tracked")
def test_artifacts_of_a_run_arrive_by_its_id(run, into):
    assert download(f"runs:/{run['run_id']}/plot.png", into).read_bytes() == ARTIFACTS["plot.png"]
    model = {path.removeprefix("model/"): body for path, body in ARTIFACTS.items() if path.startswith("model/")}
    assert tree(download(f"runs:/{run['run_id']}/model", into)) == model
    assert tree(download(f"runs:/{run['run_id']}", into)) == ARTIFACTS
    assert sorted(path.name for path in into.iterdir()) == sorted(["plot.png", "model", run["run_id"]])


def test_artifacts_arrive_by_their_own_uri(run, into, mlflow_server):
    uri, host = run["artifact_uri"], mlflow_server.uri.removeprefix("http://")
    path = uri.removeprefix("mlflow-artifacts:/")

    for number, each in enumerate((f"{uri}/empty", f"mlflow-artifacts://{host}/{path}/empty")):
        arrived = download(each, into / str(number), tracking_uri=mlflow_server.uri)
        assert (arrived.name, arrived.read_bytes()) == ("empty", b"")


@pytest.mark.usefixtures("tracked")
def test_what_is_not_there_is_not_found(run, into):
    for uri in (f"runs:/{run['run_id']}/missing", f"runs:/{'0' * 32}/a", f"{run['artifact_uri']}/model/missing"):
        with pytest.raises(DataNotFound, match=uri):
            download(uri, into)
    with pytest.raises(DataInvalid, match="names no run"):
        download("runs://host/0/a", into)


def test_without_a_tracking_server_that_is_what_is_said(into, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere.db")
    with pytest.raises(DataInvalid, match="set MLFLOW_TRACKING_URI"):
        download("mlflow-artifacts:/1/a", into)
    monkeypatch.setenv("MLP_TRACKING", "off")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(DataInvalid, match="runs:/0/a cannot be looked up"):
        download("runs:/0/a", into)


def test_a_server_that_is_down_is_unavailable(into):
    with pytest.raises(DataUnavailable):
        download("runs:/0123/a", into, tracking_uri="http://127.0.0.1:1")
    with pytest.raises(DataUnavailable):
        download("mlflow-artifacts:/1/a", into, tracking_uri="http://127.0.0.1:1")


def test_a_broken_connection_to_the_server_is_taken_up(run, into, mlflow_server):
    with flaky_proxy(mlflow_server.uri) as proxy:
        proxy.faults.cut_after, proxy.faults.cuts, proxy.faults.only = 1 << 20, 1, "weights.bin"
        path = f"{run['artifact_uri']}/model/data/weights.bin"

        assert download(path, into, tracking_uri=proxy.url).read_bytes() == ARTIFACTS["model/data/weights.bin"]

        asked = [seen for seen in proxy.seen if seen.path.endswith("weights.bin")]
        assert len(asked) == 2
        assert (asked[1].range is None) == (asked[1].status == 200)


def served(web, path, content, **settings):
    """What MLflow's server answers for one artifact."""
    above, _, name = path.rpartition("/")
    listing = f'{{"files": [{{"path": "{name}", "is_dir": false, "file_size": "{len(content)}"}}]}}'
    api = "/api/2.0/mlflow-artifacts/artifacts"
    web.files[api] = File(listing.encode(), headers={"Content-Type": "application/json"}, **settings)
    web.files[f"{api}/{path}"] = File(content, **settings)
    return above


def test_credentials_go_to_the_tracking_server_and_to_no_other(web, into, monkeypatch):
    served(web, "1/a", b"content", password="me:s3cret-w0rd")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", web.url)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret-w0rd")

    assert download("mlflow-artifacts:/1/a", into).read_bytes() == b"content"

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example.com")
    web.requests.clear()
    with pytest.raises(DataAccessDenied, match="MLFLOW_TRACKING_PASSWORD"):
        download(f"mlflow-artifacts://{web.url.removeprefix('http://')}/1/a", into)
    assert {request.authorization for request in web.requests} == {None}


def test_a_token_is_used_too(web, into, monkeypatch):
    served(web, "1/a", b"content", token="t0ken")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")

    assert download("mlflow-artifacts:/1/a", into, tracking_uri=web.url).read_bytes() == b"content"


def test_another_size_than_the_server_lists_is_noticed(web, into):
    served(web, "1/a", b"content")
    web.files["/api/2.0/mlflow-artifacts/artifacts/1/a"] = File(b"conten")

    with pytest.raises(DataUnavailable, match="another size"):
        download("mlflow-artifacts:/1/a", into, tracking_uri=web.url)


@pytest.mark.parametrize("name", ["..", ".", "../escaped", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(web, into, name):
    served(web, "1/a", b"content")
    listing = f'{{"files": [{{"path": "a", "is_dir": true}}, {{"path": "{name}", "is_dir": true}}]}}'
    web.files["/api/2.0/mlflow-artifacts/artifacts"] = File(listing.encode())

    with pytest.raises(DataInvalid, match="which no file can have"):
        download("mlflow-artifacts:/1/a", into, tracking_uri=web.url)


def test_a_registered_model_arrives_by_version_and_by_alias(tracked, run, into):
    name = f"model-{uuid.uuid4()}"
    ask(tracked, "registered-models/create", name=name)
    ask(tracked, "model-versions/create", name=name, source=f"{run['artifact_uri']}/model", run_id=run["run_id"])
    ask(tracked, "registered-models/alias", name=name, alias="best", version="1")

    assert download(f"models:/{name}/1", into) == into / "1"
    assert (into / "1" / "MLmodel").read_bytes() == ARTIFACTS["model/MLmodel"]
    assert download(f"models:/{name}@best/MLmodel", into).read_bytes() == ARTIFACTS["model/MLmodel"]
    with pytest.raises(DataNotFound):
        download(f"models:/{name}/2", into)
    with pytest.raises(DataInvalid, match="names no model"):
        download(f"models:/{name}", into)


def test_the_function_of_mlflow_s_name_does_what_mlflow_s_does(tracked, run, tmp_path):
    import mlflow.artifacts  # noqa: PLC0415 -- takes seconds

    for arguments in (
        {"run_id": run["run_id"], "artifact_path": "model"},
        {"artifact_uri": f"runs:/{run['run_id']}/model"},
        {"artifact_uri": f"{run['artifact_uri']}/model/MLmodel"},
    ):
        ours = Path(download_artifacts(**arguments, dst_path=tmp_path / "ours", tracking_uri=tracked.uri))
        theirs = Path(
            mlflow.artifacts.download_artifacts(**arguments, dst_path=str(tmp_path), tracking_uri=tracked.uri)
        )
        assert ours.name == theirs.name
        assert (tree(ours) if ours.is_dir() else ours.read_bytes()) == (
            tree(theirs) if theirs.is_dir() else theirs.read_bytes()
        )


@pytest.mark.filterwarnings("ignore")  # MLflow's own, of what it uses
@pytest.mark.parametrize("kind", ["server", "database"])
def test_a_model_that_a_run_has_logged_arrives_by_the_run_s_id_by_its_own_and_as_a_version(
    mlflow_server, tmp_path, monkeypatch, into, kind
):
    import mlflow  # noqa: PLC0415 -- takes seconds

    uri = mlflow_server.uri if kind == "server" else f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment = client.create_experiment(
        f"models-{uuid.uuid4()}", artifact_location=(tmp_path / "artifacts").as_uri() if kind == "database" else None
    )
    run = client.create_run(experiment)
    model = client.create_logged_model(experiment, name="model", source_run_id=run.info.run_id)
    (tmp_path / "MLmodel").write_bytes(ARTIFACTS["model/MLmodel"])
    client.log_model_artifact(model.model_id, str(tmp_path / "MLmodel"))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run.info.run_id, [mlflow.entities.LoggedModelOutput(model.model_id, 0)])
    name = f"model-{uuid.uuid4()}"
    client.create_registered_model(name)
    client.create_model_version(name, f"models:/{model.model_id}", model_id=model.model_id)
    client.set_registered_model_alias(name, "best", "1")

    for number, each in enumerate(
        (f"runs:/{run.info.run_id}/model", f"models:/{model.model_id}", f"models:/{name}/1", f"models:/{name}@best")
    ):
        assert tree(download(each, into / str(number))) == {"MLmodel": ARTIFACTS["model/MLmodel"]}
        assert download(f"{each}/MLmodel", into).read_bytes() == ARTIFACTS["model/MLmodel"]
    with pytest.raises(DataNotFound):
        download(f"models:/{name}/7", into)


def test_either_a_uri_or_a_run_is_asked_for():
    for arguments in (
        {},
        {"artifact_uri": "runs:/0/a", "run_id": "0"},
        {"artifact_uri": "s3://b/a", "artifact_path": "c"},
    ):
        with pytest.raises(UsageError, match="download_artifacts"):
            download_artifacts(**arguments)


def run_at(server, location):
    """A run of an experiment that keeps its artifacts there."""
    experiment = ask(server, "experiments/create", name=f"data-{uuid.uuid4()}", artifact_location=location)
    return ask(server, "runs/create", experiment_id=experiment["experiment_id"], start_time=1)["run"]["info"]


def test_artifacts_on_this_machine_are_given_as_they_lie_and_copied_on_request(tracked, tmp_path):
    info = run_at(tracked, (tmp_path / "ar ti%20facts").as_uri())
    artifacts = tmp_path / "ar ti%20facts" / info["run_id"] / "artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "a b%20.txt").write_text("content")
    wanted = {"run_id": info["run_id"], "tracking_uri": tracked.uri}

    assert download_artifacts(**wanted, artifact_path="a b%20.txt") == str(artifacts / "a b%20.txt")
    assert download_artifacts(**wanted) == str(artifacts)
    copied = download_artifacts(**wanted, artifact_path="a b%20.txt", dst_path=tmp_path / "copy")
    assert (copied, Path(copied).read_text()) == (str(tmp_path / "copy" / "a b%20.txt"), "content")
    with pytest.raises(DataNotFound, match=rf"runs:/{info['run_id']}/missing \(file:"):
        download_artifacts(**wanted, artifact_path="missing", dst_path=tmp_path / "copy")
    with pytest.raises(DataNotFound):
        download_artifacts(**wanted, artifact_path="missing")


def test_artifacts_in_a_store_are_read_from_there(tracked, store, into):
    info = run_at(tracked, f"s3://{store.bucket}/experiments")
    with contextlib.closing(store.client()) as client:
        client.put_object(Bucket=store.bucket, Key=f"experiments/{info['run_id']}/artifacts/model/a b", Body=b"content")

    assert download(f"runs:/{info['run_id']}/model/a b", into).read_bytes() == b"content"
    assert tree(download(f"runs:/{info['run_id']}/model", into)) == {"a b": b"content"}
    with pytest.raises(DataNotFound, match=rf"runs:/{info['run_id']}/missing \(s3://"):
        download(f"runs:/{info['run_id']}/missing", into)


def test_without_a_destination_a_new_directory_is_made(tracked, run, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    arrived = Path(download_artifacts(run_id=run["run_id"], artifact_path="plot.png", tracking_uri=tracked.uri))

    assert arrived.read_bytes() == ARTIFACTS["plot.png"]
    assert arrived.is_relative_to(tmp_path)
    assert everything(arrived.parent) == ["plot.png"]
