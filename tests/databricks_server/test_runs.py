"""Runs of the double, as databricks-sdk's own client sees them."""

from __future__ import annotations

import io
import subprocess
import zipfile

import pytest
import requests
from databricks.sdk.errors import InvalidParameterValue, ResourceDoesNotExist
from databricks.sdk.service.compute import Environment, Library
from databricks.sdk.service.jobs import (
    GitProvider,
    GitSource,
    JobEnvironment,
    JobRunAs,
    QueueSettings,
    RunType,
    Source,
    SparkPythonTask,
    SubmitTask,
)

from tests.databricks_server import EXISTING_CLUSTER, DatabricksServer
from tests.databricks_server.clients import client, cluster, ended, is_running, printed, put, submit, until, words


@pytest.fixture
def ann(databricks):
    return client(databricks.url, token=databricks.token)


def test_a_task_is_executed_and_what_it_prints_is_kept(ann, databricks):
    file = put(ann, "hello.py", "import sys\nprint(sys.argv[1:])\nprint('oh', file=sys.stderr)\n")

    run = ended(ann, submit(ann, file, "it's", 'a "$b" {c}\n', "ü"))

    assert words(run) == ("TERMINATED", "SUCCESS", "SUCCESS")
    output = printed(ann, run)
    assert output.logs == "[\"it's\", 'a \"$b\" {c}\\n', 'ü']\n"
    assert output.metadata.run_id == run.tasks[0].run_id
    assert (output.error, output.logs_truncated) == (None, False)
    assert databricks.stderr(run.run_id) == "oh\n"


def test_the_file_has_no_name_for_itself_and_nothing_of_the_tests_environment(ann, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    file = put(
        ann,
        "look.py",
        "import importlib.util, os\n"
        "print('__file__' in globals(), __name__, importlib.util.find_spec('mlp'))\n"
        "print(os.environ.get('MLFLOW_TRACKING_TOKEN'))\n"
        "print(os.listdir(), os.environ['DATABRICKS_RUNTIME_VERSION'], os.environ['GREETING'])\n",
    )

    run = ended(ann, submit(ann, file, task={"new_cluster": cluster(spark_env_vars={"GREETING": "hi"})}))

    assert printed(ann, run).logs == "False __main__ None\nNone\n[] 15.4 hi\n"


def test_what_is_said_of_a_cluster_may_be_empty(databricks):
    empty = {"spark_env_vars": {}, "spark_conf": {}, "custom_tags": {}, "init_scripts": []}
    new_cluster = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 0, **empty}
    task = {"task_key": "main", "new_cluster": new_cluster, "spark_python_task": {"python_file": "/Workspace/x.py"}}
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {databricks.token}"
        api = f"{databricks.url}/api/2.2/jobs/runs"
        submitted = session.post(f"{api}/submit", json={"run_name": "a run", "tasks": [task]}, timeout=60).json()
        assert "run_id" in submitted, submitted
        found = session.get(f"{api}/get", params={"run_id": submitted["run_id"]}, timeout=60)
    assert found.status_code == 200, found.text
    assert found.json()["tasks"][0]["new_cluster"] == new_cluster


def test_an_exception_fails_the_run_and_its_traceback_is_told(ann):
    run = ended(ann, submit(ann, put(ann, "bad.py", "print('so far')\nraise ValueError('no good')\n")))

    assert words(run) == ("TERMINATED", "FAILED", "RUN_EXECUTION_ERROR")
    output = printed(ann, run)
    assert (output.logs, output.error) == ("so far\n", "ValueError: no good")
    assert 'bad.py", line 2' in output.error_trace


@pytest.mark.parametrize(("code", "result"), [("0", "SUCCESS"), ("", "SUCCESS"), ("3", "FAILED"), ("'why'", "FAILED")])
def test_an_exit_is_a_success_or_a_failure_as_it_says(ann, code, result):
    run = ended(ann, submit(ann, put(ann, "leave.py", f"import sys\nsys.exit({code})\n")))

    assert words(run)[1] == result


def test_a_process_that_vanishes_has_failed(ann):
    run = ended(ann, submit(ann, put(ann, "vanish.py", "import os\nos.kill(os.getpid(), 9)\n")))

    assert words(run)[1] == "FAILED"
    assert printed(ann, run).error == "The Python process exited unexpectedly."


