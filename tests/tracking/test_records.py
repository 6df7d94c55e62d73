"""What is found in the store of a project's run, as MLflow's own client sees it."""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlp.errors import TrackingError, TrackingNotFound, UsageError
from mlp.tracking import RunRecord, connect, default_user, names, wanted_experiment
from tests.servers.guarded_proxy import Mishap

TAGS = {
    names.USER: "ada",
    names.SOURCE_NAME: "https://git.example.com/team/wine#training",
    names.SOURCE_TYPE: names.SOURCE_TYPE_PROJECT,
    names.PROJECT_ENTRY_POINT: "main",
    names.PROJECT_BACKEND: "local",
    names.PROJECT_NAME: "wine",
    names.GIT_COMMIT: "0123456789abcdef0123456789abcdef01234567",
    names.GIT_REPO_URL: "https://git.example.com/team/wine",
    names.GIT_BRANCH: "main",
}
START = "mlflow.start_run()\n"


@pytest.fixture
def begin(tracking, experiment):
    def begin(**options):
        return RunRecord.begin(tracking, **{"experiment_id": experiment, **options})

    return begin


def now():
    return time.time_ns() // 1_000_000


def test_a_run_is_there_and_running_before_the_command(begin, uri, mlflow, experiment):
    before = now()
    record = begin(tags=TAGS, parameters={"alpha": "0.5"})
    run = mlflow.seen(uri, record.run_id)
    assert run["info"]["status"] == "RUNNING"
    assert run["info"]["experiment_id"] == experiment == record.experiment_id
    assert before <= run["info"]["start_time"] <= now()
    assert run["info"]["end_time"] is None
    assert run["data"]["params"] == {"alpha": "0.5"}
    assert TAGS.items() <= run["data"]["tags"].items()
    assert run["info"]["user_id"] == "ada"


def test_a_run_ends_with_state_and_time(begin, uri, mlflow):
    for status in ("FINISHED", "FAILED", "KILLED"):
        record = begin()
        before = now()
        assert record.finish(status) == status
        info = mlflow.seen(uri, record.run_id)["info"]
        assert info["status"] == status
        assert before <= info["end_time"] <= now()


def test_a_run_ends_once(begin, uri, mlflow):
    record = begin()
    assert record.finish("FAILED") == "FAILED"
    ended = record_info(mlflow, uri, record)
    assert record.finish("FINISHED") == "FAILED"
    assert record_info(mlflow, uri, record) == ended
    assert ended["status"] == "FAILED"


def record_info(mlflow, uri, record):
    return mlflow.seen(uri, record.run_id)["info"]


def test_a_run_cannot_end_as_anything(begin):
    record = begin()
    with pytest.raises(UsageError, match=r"A run cannot end as 'DONE': FAILED, FINISHED, KILLED are possible\."):
        record.finish("DONE")
    record.finish("FINISHED")


def test_a_run_without_a_name_gets_one_of_mlflow(begin, uri, mlflow):
    record = begin()
    assert record.run_name.count("-") == 2
    run = mlflow.seen(uri, record.run_id)
    assert run["info"]["run_name"] == run["data"]["tags"]["mlflow.runName"] == record.run_name


def test_a_run_has_the_name_that_it_was_given(begin, uri, mlflow):
    record = begin(run_name="größe 1")
    run = mlflow.seen(uri, record.run_id)
    assert run["info"]["run_name"] == run["data"]["tags"]["mlflow.runName"] == record.run_name == "größe 1"


def test_tags_come_later_too(begin, uri, mlflow):
    record = begin(tags={names.PROJECT_ENV: "conda"})
    record.set_tags({names.PROJECT_ENV: "docker", names.DOCKER_IMAGE_URI: "wine:1"})
    tags = mlflow.seen(uri, record.run_id)["data"]["tags"]
    assert tags["mlflow.project.env"] == "docker"
    assert tags["mlflow.docker.image.uri"] == "wine:1"


