"""A project that is sent to Databricks runs there as it would here, and says so in the run's own words."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from mlp.backends.databricks.task import Compute
from mlp.tracking import connect
from tests.backends.databricks.remote_runs import Remote, cluster
from tests.backends.local.records import record
from tests.cli.program import EXAMPLES, project
from tests.servers import files_http

SHOW = "import json, sys; print(json.dumps(sys.argv[1:]))\n"


@pytest.fixture
def remote(databricks, tmp_path):
    sending = Remote(databricks, tmp_path)
    yield sending
    sending.workspace.close()


@pytest.fixture
def begun(mlflow_server):
    """An MLflow run, as whoever submits begins it."""
    tracking = connect(mlflow_server.uri)
    run = tracking.create_run("0", run_name=None, tags={}, start_time=time.time_ns() // 1_000_000)
    return {"tracking_uri": mlflow_server.uri, "run_id": run.info.run_id, "experiment_id": "0"}


def spark_job(directory: Path, script: str, **keys) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "MLproject").write_text(yaml.safe_dump(keys))
    (directory / "job.py").write_text(script)
    return directory


def written(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.py").write_text(text)
    return directory


def test_parameters_arrive_exactly_and_output_is_what_the_command_wrote(remote, tmp_path):
    values = {
        "quotes": 'it\'s "quoted" `x` \\',
        "dollar": "$HOME ${X} $(id)",
        "lines": "one\ntwo\r\n\tthree ",
        "unicode": "ü λ 🦊 \u00a0",
        "braces": "{{job.run_id}} {} }}",
        "dashes": "--alpha -",
        "empty": "",
    }
    command = "python show.py " + " ".join(f"{{{name}}}" for name in values)
    work = written(project(tmp_path / "p", command, parameters=dict.fromkeys(values, "string")), show=SHOW)
    ended = remote.run(work, parameters=values)
    assert (ended.result, ended.error) == ("SUCCESS", "")
    assert json.loads(ended.logs) == list(values.values())


def test_a_failing_command_fails_the_run_with_one_line_and_leaves_nothing(remote, tmp_path):
    ended = remote.run(project(tmp_path / "p", "echo before; touch made; exit 3"))
    assert ended.result == "FAILED"
    assert ended.logs == "before\n"
    assert "entry point main ended with exit status 3" in ended.error
    assert "\n" not in ended.error
    assert not ended.directory.exists()


def test_all_that_a_command_writes_is_in_its_log_in_order_and_nothing_that_mlp_says(remote, tmp_path):
    script = (
        "import sys\nprint('first')\nprint('warned', file=sys.stderr)\nprint('second')\nraise ValueError('no wine')\n"
    )
    ended = remote.run(written(project(tmp_path / "p", "python fail.py"), fail=script))
    lines = ended.logs.splitlines()
    assert lines[:4] == ["first", "warned", "second", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: no wine"
    assert "=== Running command 'python fail.py'" in ended.stderr


@pytest.mark.parametrize(
    ("example", "given", "said"),
    [
        ("two_steps", {"parameters": {"rows": "50"}}, "slope"),
        ("no_mlproject", {"entry_point": "greet.py", "parameters": {"name": "a b"}}, "Hello, a b!"),
    ],
)
def test_examples_run(remote, example, given, said):
    ended = remote.run(EXAMPLES / example, **given)
    assert (ended.result, ended.error) == ("SUCCESS", "")
    assert said in ended.logs


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "ParameterMissing"),
        ({"parameters": {"n": "many"}}, "ParameterInvalid"),
        ({"entry_point": "other"}, "EntryPointNotFound"),
        ({"subdirectory": "nowhere", "parameters": {"n": "1"}}, "Could not find subdirectory nowhere"),
    ],
)
def test_mistakes_are_named(remote, tmp_path, given, said):
    ended = remote.run(project(tmp_path / "p", "true {n}", parameters={"n": "int"}), **given)
    assert ended.result == "FAILED"
    assert said in ended.error
    assert not ended.directory.exists()


def test_types_need_not_fit_where_nobody_wants_that(remote, tmp_path):
    work = project(tmp_path / "p", "echo {n}", parameters={"n": "int"})
    assert remote.run(work, parameters={"n": "many"}, validate=False).logs == "many\n"


def test_an_assignment_that_is_too_long_for_arguments_arrives_all_the_same(remote, tmp_path):
    work = written(project(tmp_path / "p", "python show.py {text}", parameters={"text": "string"}), show=SHOW)
    ended = remote.run(work, parameters={"text": "x y " * 5000})
    assert json.loads(ended.logs) == ["x y " * 5000]


@pytest.mark.parametrize(
    "given",
    [
        {"upload_to": "/Volumes/main/default/files/mlp"},
        {"upload_to": "/Workspace/Shared/mlp"},
        {"upload_to": "dbfs:/mlp"},
        {"compute": Compute(serverless=True)},
    ],
)
def test_projects_run_from_wherever_they_were_uploaded_to_and_on_any_compute(remote, tmp_path, given):
    work = project(tmp_path / "p", "cat inner/data.txt")
    (work / "inner").mkdir()
    (work / "inner" / "data.txt").write_text("its data\n")
    assert remote.run(work, **given).logs == "its data\n"


def test_a_path_is_one_of_the_project_and_a_subdirectory_may_be_it(remote, tmp_path):
    work = project(tmp_path / "p" / "inner", "cat {data}; pwd", parameters={"data": "path"})
    (work / "data.txt").write_text("its data\n")
    ended = remote.run(tmp_path / "p", subdirectory="inner", parameters={"data": "data.txt"})
    assert ended.logs.splitlines() == ["its data", str(ended.directory / "project" / "inner")]


def test_data_of_elsewhere_lies_where_it_was_planned_to(remote, tmp_path):
    work = project(tmp_path / "p", "echo {table}; cat {table}", parameters={"table": "path"})
    with files_http.files_server() as server:
        server.files["/wine/table.csv"] = files_http.File(b"its data\n")
        ended = remote.run(work, parameters={"table": f"{server.url}/wine/table.csv"})
    assert ended.logs.splitlines() == [str(ended.directory / "data" / "table" / "table.csv"), "its data"], ended.error


def test_the_command_has_the_drivers_own_environment_and_python_and_nothing_of_mlps(remote, tmp_path):
    script = "import os, sys, json; print(json.dumps([sys.executable, sys.path, dict(os.environ)]))\n"
    work = written(project(tmp_path / "p", "python show.py", python_env="python_env.yaml"), show=script)
    (work / "python_env.yaml").write_text("dependencies: [nothing-of-that-name]\n")
    ended = remote.run(
        work,
        manager="local",
        variables={"OURS": "1"},
        compute=Compute(new_cluster=cluster(OF_THE_CLUSTER="2", PYTHONPATH="/somewhere")),
    )
    python, path, variables = json.loads(ended.logs)
    assert Path(python).parent == Path(variables["PATH"].split(":")[0])
    assert (variables["OURS"], variables["OF_THE_CLUSTER"], variables["PYTHONPATH"]) == ("1", "2", "/somewhere")
    assert not [entry for entry in path if "mlp-runtime" in entry]
    assert [name for name in variables if name.startswith("MLFLOW_")] == []


def test_a_conda_environment_is_built_there(
    remote, tmp_path, conda_channel, databricks_wheels, databricks_conda_wheels, monkeypatch
):
    monkeypatch.setenv("PIP_FIND_LINKS", f"{databricks_wheels} {databricks_conda_wheels}")
    work = project(tmp_path / "p", "greeter", conda_env="conda.yaml")
    (work / "conda.yaml").write_text(
        f"channels: ['{conda_channel.url}', nodefaults]\ndependencies: [python, greeter]\n"
    )
    ended = remote.run(work)
    assert (ended.result, ended.error) == ("SUCCESS", "")
    assert ended.logs == "greeter 1.0\n"


def test_a_container_is_refused(remote, tmp_path):
    ended = remote.run(project(tmp_path / "p", "true", docker_env={"image": "busybox"}))
    assert "Running docker-based projects on Databricks is not yet supported." in ended.error


def test_the_mlflow_run_is_taken_up_and_ended_as_the_command_ended(remote, tmp_path, begun):
    command = "echo $MLFLOW_RUN_ID $MLFLOW_TRACKING_URI $MLFLOW_EXPERIMENT_ID; exit {code}"
    work = project(tmp_path / "p", command, parameters={"code": {"type": "int", "default": 0}})
    ended = remote.run(work, **begun)
    assert ended.logs.split() == [begun["run_id"], begun["tracking_uri"], "0"]
    found = record(begun["tracking_uri"], begun["run_id"])
    assert (found.status, found.ended) == ("FINISHED", True)
    # Whoever submitted it has tagged it, as a run on Databricks.
    assert "mlflow.project.backend" not in found.tags
    assert remote.run(work, **begun, parameters={"code": "1"}).result == "FAILED"
    assert record(begun["tracking_uri"], begun["run_id"]).status == "FAILED"


@pytest.mark.parametrize("status", ["RUNNING", "KILLED"])
def test_a_run_that_mlp_cannot_be_installed_for_has_ended_in_mlflow_too(remote, tmp_path, begun, status):
    # A driver where nothing is installed yet, and that reaches no index.
    bare = cluster(PIP_FIND_LINKS=str(tmp_path), PIP_NO_INDEX="1", TMPDIR=str(tmp_path))
    if status != "RUNNING":  # somebody has said how it ended, who knows better
        connect(begun["tracking_uri"]).update_run(begun["run_id"], status=status)
    ended = remote.run(project(tmp_path / "p", "true"), compute=Compute(new_cluster=bare), **begun)
    assert "pip could not install mlp on the cluster" in ended.error
    found = record(begun["tracking_uri"], begun["run_id"])
    assert found.status == {"RUNNING": "FAILED"}.get(status, status)


def test_a_tracking_server_that_is_away_changes_nothing(remote, tmp_path):
    nowhere = {"tracking_uri": "http://127.0.0.1:9", "run_id": "a" * 32, "experiment_id": "7"}
    ended = remote.run(
        project(tmp_path / "p", "echo $MLFLOW_RUN_ID"),
        **nowhere,
        compute=Compute(new_cluster=cluster(MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")),
    )
    assert (ended.result, ended.logs) == ("SUCCESS", f"{'a' * 32}\n")
    assert "cannot be reached from here" in ended.stderr


def test_a_cancelled_run_leaves_no_process_and_is_recorded_as_killed(remote, tmp_path, begun):
    begun_it = tmp_path / "begun"
    work = project(tmp_path / "p", f"(trap '' TERM; touch {begun_it}; sleep 600) & sleep 600")
    in_a_second = Compute(new_cluster=cluster(MLP_GRACE="1"))
    run_id, directory = remote.submit(work, **begun, compute=in_a_second)
    remote.until(run_id, lambda _: begun_it.exists())
    remote.server.change_delays(grace=60.0)
    remote.workspace.cancel(run_id)
    ended = remote.ended(run_id, directory)
    assert ended.result == "CANCELED"
    assert remote.server.run(run_id)["left_behind"] == []
    assert not directory.exists()
    assert record(begun["tracking_uri"], begun["run_id"]).status == "KILLED"


def test_a_driver_that_is_killed_takes_the_command_with_it(remote, tmp_path):
    told = tmp_path / "pid"
    run_id, directory = remote.submit(project(tmp_path / "p", f"echo $$ > {told}.new; mv {told}.new {told}; sleep 600"))
    remote.until(run_id, lambda _: told.exists())
    os.kill(remote.server.run(run_id)["pid"], signal.SIGKILL)
    ended = remote.ended(run_id, directory)
    assert ended.result == "FAILED"
    remote.until(run_id, lambda _: not Path(f"/proc/{told.read_text().strip()}/cwd").exists())


def test_runs_at_once_share_what_is_installed(remote, tmp_path):
    runs = [remote.submit(project(tmp_path / f"p{number}", f"echo {number}")) for number in range(4)]
    assert [remote.ended(*each).logs for each in runs] == ["0\n", "1\n", "2\n", "3\n"]


SPARK = """
import json, os, sys
print(json.dumps([os.getpid(), sys.argv, os.getcwd(), __name__, os.environ.get("MLFLOW_RUN_ID"), sys.path[0]]))
import beside
"""


@pytest.mark.parametrize(
    "keys",
    [
        {"databricks_spark_job": {"python_file": "job.py", "parameters": ["--alpha", "it's $x", 1]}},
        {
            "databricks_spark_job": {"python_libraries": []},
            "entry_points": {
                "main": {
                    "parameters": {"text": {"type": "string", "default": "it's $x"}},
                    "command": "python job.py \\\n --alpha {text} 1\n",
                }
            },
        },
    ],
    ids=["python_file", "entry_points"],
)
def test_a_spark_job_runs_within_the_driver(remote, tmp_path, begun, keys):
    work = written(spark_job(tmp_path / "p", SPARK, **keys), beside="print('beside')\n")
    ended = remote.run(work, **begun)
    assert (ended.result, ended.error) == ("SUCCESS", "")
    said, beside = ended.logs.splitlines()
    directory = str(ended.directory / "project")
    assert json.loads(said) == [
        remote.server.run(ended.run_id)["pid"],
        ["job.py", "--alpha", "it's $x", "1"],
        directory,
        "__main__",
        begun["run_id"],
        directory,
    ]
    assert beside == "beside"
    assert record(begun["tracking_uri"], begun["run_id"]).status == "FINISHED"
    assert not ended.directory.exists()


def test_all_that_a_spark_job_writes_is_in_its_log_in_order(remote, tmp_path):
    script = "import sys\nprint('first')\nprint('warned', file=sys.stderr)\nprint('second')\n"
    ended = remote.run(spark_job(tmp_path / "p", script, databricks_spark_job={"python_file": "job.py"}))
    assert ended.logs == "first\nwarned\nsecond\n"


@pytest.mark.parametrize(
    ("script", "result", "said"),
    [
        ("import sys; sys.exit()", "SUCCESS", ""),
        ("import sys; sys.exit(3)", "FAILED", "job.py ended with exit status 3"),
        ("import sys; sys.exit('no data')", "FAILED", "job.py ended with no data"),
        ("raise ValueError('no data')", "FAILED", "ValueError: no data"),
    ],
)
def test_a_spark_jobs_script_says_how_it_ended(remote, tmp_path, begun, script, result, said):
    ended = remote.run(spark_job(tmp_path / "p", script, databricks_spark_job={"python_file": "job.py"}), **begun)
    assert ended.result == result
    assert said in ended.error
    expected = "FINISHED" if result == "SUCCESS" else "FAILED"
    assert record(begun["tracking_uri"], begun["run_id"]).status == expected


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"databricks_spark_job": {"python_file": "other.py"}}, "has no file other.py"),
        (
            {"databricks_spark_job": {"python_libraries": []}, "entry_points": {"main": {"command": "bash job.sh"}}},
            "Databricks spark job only supports 'python' command in the entry point configuration.",
        ),
        (
            {"databricks_spark_job": {"python_libraries": []}, "entry_points": {"other": {"command": "python job.py"}}},
            "The entry point 'main' is not defined in the Databricks spark job MLproject file.",
        ),
    ],
)
def test_a_spark_job_that_cannot_be_run_is_refused_in_mlflows_words(remote, tmp_path, keys, said):
    ended = remote.run(spark_job(tmp_path / "p", "", **keys))
    assert ended.result == "FAILED"
    assert said in ended.error