def test_serverless_tells_a_failed_task_as_an_internal_error(ann, databricks):
    databricks.script("quirky", {"internal_error": True})

    run = ended(ann, submit(ann, put(ann, "bad.py", "raise ValueError\n"), run_name="a quirky one"))

    assert words(run) == ("INTERNAL_ERROR", "FAILED", "RUN_EXECUTION_ERROR")
    message = "Task main failed with message: Workload failed, see run output for details."
    assert run.state.state_message == message
    assert run.tasks[0].state.life_cycle_state.value == "TERMINATED"


def test_only_the_end_of_much_output_is_kept(ann):
    run = ended(ann, submit(ann, put(ann, "loud.py", "print('x' * (6 << 20))\nprint('end')\n")))

    output = printed(ann, run)
    assert output.logs_truncated
    assert len(output.logs) == 5 << 20
    assert output.logs.endswith("x\nend\n")


def test_a_cancelled_run_has_ended_only_when_its_processes_have(ann, databricks):
    file = put(
        ann,
        "stubborn.py",
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n",
    )
    databricks.delays.grace = 0.5
    run_id = submit(ann, file)
    until(lambda: databricks.processes(run_id), lambda found: len(found) == 2)

    ann.jobs.cancel_run(run_id)

    ending = ann.jobs.get_run(run_id)
    assert words(ending)[0] in {"RUNNING", "TERMINATING", "TERMINATED"}
    run = ended(ann, run_id)
    assert databricks.processes(run_id) == []
    assert words(run) == ("TERMINATED", "CANCELED", "USER_CANCELED")
    assert run.state.user_cancelled_or_timedout
    assert printed(ann, run).logs == "ready\n"
    assert [each["run_id"] for each in databricks.cancels] == [run_id]


def test_what_a_task_leaves_behind_goes_with_it_and_is_noted(ann, databricks):
    file = put(
        ann,
        "careless.py",
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n",
    )

    run = ended(ann, submit(ann, file))

    assert words(run)[1] == "SUCCESS"
    assert databricks.processes(run.run_id) == []
    assert ["time.sleep(600)" in each for each in databricks.run(run.run_id)["left_behind"]] == [True]


@pytest.mark.parametrize("where", ["run", "task"])
def test_a_run_that_takes_too_long_is_ended(ann, databricks, where):
    limit = {"timeout_seconds": 1}
    options = limit if where == "run" else {"task": limit}

    run = ended(ann, submit(ann, put(ann, "sleep.py", "import time\ntime.sleep(600)\n"), **options))

    assert words(run) == ("TERMINATED", "TIMEDOUT", "CANCELED")
    assert databricks.processes(run.run_id) == []


def test_a_token_is_one_run_whether_that_has_ended_or_not(ann, databricks):
    file = put(ann, "hello.py", "print('hello')\n")

    first = submit(ann, file, idempotency_token="t" * 64)
    second = submit(ann, file, idempotency_token="t" * 64)
    ended(ann, first)
    third = submit(ann, file, idempotency_token="t" * 64)
    other = submit(ann, file, idempotency_token="u")

    assert first == second == third != other
    assert [each["new"] for each in databricks.submissions] == [True, False, False, True]
    ended(ann, other)
    ann.jobs.delete_run(first)
    with pytest.raises(Exception, match="has been deleted"):
        submit(ann, file, idempotency_token="t" * 64)


def test_a_run_that_nobody_has_heard_of_is_said_not_to_exist(ann, databricks):
    run_id = ended(ann, submit(ann, put(ann, "hello.py", ""))).run_id
    databricks.forget(run_id)

    for call in (ann.jobs.get_run, ann.jobs.get_run_output):
        with pytest.raises(ResourceDoesNotExist, match=f"Run {run_id} does not exist"):
            call(run_id)
    with pytest.raises(InvalidParameterValue, match=f"Run {run_id} does not exist"):
        ann.jobs.cancel_run(run_id)


def test_the_output_is_the_task_s_not_the_run_s(ann):
    run = ended(ann, submit(ann, put(ann, "hello.py", "")))

    with pytest.raises(InvalidParameterValue, match="multiple tasks is not supported"):
        ann.jobs.get_run_output(run.run_id)


