"""``mlp.run(backend="databricks")``: what is sent, what MLflow is told, and what is left when something goes wrong."""

from __future__ import annotations

import functools
import json
import random
import re
import uuid

import pytest
import yaml

import mlp
from mlp import tracking
from mlp.backends.databricks import connections
from mlp.backends.databricks.workspace import Workspace, connect
from mlp.errors import (
    EntryPointNotFound,
    ExecutionException,
    FieldNotSupported,
    ParameterInvalid,
    ParameterMissing,
    ProjectInvalid,
    RunFailed,
    SourceInvalid,
    TrackingNotFound,
    UsageError,
    WorkspaceDenied,
    WorkspaceNotFound,
    WorkspaceUnavailable,
)
from mlp.projects import take_up
from mlp.tracking import Limits, Patience, get_run
from tests.cli.program import commit, git
from tests.servers.git_http import Accounts, serving

pytestmark = pytest.mark.usefixtures("logged_in")

CLUSTER = {"new_cluster": {"spark_version": "16.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}}
SPEC = {"serverless": True, "poll_interval": 0.2}
SHOWS = "import json, sys\nprint(json.dumps(sys.argv[1:]))\n"
NASTY = ["a b", "it's", '"', "$HOME", "`id`", "x; false", "a\nb", "Zoë 🐍", "", "*", "{x}", "{{y}}", "\\n", "a=b", "-x"]


@pytest.fixture
def recorded(logged_in, mlflow_server, monkeypatch):  # noqa: ARG001 -- it clears what is set here
    """An experiment of the test's own, which runs are recorded in."""
    name = f"databricks-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    return name


@pytest.fixture
def hasty(monkeypatch):
    """Give up soon on a workspace that does not answer."""
    limits = Limits(timeout=10.0, patience=Patience(attempts=2, seconds=10.0, pause=0.05), largest=1 << 20)
    monkeypatch.setattr(connections, "connect", functools.partial(connect, limits=limits))


def project(directory, command="python show.py {given}", *, parameters=None, script=SHOWS, **keys):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "show.py").write_text(script)
    main = {"command": command, "parameters": parameters or {"given": {"type": "string", "default": "nothing"}}}
    content = {"name": "shown", "entry_points": {"main": main}, **keys}
    (directory / "MLproject").write_text(yaml.safe_dump({key: value for key, value in content.items() if value}))
    return directory


def run(where, **options):
    return mlp.run(str(where), backend="databricks", **{"backend_config": SPEC, **options})


@pytest.mark.usefixtures("recorded")
def test_a_directory_runs_there_with_its_parameters_exact_and_is_recorded(logged_in, tmp_path):
    names = [f"p{number}" for number in range(len(NASTY))]
    placeholders = " ".join(f"{{{name}}}" for name in names)
    there = project(tmp_path / "wine", f"python show.py {placeholders}", parameters=dict.fromkeys(names, "string"))

    ended = run(there, parameters=dict(zip(names, NASTY, strict=True)), run_name="first")

    assert json.loads("\n".join(ended.logs())) == NASTY
    found = get_run(ended.run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "first")
    assert found.data.params == dict(zip(names, NASTY, strict=True))
    tags = found.data.tags
    number = ended.databricks_run_id
    assert tags["mlflow.project.backend"] == "databricks"
    assert tags["mlflow.source.type"] == "PROJECT"
    assert tags["mlflow.source.name"] == str(there)
    assert tags["mlflow.project.entryPoint"] == "main"
    assert tags["mlp.project.name"] == "shown"
    assert tags["mlflow.databricks.shellJobRunID"] == str(number)
    assert tags["mlflow.databricks.runURL"] == ended.url
    assert tags["mlflow.databricks.webappURL"] == logged_in.url
    assert logged_in.run(number)["body"]["run_name"] == f"MLflow Run for {there}"


@pytest.mark.usefixtures("recorded")
def test_the_project_finds_its_own_run_in_mlflow(tmp_path):
    script = "import os\nprint(os.environ['MLFLOW_RUN_ID'], os.environ['MLFLOW_TRACKING_URI'])\n"
    there = project(tmp_path / "p", "python show.py", script=script)

    ended = run(there)

    assert list(ended.logs())[-1].split()[0] == ended.run_id


def test_what_the_command_wrote_is_shown_once_and_its_stages_are_logged(tmp_path, capsys, caplog):
    caplog.set_level("INFO", logger="mlp")

    ended = run(project(tmp_path / "p"), parameters={"given": "Zoë"})

    assert capsys.readouterr().out == '["Zo\\u00eb"]\n'
    stages = [text for text in caplog.messages if text.startswith(f"Run {ended.databricks_run_id} on Databricks: ")]
    assert stages
    assert len(stages) == len(set(stages))


def test_a_command_that_fails_is_told_with_its_status_and_last_lines(recorded, tmp_path, capsys, caplog):
    there = project(tmp_path / "p", "python show.py", script="print('so far')\nraise SystemExit(3)\n")

    with pytest.raises(RunFailed, match="ended with exit status 3") as failed:
        run(there, run_name="failing")

    assert failed.value.status == 3
    assert "so far" in failed.value.last_lines
    assert capsys.readouterr() == ("so far\n", "")
    # It is raised, and so it is not logged as well.
    assert str(failed.value) not in caplog.messages
    (found,) = tracking.search_runs([_experiment(recorded)])
    assert found.info.status == "FAILED"
    assert found.data.tags["mlp.reason"] == "EntryPointFailed"
    assert "ended with exit status 3" in found.data.tags["mlp.message"]


def _experiment(name):
    store = tracking.connect()
    try:
        return store.experiment(name=name)
    finally:
        store.close()


@pytest.mark.usefixtures("recorded")
def test_a_run_in_the_background_is_cancelled_with_its_processes_and_recorded_as_killed(logged_in, tmp_path):
    there = project(tmp_path / "p", "python show.py", script="import time\ntime.sleep(600)\n")

    started = run(there, synchronous=False)
    assert started.get_status() in {"SCHEDULED", "RUNNING"}
    started.cancel()

    assert started.get_status() == "KILLED"
    assert get_run(started.run_id).info.status == "KILLED"
    assert logged_in.processes(started.databricks_run_id) == []


@pytest.mark.parametrize(("ending", "status"), [("SKIPPED", "FAILED"), ("CANCELED", "KILLED"), ("TIMEDOUT", "FAILED")])
@pytest.mark.usefixtures("recorded")
def test_a_run_that_never_told_mlflow_of_its_end_is_ended_by_whoever_takes_it_up(logged_in, tmp_path, ending, status):
    there = project(tmp_path / ending)
    logged_in.script(ending, {"hold": True, "ending": ending})
    started = run(there, synchronous=False)
    connections.close_all()  # as if this process had ended
    logged_in.release(started.databricks_run_id)

    taken_up = take_up(started.run_id, {"serverless": True, "poll_interval": 0.2})

    assert get_run(started.run_id).info.status == "RUNNING"
    assert not taken_up.wait()
    assert get_run(started.run_id).info.status == status


@pytest.mark.usefixtures("recorded")
def test_only_runs_on_databricks_are_taken_up(tmp_path):
    there = tmp_path / "here"
    there.mkdir()
    (there / "true.sh").write_text("true\n")
    ended = mlp.run(str(there), "true.sh", env_manager="local")

    with pytest.raises(TrackingNotFound, match="says of no run on Databricks"):
        take_up(ended.run_id)


@pytest.mark.usefixtures("recorded")
def test_a_run_that_exists_is_continued_and_a_run_of_a_run_has_a_parent(tmp_path, monkeypatch):
    there = project(tmp_path / "p")
    first = run(there)
    monkeypatch.setenv("MLP_RUN_ID", first.run_id)

    second = run(there, parameters={"given": "nothing"}, run_id=first.run_id)
    third = run(there)

    assert second.run_id == first.run_id
    assert get_run(third.run_id).data.tags["mlflow.parentRunId"] == first.run_id


def test_a_submission_that_is_refused_leaves_a_failed_record(recorded, tmp_path):
    with pytest.raises(WorkspaceNotFound, match="Cluster 0000-000000-nobodys does not exist") as refused:
        run(project(tmp_path / "p"), backend_config={"existing_cluster_id": "0000-000000-nobodys"})

    (found,) = tracking.search_runs([_experiment(recorded)])
    assert found.info.status == "FAILED"
    assert found.data.tags["mlp.reason"] == refused.value.reason
    assert found.data.tags["mlp.message"] == str(refused.value)


@pytest.mark.usefixtures("hasty")
def test_a_run_whose_submission_was_not_answered_is_cancelled(recorded, logged_in, tmp_path):
    logged_in.script("unanswered", {"hold": True})
    logged_in.faults.add("drop", "runs/submit", after=True, times=2)

    with pytest.raises(WorkspaceUnavailable) as told:
        run(project(tmp_path / "unanswered"))

    assert "Nobody knows" not in str(told.value)
    (only,) = logged_in.runs()
    assert [cancel["run_id"] for cancel in logged_in.cancels] == [only["run_id"]]
    (found,) = tracking.search_runs([_experiment(recorded)])
    assert found.info.status == "FAILED"


@pytest.mark.usefixtures("hasty")
def test_where_nobody_can_know_whether_there_is_a_run_that_is_said(logged_in, tmp_path):
    there = project(tmp_path / "p")
    logged_in.faults.add("503", "runs/submit", times=None)

    with pytest.raises(WorkspaceUnavailable, match=f"look there for one that is called 'MLflow Run for {there}'"):
        run(there)

    assert logged_in.runs() == []


def test_whoever_is_interrupted_again_while_it_is_undone_is_told_as_well(monkeypatch, tmp_path, caplog):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Workspace, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(project(tmp_path / "p"))

    assert "Nobody knows whether the workspace has begun a run" in caplog.text


def test_without_a_tracking_server_a_run_has_an_id_of_its_own(tmp_path):
    script = "import os\nprint(os.environ['MLP_RUN_ID'], 'MLFLOW_RUN_ID' in os.environ)\n"

    ended = run(project(tmp_path / "p", script=script))

    assert len(ended.run_id) == 32
    # It is known by the same ID there, and as none of MLflow's.
    assert list(ended.logs()) == [f"{ended.run_id} False"]
    assert not (tmp_path / "p" / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("uri", "shown"), [("sqlite:////tmp/x/mlflow.db", "sqlite:////tmp/x/mlflow.db"), ("./mlruns", "./mlruns")]
)
def test_a_tracking_store_of_this_machine_is_refused_in_mlflow_s_words(logged_in, tmp_path, uri, shown):
    with pytest.raises(UsageError) as told:
        run(project(tmp_path / "p"), tracking_uri=uri)

    assert str(told.value).startswith(
        "When running on Databricks, the MLflow tracking URI must be of the form 'databricks' or "
        "'databricks://profile', or a remote HTTP URI accessible to both the current client and code running on "
        f"Databricks. Got local tracking URI {shown}. Please specify a valid tracking URI via mlflow.set_tracking_uri"
    )
    assert logged_in.journal.requests() == []


SPARK = {"databricks_spark_job": {"python_libraries": []}}
PATH = {"parameters": {"given": "path"}}
FROM_GIT = {"backend_config": {**CLUSTER, "project_source": "git"}}


@pytest.mark.parametrize(
    ("kind", "message", "made", "options"),
    [
        (ExecutionException, "Running docker-based projects on Databricks is", {"docker_env": {"image": "i"}}, {}),
        (ParameterInvalid, "is a path of this machine. Upload it", PATH, {"parameters": {"given": __file__}}),
        (ParameterInvalid, "is a path of this machine", PATH, {"parameters": {"given": f"file://{__file__}"}}),
        (ParameterInvalid, "is not among what is sent", PATH, {"parameters": {"given": "data.csv"}}),
        (ParameterInvalid, "Parameter given: ", PATH, {"parameters": {"given": "s3://"}}),
        (ParameterMissing, "given", PATH, {}),
        (EntryPointNotFound, "Could not find train", {}, {"entry_point": "train"}),
        (ProjectInvalid, "does not allow setting both", {"databricks_spark_job": {"python_file": "show.py"}}, {}),
        (ProjectInvalid, "does not support entry point parameter of 'path' type", {**SPARK, **PATH}, {}),
        (UsageError, "Databricks spark job only supports 'python'", {**SPARK, "command": "bash x.sh"}, {}),
        (EntryPointNotFound, "the Python file no.py, and", {**SPARK, "command": "python no.py"}, {}),
        (
            EntryPointNotFound,
            "the Python file no.py, and",
            {"databricks_spark_job": {"python_file": "no.py"}, "entry_points": None},
            {},
        ),
        (FieldNotSupported, "does not take docker_args", {}, {"docker_args": {"gpus": "all"}}),
        (UsageError, "Invalid value for `env_manager`: pip", {}, {"env_manager": "pip"}),
        (UsageError, "Backend spec must be provided when launching", {}, {"backend_config": None}),
        (UsageError, "is not in a Git repository that a workspace could fetch", {}, FROM_GIT),
    ],
)
def test_what_cannot_run_there_is_told_before_anything_is_sent(logged_in, tmp_path, kind, message, made, options):
    there = project(tmp_path / "p", **made)

    with pytest.raises(kind, match=re.escape(message)):
        run(there, **options)

    assert [request for request in logged_in.journal.requests() if request.method != "GET"] == []


def test_a_project_that_is_too_large_for_the_workspace_s_files_is_told_of_volumes(tmp_path):
    there = project(tmp_path / "p")
    (there / "large.bin").write_bytes(random.Random(0).randbytes(10_100_000))

    with pytest.raises(SourceInvalid, match=r"give upload_to \(/Volumes/CATALOG/SCHEMA/VOLUME/…\)"):
        run(there)


def test_paths_of_the_cluster_and_of_the_project_are_taken_and_remote_data_is_brought_there(tmp_path):
    there = project(tmp_path / "p", "python show.py {near} {far}", parameters={"near": "path", "far": "string"})
    (there / "data").mkdir()
    (there / "data" / "table.csv").write_text("1\n")

    ended = run(there, parameters={"near": "data/table.csv", "far": "/Volumes/main/default/files/x"})

    near, far = json.loads(list(ended.logs())[-1])
    assert near.endswith("/data/table.csv")
    assert far == "/Volumes/main/default/files/x"


def test_a_spark_job_s_file_runs_with_its_own_parameters(tmp_path):
    job = {"python_file": "show.py", "parameters": ["one", 2]}
    there = project(tmp_path / "p", databricks_spark_job=job, entry_points=None)

    ended = run(there, backend_config={**CLUSTER, "poll_interval": 0.2}, parameters={"given": "not used"})

    assert json.loads(list(ended.logs())[-1]) == ["one", "2"]


@pytest.fixture
def repository(tmp_path):
    """A directory of repositories that a server serves, with one in it."""
    work = project(tmp_path / "work" / "nested", "python show.py {given}").parent
    commit(work)
    (tmp_path / "served").mkdir()
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(tmp_path / "served" / "wine.git"))
    return tmp_path / "served"