def test_a_nested_run_is_found_by_its_parent(begin, uri, mlflow, experiment):
    parent = begin()
    child = begin(tags={names.PARENT_RUN_ID: parent.run_id})
    code = (
        "answer = [run.info.run_id for run in mlflow.MlflowClient(tracking_uri=uri).search_runs([experiment], query)]"
    )
    query = f"tags.mlflow.parentRunId = '{parent.run_id}'"
    assert mlflow.run(code, uri=uri, experiment=experiment, query=query) == [child.run_id]


def test_the_projects_code_resumes_the_run_and_its_end_is_kept(begin, uri, mlflow):
    record = begin(parameters={"alpha": "1"})
    code = START + "mlflow.log_metric('m', 1)\nanswer = mlflow.active_run().info.run_id\nmlflow.end_run()"
    assert mlflow.run(code, variables=record.environment()) == record.run_id
    ended = mlflow.seen(uri, record.run_id)["info"]["end_time"]
    assert record.finish("FINISHED") == "FINISHED"
    run = mlflow.seen(uri, record.run_id)
    assert run["info"]["end_time"] == ended
    assert run["data"]["metrics"] == {"m": 1.0}


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_a_state_that_the_projects_code_set_is_kept_whatever_its_exit_code(begin, uri, mlflow, status):
    record = begin()
    mlflow.run(START + f"mlflow.end_run({status!r})", variables=record.environment())
    assert record.finish("FINISHED") == status
    assert record_info(mlflow, uri, record)["status"] == status


def test_a_state_without_a_time_gets_one(begin, uri, mlflow):
    record = begin()
    mlflow.run("mlflow.MlflowClient(uri).update_run(run_id, status='KILLED')", uri=uri, run_id=record.run_id)
    assert record.finish("FINISHED") == "KILLED"
    info = record_info(mlflow, uri, record)
    assert info["status"] == "KILLED"
    assert info["end_time"] is not None


def test_what_the_code_wrote_because_it_was_told_to_end_is_no_verdict(begin, uri, mlflow):
    record = begin()
    told = now()
    mlflow.run(START + "mlflow.end_run('FAILED')", variables=record.environment())
    assert record.finish("KILLED", told_to_end=told) == "KILLED"
    assert record_info(mlflow, uri, record)["status"] == "KILLED"


def test_what_the_code_wrote_before_it_was_told_to_end_is_kept(begin, uri, mlflow):
    record = begin()
    mlflow.run(START + "mlflow.end_run('FINISHED')", variables=record.environment())
    assert record.finish("KILLED", told_to_end=now() + 1) == "FINISHED"
    assert record_info(mlflow, uri, record)["status"] == "FINISHED"


def test_another_experiment_in_the_code_clashes_with_the_run_as_mlflow_says(begin, mlflow):
    record = begin()
    code = f"mlflow.set_experiment('other-{uuid.uuid4().hex}')\n" + START
    try:
        said = mlflow.attempt(code, variables=record.environment())["error"]
    finally:
        mlflow.run("import mlflow.tracking.fluent as fluent\nfluent._active_experiment_id = None")
    assert "active experiment ID does not match environment run ID" in said
    assert record.finish("FAILED") == "FAILED"


def test_a_program_started_in_a_project_may_name_another_experiment():
    inherited = {"MLFLOW_EXPERIMENT_ID": "7", "MLFLOW_EXPERIMENT_NAME": "mine"}
    assert wanted_experiment(inherited) == {"experiment_id": "7"}
    assert wanted_experiment({"MLFLOW_EXPERIMENT_NAME": "mine"}) == {"name": "mine"}
    assert wanted_experiment(inherited, name="other") == {"name": "other"}
    assert wanted_experiment(inherited, experiment_id="0") == {"experiment_id": "0"}
    assert wanted_experiment({}) == {}


def test_parameters_are_recorded_as_they_were_given(begin, uri, mlflow):
    given = {
        "quoted": """it's "so" $HOME; `x`""",
        "blank ": " a  b ",
        "with space": "1",
        "a/b.c-d:e": "2",
        "lines": "one\ntwo\n",
        "unicode": "größe 数据 🍷",
        "empty": "",
        "braces": "{a} {{b}}",
    }
    record = begin(parameters=given)
    assert mlflow.seen(uri, record.run_id)["data"]["params"] == given