def test_runs_are_listed_page_by_page_the_newest_first(ann, databricks):
    databricks.script("held", {"hold": True})
    databricks.script("done", "SUCCESS")
    done = [submit(ann, "/Workspace/x.py", run_name="done") for _ in range(3)]
    held = [submit(ann, "/Workspace/x.py", run_name="held") for _ in range(30)]
    for run_id in done:
        ended(ann, run_id)

    listed = list(ann.jobs.list_runs(active_only=True, run_type=RunType.SUBMIT_RUN, limit=24))

    assert [each.run_id for each in listed] == held[::-1]
    assert databricks.journal.count("GET", "/runs/list") == 2
    assert {each.run_id for each in ann.jobs.list_runs(completed_only=True)} == set(done)
    assert all(each.tasks for each in ann.jobs.list_runs(expand_tasks=True, active_only=True))
    with pytest.raises(InvalidParameterValue, match="limit"):
        list(ann.jobs.list_runs(limit=26))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("SKIPPED", ("SKIPPED", None, "SKIPPED")),
        ("EXCLUDED", ("SKIPPED", "EXCLUDED", "SKIPPED")),
        (
            "MAXIMUM_CONCURRENT_RUNS_REACHED",
            ("SKIPPED", "MAXIMUM_CONCURRENT_RUNS_REACHED", "MAX_CONCURRENT_RUNS_EXCEEDED"),
        ),
        ("CLOUD_FAILURE", ("INTERNAL_ERROR", None, "CLOUD_FAILURE")),
        ("TIMEDOUT", ("TERMINATED", "TIMEDOUT", "CANCELED")),
    ],
)
def test_a_tag_of_the_cluster_scripts_an_end(ann, word, expected):
    run = ended(ann, submit(ann, "/Workspace/x.py", task={"new_cluster": cluster(custom_tags={"double": word})}))

    assert words(run) == expected


def test_a_script_holds_a_run_in_each_state_until_it_is_released(ann, databricks):
    databricks.script(
        "slow", {"queued": None, "blocked": None, "waiting_for_retry": None, "pending": None, "hold": True}
    )
    run_id = submit(ann, "/Workspace/x.py", run_name="a slow one")

    for word in ("QUEUED", "BLOCKED", "WAITING_FOR_RETRY", "PENDING", "RUNNING"):
        until(lambda: words(ann.jobs.get_run(run_id))[0], lambda life, word=word: life == word)
        databricks.release(run_id)

    assert words(ended(ann, run_id)) == ("TERMINATED", "SUCCESS", "SUCCESS")


def test_words_that_no_client_knows_can_be_told(ann, databricks):
    databricks.script("odd", {"unknown": "HIBERNATING", "hold": True})
    run_id = submit(ann, "/Workspace/x.py", run_name="odd")

    answer = until(
        lambda: ann.api_client.do("GET", "/api/2.2/jobs/runs/get", query={"run_id": run_id}),
        lambda run: run["state"]["life_cycle_state"] == "HIBERNATING",
    )

    assert answer["status"]["state"] == "HIBERNATING"
    assert ann.jobs.get_run(run_id).state.life_cycle_state is None


def test_older_workspaces_have_one_kind_of_state(ann, databricks):
    databricks.script("old", {"without_status": True, "ending": "FAILED"})

    run = ended(ann, submit(ann, "/Workspace/x.py", run_name="old"))

    assert run.status is None
    assert words(run)[:2] == ("TERMINATED", "FAILED")


def test_many_runs_without_processes_cost_little(ann, databricks):
    databricks.script("instant", {"instant": 0.1, "logs": "as if\n"})

    runs = [submit(ann, "/Workspace/x.py", run_name="instant") for _ in range(100)]

    assert {words(ended(ann, run_id)) for run_id in runs} == {("TERMINATED", "SUCCESS", "SUCCESS")}
    assert printed(ann, ann.jobs.get_run(runs[0])).logs == "as if\n"
    assert all(run["pid"] is None for run in databricks.runs())


