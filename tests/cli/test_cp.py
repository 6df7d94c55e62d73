"""``mlp cp``: artifacts from a real MLflow server. The test plays the operator."""

from __future__ import annotations

import pytest

LOG = """
client = mlflow.MlflowClient(tracking_uri=uri)
run = client.create_run("0")
client.log_text(run.info.run_id, "1,2", "table.csv")
client.log_text(run.info.run_id, "weights", "model/weights")
client.log_text(run.info.run_id, "{}", "model/meta/about.json")
answer = run.info.run_id
"""


@pytest.fixture(scope="module")
def run_id(mlflow, mlflow_server):
    return mlflow.run(LOG, uri=mlflow_server.uri)


@pytest.fixture
def recorded(runs, run_id, mlflow_server):
    """A run in the cluster, recorded there."""
    runs.create("wine")
    record = {"runId": run_id, "experimentId": "0", "uri": mlflow_server.uri}
    runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded", mlflow=record)
    return "wine"


def test_a_file_or_a_directory_or_everything_is_copied(runs, recorded, tmp_path):
    def copy(path: str, to: str) -> str:
        done = runs.mlp("cp", f"{recorded}:{path}", to, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "there").mkdir()
    assert copy("table.csv", "here.csv") == "Copied 1 file, 3 B, to here.csv\n"
    assert copy("model", "there") == "Copied 2 files, 9 B, to there/model\n"
    assert copy("model/weights", "deep/er/w") == "Copied 1 file, 7 B, to deep/er/w\n"
    assert copy("", "all") == "Copied 3 files, 12 B, to all\n"

    files = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {
        "here.csv": "1,2",
        "there/model/weights": "weights",
        "there/model/meta/about.json": "{}",
        "deep/er/w": "weights",
        "all/table.csv": "1,2",
        "all/model/weights": "weights",
        "all/model/meta/about.json": "{}",
    }


def test_nothing_that_is_there_is_replaced_unless_that_is_asked_for(runs, recorded, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").write_text("precious")

    done = runs.mlp("cp", f"{recorded}:model", str(tmp_path))

    assert done.returncode == 2
    assert f"{tmp_path}/model is there already" in done.stderr
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["mine"]

    assert runs.mlp("cp", f"{recorded}:model", str(tmp_path), "--force").returncode == 0
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["meta", "weights"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_not_there_is_named_and_leaves_nothing_behind(runs, recorded, tmp_path):
    done = runs.mlp("cp", f"{recorded}:modle", "here", cwd=tmp_path)

    assert done.returncode == 1
    assert "modle" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "said"), [("wine", "names no artifact"), ("wine:../x", "leaves the run's artifacts")]
)
def test_what_names_no_artifact_is_wrong_usage(runs, source, said):
    done = runs.mlp("cp", source, ".")

    assert done.returncode == 2
    assert said in done.stderr


def test_a_run_that_is_not_recorded_has_no_artifacts(runs):
    runs.create("wine")

    done = runs.mlp("cp", "wine:model", ".")

    assert done.returncode == 1
    assert "'wine' is recorded in no MLflow run yet" in done.stderr


@pytest.mark.parametrize("credentials", [{"MLFLOW_TRACKING_TOKEN": "s3cr3t"}, {"MLFLOW_TRACKING_AUTH": "kubernetes"}])
def test_credentials_go_nowhere_unasked(runs, recorded, mlflow_server, tmp_path, credentials):
    done = runs.mlp("cp", f"{recorded}:table.csv", str(tmp_path), **credentials)

    assert done.returncode == 2
    assert f"say so with --tracking-uri {mlflow_server.uri}" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_credentials_go_only_to_the_server_that_the_user_has_named(runs, recorded, mlflow_server, tmp_path):
    """A run may name any server, and whoever may create runs would get everybody's tokens."""
    secret = {"MLFLOW_TRACKING_TOKEN": "s3cr3t", "MLFLOW_TRACKING_URI": "https://mlflow.example.com"}

    done = runs.mlp("cp", f"{recorded}:table.csv", str(tmp_path), **secret)

    assert done.returncode == 2
    assert f"say so with --tracking-uri {mlflow_server.uri}" in done.stderr
    assert list(tmp_path.iterdir()) == []
    named = runs.mlp("cp", f"{recorded}:table.csv", str(tmp_path), "--tracking-uri", mlflow_server.uri, **secret)
    assert named.returncode == 0, named.stderr


def test_the_server_can_be_named_as_it_is_reached_from_here(runs, run_id, mlflow_server, tmp_path):
    runs.create("wine")
    record = {"runId": run_id, "experimentId": "0", "uri": "http://mlflow.mlflow:5000"}
    runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded", mlflow=record)

    done = runs.mlp("cp", "wine:table.csv", str(tmp_path), "--tracking-uri", mlflow_server.uri)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "table.csv").read_text() == "1,2"


def test_a_server_that_is_not_reached_from_here_is_told_with_the_way_out(runs, run_id, tmp_path):
    runs.create("wine")
    record = {"runId": run_id, "experimentId": "0", "uri": "http://127.0.0.1:1"}
    runs.report("wine", phase="Succeeded", succeeded="True", reason="Succeeded", mlflow=record)

    done = runs.mlp("cp", "wine:table.csv", str(tmp_path))

    assert done.returncode == 1
    assert "http://127.0.0.1:1 is where pods reach the server" in done.stderr
    assert "--tracking-uri" in done.stderr
    assert list(tmp_path.iterdir()) == []