def test_bytes_that_are_no_text_are_shown_as_such(begin, uri, mlflow):
    record = begin(parameters={"name": b"caf\xe9".decode(errors="surrogateescape")})
    assert mlflow.seen(uri, record.run_id)["data"]["params"] == {"name": r"caf\udce9"}


def test_many_parameters_are_all_recorded(begin, uri, mlflow, caplog):
    given = {f"parameter{number}": "x" * 5000 for number in range(250)}
    record = begin(parameters=given)
    assert mlflow.seen(uri, record.run_id)["data"]["params"] == given
    assert not caplog.records


def test_names_that_mlflow_refuses_are_left_out_with_a_warning_each(begin, uri, mlflow, caplog):
    good = {f"parameter{number}": str(number) for number in range(120)}
    record = begin(parameters={"semi;colon": "1", **good, "../up": "2", "x" * 300: "3"})
    assert mlflow.seen(uri, record.run_id)["data"]["params"] == good
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert len(warnings) == 3
    assert warnings[0].startswith("The parameter 'semi;colon' is not recorded; the command gets it.")
    assert "Names may only contain alphanumerics" in warnings[0]


def test_a_long_value_is_cut_with_a_marker_and_a_warning(begin, uri, mlflow, caplog):
    record = begin(parameters={"fits": "x" * 6000, "long": "é" * 6001})
    recorded = mlflow.seen(uri, record.run_id)["data"]["params"]
    assert recorded["fits"] == "x" * 6000
    assert len(recorded["long"]) == 6000
    assert recorded["long"].startswith("é" * 5000)
    assert recorded["long"].endswith("... [cut: 6,001 characters]")
    [entry] = caplog.records
    assert entry.getMessage().startswith("The value of parameter 'long' has 6,001 characters")
    assert "éé" not in entry.getMessage()


def test_secrets_are_masked_wherever_they_stand(begin, uri, mlflow, caplog):
    secrets = ["s3cr3t/+ %", "token", ""]
    record = begin(
        run_name="by token",
        tags={names.SOURCE_NAME: "https://ada:s3cr3t%2F%2B%20%25@git.example.com/x"},
        parameters={
            "plain": "s3cr3t/+ %",
            "inside": "a token's",
            "bad;": "token",
            "long": "token" * 2000,
        },
        secrets=secrets,
    )
    record.set_tags({"later": "token"})
    data = mlflow.seen(uri, record.run_id)["data"]
    assert data["params"] == {"plain": "***", "inside": "a ***'s", "long": "***" * 2000}
    assert data["tags"][names.SOURCE_NAME] == "https://ada:***@git.example.com/x"
    assert data["tags"]["later"] == "***"
    assert record.run_name == "by ***"
    assert all(secret not in caplog.text for secret in secrets if secret)


def test_an_existing_run_is_resumed(begin, tracking, uri, mlflow, experiment):
    first = begin(run_name="first", tags={"a": "1", "b": "1"}, parameters={"alpha": "1"})
    first.finish("FAILED")
    again = RunRecord.begin(
        tracking, experiment_id="0", run_id=first.run_id, tags={"b": "2"}, parameters={"alpha": "1", "beta": "2"}
    )
    assert (again.run_id, again.experiment_id, again.run_name) == (first.run_id, experiment, "first")
    run = mlflow.seen(uri, first.run_id)
    assert run["info"]["status"] == "RUNNING"
    assert run["data"]["params"] == {"alpha": "1", "beta": "2"}
    assert {"a": "1", "b": "2"}.items() <= run["data"]["tags"].items()
    assert again.finish("FINISHED") == "FINISHED"
    assert record_info(mlflow, uri, again)["status"] == "FINISHED"


def test_a_resumed_run_keeps_the_parameters_that_it_has(begin, tracking, uri, mlflow, caplog):
    first = begin(parameters={"alpha": "1", "beta": "1"})
    again = RunRecord.begin(tracking, run_id=first.run_id, run_name="again", parameters={"alpha": "2", "gamma": "3"})
    run = mlflow.seen(uri, first.run_id)
    assert run["data"]["params"] == {"alpha": "1", "beta": "1", "gamma": "3"}
    assert run["info"]["run_name"] == "again"
    assert "The parameter 'alpha' is not recorded" in caplog.text
    again.finish("FINISHED")