@pytest.mark.usefixtures("recorded")
def test_a_subdirectory_of_a_repository_is_fetched_here_and_sent(repository):
    with serving(repository) as server:
        ended = run(f"{server.url}/wine.git#nested", parameters={"given": "g"}, version="main")

    assert json.loads(list(ended.logs())[-1]) == ["g"]
    tags = get_run(ended.run_id).data.tags
    assert tags["mlflow.source.name"] == f"{server.url}/wine.git#nested"
    assert tags["mlflow.source.git.repoURL"] == f"{server.url}/wine.git"
    assert len(tags["mlflow.source.git.commit"]) == 40


@pytest.mark.usefixtures("recorded")
def test_a_repository_may_be_fetched_by_the_workspace_itself(logged_in, repository):
    spec = {**CLUSTER, "project_source": "git", "git_provider": "gitHub", "poll_interval": 0.2}
    with serving(repository) as server:
        ended = run(f"{server.url}/wine.git#nested", parameters={"given": "it's"}, backend_config=spec)

    assert json.loads(list(ended.logs())[-1]) == ["it's"]
    body = logged_in.run(ended.databricks_run_id)["body"]
    assert body["git_source"]["git_commit"] == get_run(ended.run_id).data.tags["mlflow.source.git.commit"]
    # There is nobody on the cluster who could do it.
    assert get_run(ended.run_id).info.status == "FINISHED"


def test_a_private_repository_is_fetched_there_only_with_credentials_of_the_workspace(logged_in, repository):
    spec = {**CLUSTER, "project_source": "git", "git_provider": "gitHub", "poll_interval": 0.2}
    with (
        serving(repository, accounts=Accounts({"bob": "pa55-w0rd"})) as server,
        pytest.raises(WorkspaceDenied, match="has no Git credential for gitHub"),
    ):
        run(f"{server.url}/wine.git#nested", backend_config=spec, git_username="bob", git_password="pa55-w0rd")

    assert logged_in.runs() == []