def test_a_git_project_is_cloned_at_its_commit(ann, tmp_path):
    repository = tmp_path / "repository"
    (repository / "src").mkdir(parents=True)
    (repository / "src" / "train.py").write_text("import os, words\nprint(words.WORD, os.path.isdir('.git'))\n")
    (repository / "words.py").write_text("WORD = 'first'\n")
    git = ["git", "-C", str(repository), "-c", "user.name=ann", "-c", "user.email=ann@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    commits = []
    for word in ("first", "second"):
        (repository / "words.py").write_text(f"WORD = '{word}'\n")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", word], check=True)
        commits.append(
            subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        )
    url = repository.as_uri()

    source = GitSource(git_url=url, git_provider=GitProvider.GIT_HUB, git_commit=commits[0])
    run = ended(ann, submit(ann, "src/train.py", source=Source.GIT, git_source=source))

    assert printed(ann, run).logs == "first True\n"
    assert run.git_source.git_snapshot.used_commit == commits[0]
    source = GitSource(git_url=url, git_provider=GitProvider.GIT_HUB, git_branch="nowhere")
    run = ended(ann, submit(ann, "src/train.py", source=Source.GIT, git_source=source))
    assert words(run) == ("INTERNAL_ERROR", "FAILED", "REPOSITORY_CHECKOUT_FAILED")


def test_a_file_that_is_not_there_or_not_theirs_cannot_be_run(ann):
    file = put(ann, "hello.py", "")

    for path, run_as in ((file + "x", None), (file, JobRunAs(service_principal_name="robot"))):
        run = ended(ann, submit(ann, path, run_as=run_as))
        assert words(run)[1] == "FAILED"
        assert run.state.state_message.startswith(f"Cannot read the python file {path}")


def test_serverless_and_existing_clusters_run_tasks_too(ann):
    file = put(ann, "hello.py", "import os\nprint(os.environ['DATABRICKS_RUNTIME_VERSION'])\n")
    environment = JobEnvironment("default", spec=Environment(environment_version="4"))
    code = SparkPythonTask(python_file=file)

    serverless = ann.jobs.submit(
        environments=[environment], tasks=[SubmitTask("main", environment_key="default", spark_python_task=code)]
    )
    existing = ann.jobs.submit(tasks=[SubmitTask("main", existing_cluster_id=EXISTING_CLUSTER, spark_python_task=code)])

    assert printed(ann, ended(ann, serverless.response.run_id)).logs == "client.2.0\n"
    assert printed(ann, ended(ann, existing.response.run_id)).logs == "15.4\n"


def test_libraries_are_installed_for_the_run_and_a_wrong_one_fails_it(ann):
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as wheel:
            wheel.writestr("words.py", "WORD = 'found'\n")
            wheel.writestr("words-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
            wheel.writestr(
                "words-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            wheel.writestr("words-1.0.dist-info/RECORD", "")
        ann.files.upload("/Volumes/main/default/files/words-1.0-py3-none-any.whl", io.BytesIO(stream.getvalue()))
    file = put(ann, "hello.py", "import words\nprint(words.WORD)\n")

    libraries = [Library(whl="/Volumes/main/default/files/words-1.0-py3-none-any.whl")]
    run = ended(ann, submit(ann, file, task={"libraries": libraries}))
    assert printed(ann, run).logs == "found\n"

    libraries = [Library(whl="/Volumes/main/default/files/nothing-1.0-py3-none-any.whl")]
    run = ended(ann, submit(ann, file, task={"libraries": libraries}))
    assert words(run) == ("INTERNAL_ERROR", "FAILED", "LIBRARY_INSTALLATION_ERROR")


def test_more_runs_than_there_is_room_for_wait(tmp_path):
    with DatabricksServer(tmp_path / "small", at_once=1) as databricks:
        _more_than_there_is_room_for(databricks)


def _more_than_there_is_room_for(databricks):
    ann = client(databricks.url, token=databricks.token)
    databricks.script("held", {"hold": True})
    first, second = (submit(ann, "/Workspace/x.py", run_name="held") for _ in range(2))
    third = submit(ann, "/Workspace/x.py", run_name="held", queue=QueueSettings(enabled=False))

    until(lambda: ann.jobs.get_run(first), is_running)
    queued = until(lambda: ann.jobs.get_run(second), lambda run: words(run)[0] == "QUEUED")
    assert queued.status.queue_details.code.value == "MAX_CONCURRENT_RUNS_REACHED"
    assert words(ended(ann, third))[0] == "SKIPPED"
    databricks.release(first)
    until(lambda: ann.jobs.get_run(second), is_running)