def test_a_run_that_is_not_there_or_deleted_cannot_be_resumed(begin, tracking, uri, mlflow):
    with pytest.raises(TrackingNotFound, match="0123456789"):
        RunRecord.begin(tracking, run_id="0123456789abcdef0123456789abcdef")
    record = begin()
    mlflow.run("mlflow.MlflowClient(tracking_uri=uri).delete_run(run_id)", uri=uri, run_id=record.run_id)
    with pytest.raises(TrackingNotFound, match=f"mlflow runs restore --run-id {record.run_id}"):
        RunRecord.begin(tracking, run_id=record.run_id)


def test_a_run_that_was_deleted_meanwhile_does_not_disturb_the_end(begin, uri, mlflow, caplog):
    record = begin()
    mlflow.run("mlflow.MlflowClient(tracking_uri=uri).delete_run(run_id)", uri=uri, run_id=record.run_id)
    assert record.finish("FINISHED") == "FINISHED"
    assert record.run_id in caplog.text


def test_a_run_whose_parameters_cannot_be_logged_is_not_left_running(proxy, experiment, uri, mlflow):
    proxy.mishaps += [Mishap(on="log-batch", status=418)]
    tracking = connect(proxy.url)
    with pytest.raises(TrackingError, match="418"):
        RunRecord.begin(tracking, experiment_id=experiment, parameters={"a": "1"})
    [run] = tracking.search_runs([experiment])
    assert mlflow.seen(uri, run.info.run_id)["info"]["status"] == "FAILED"
    tracking.close()


def test_experiments_are_found_by_name_or_made(tracking, uri, mlflow):
    name = f"größe & co/{uuid.uuid4().hex}"
    made = tracking.experiment(name=name)
    assert tracking.experiment(name=name) == made
    assert tracking.experiment(experiment_id=made) == made
    code = "answer = mlflow.MlflowClient(tracking_uri=uri).get_experiment(found).name"
    assert mlflow.run(code, uri=uri, found=made) == name


def test_without_an_experiment_runs_go_to_the_default_one(tracking, uri, mlflow):
    assert tracking.experiment() == "0"
    record = RunRecord.begin(tracking)
    assert record_info(mlflow, uri, record)["experiment_id"] == "0"
    record.finish("FINISHED")


def test_experiments_that_cannot_be_used_are_named(tracking, uri, mlflow):
    with pytest.raises(UsageError, match=r"Specify only one of 'experiment_name' or 'experiment_id'\."):
        tracking.experiment(name="a", experiment_id="1")
    with pytest.raises(TrackingNotFound, match="987654"):
        tracking.experiment(experiment_id="987654")
    name = f"gone-{uuid.uuid4().hex}"
    gone = tracking.experiment(name=name)
    mlflow.run("mlflow.MlflowClient(tracking_uri=uri).delete_experiment(gone)", uri=uri, gone=gone)
    for asked in ({"name": name}, {"experiment_id": gone}):
        with pytest.raises(TrackingNotFound, match=f"'{name}' .* is deleted. Restore it with .* {gone}"):
            tracking.experiment(**asked)


def test_many_runs_at_once_share_a_connection(tracking, uri, mlflow):
    name, barrier = f"together-{uuid.uuid4().hex}", threading.Barrier(8)

    def live(number):
        barrier.wait(60)
        record = RunRecord.begin(
            tracking, experiment_id=tracking.experiment(name=name), parameters={"number": str(number)}
        )
        return record.experiment_id, record.run_id, record.finish("FINISHED" if number % 2 else "FAILED")

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(live, range(8)))
    [experiment] = {experiment for experiment, _, _ in told}
    found = {run.info.run_id: run for run in tracking.search_runs([experiment])}
    assert len(found) == 8
    for number, (_, run_id, status) in zip(itertools.count(), told, strict=False):
        run = mlflow.seen(uri, run_id)
        assert run["data"]["params"] == {"number": str(number)}
        assert run["info"]["status"] == status == ("FINISHED" if number % 2 else "FAILED")


def test_a_user_without_a_name_is_unknown(monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    assert default_user() == "ada"
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987654)
    assert default_user() == "unknown"
