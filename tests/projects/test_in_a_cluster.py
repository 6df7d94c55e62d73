"""`mlp.run` with the backend kubernetes, from a laptop and from a run's own pod. The test plays the operator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

import mlp
from mlp.errors import ClusterError, FieldNotSupported, RunCancelled, RunFailed, UsageError
from tests.cli.program import commit, environment, project
from tests.projectruns import MANAGED_BY_THE_TEST
from tests.resources.manifests import URI

RBAC = Path(__file__).parents[2] / "deploy/driver-rbac.yaml"
TRACKING = "http://mlflow.mlflow:5000"
PATIENCE = 60


@pytest.fixture(autouse=True)
def user(monkeypatch, runs):
    """Somebody whose kubeconfig leads to the cluster, and who has no other settings."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "MLP_", "KUBE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLP_TRACKING", "off")
    monkeypatch.setenv("KUBECONFIG", str(runs.cluster.kubeconfig))
    return monkeypatch


@pytest.fixture
def configuration(runs):
    """The backend's configuration: an operator that happens to be there leaves these runs to the test."""
    return {"namespace": runs.namespace, "spec": {"managedBy": MANAGED_BY_THE_TEST}}


@pytest.fixture
def run(configuration):
    """Calls `mlp.run` with the backend, in the background unless told otherwise."""
    started = []

    def call(uri=URI, *arguments, backend_config=None, synchronous=False, **options):
        given = {**configuration, **(backend_config or {})}
        found = mlp.run(uri, *arguments, backend="kubernetes", backend_config=given, synchronous=synchronous, **options)
        started.append(found)
        return found

    yield call
    for each in started:
        each.cluster.close()


def until(condition):
    """Wait until something holds; what it is then."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_a_call_becomes_a_projectrun(runs, run, user):
    user.setenv("MLFLOW_TRACKING_URI", TRACKING)
    user.setenv("LOGNAME", "ann")

    started = run(
        f"{URI}#wine",
        "train.py",
        "v1",
        {"alpha": 0.5},
        experiment_name="wine",
        run_name="first",
        env_manager="uv",
        backend_config={"name": "wine-1", "memory": "1Gi", "data_secret": "aws", "auth_secret": "git"},
    )

    assert (started.name, started.get_status()) == ("wine-1", "SCHEDULED")
    spec = runs.read("wine-1")["spec"]
    assert spec["project"] == {
        "uri": f"{URI}#wine",
        "version": "v1",
        "entryPoint": "train.py",
        "authSecretRef": {"name": "git"},
        "submodules": True,
        "lfs": False,
        "subdirectory": "",
    }
    assert spec["parameters"] == [{"name": "alpha", "value": "0.5"}]
    assert spec["experiment"] == {
        "name": "wine",
        "runName": "first",
        "tags": [{"name": "mlflow.user", "value": "ann"}],
    }
    assert spec["tracking"] == {"uri": TRACKING}
    assert spec["data"] == {"secretRef": {"name": "aws"}}
    assert spec["environment"]["manager"] == "Virtualenv"
    assert spec["backend"]["kubernetes"]["resources"]["limits"] == {"memory": "1Gi"}


def test_a_job_template_s_namespace_and_pod_reach_the_projectrun(runs, tmp_path):
    pod = {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "x", "image": "y"}], "restartPolicy": "Never"}
    job = {"metadata": {"namespace": runs.namespace}, "spec": {"template": {"spec": pod}}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    (tmp_path / "backend.json").write_text(
        json.dumps({"kube-job-template-path": str(tmp_path / "job.yaml"), "spec": {"managedBy": MANAGED_BY_THE_TEST}})
    )

    started = mlp.run(URI, backend="kubernetes", backend_config=tmp_path / "backend.json", synchronous=False)
    started.cluster.close()

    kubernetes = runs.read(started.name)["spec"]["backend"]["kubernetes"]
    assert kubernetes == {"podTemplate": {"spec": {"nodeSelector": {"disk": "ssd"}}}}


def test_a_directory_is_sent_and_goes_with_its_run(runs, run, tmp_path):
    project(tmp_path / "wine", "echo {rate}", parameters={"rate": "float"})
    head = commit(tmp_path / "wine")

    started = run(tmp_path / "wine", parameters={"rate": 1}, experiment_name="wine")

    stored = runs.read(started.name)
    bundle = stored["spec"]["project"]["bundle"]
    sent = json.loads(runs.kubectl("get", "configmap", bundle["configMapName"], "-o", "json"))
    assert [owner["uid"] for owner in sent["metadata"]["ownerReferences"]] == [stored["metadata"]["uid"]]
    tags = {tag["name"]: tag["value"] for tag in stored["spec"]["experiment"]["tags"]}
    assert tags["mlflow.source.git.commit"] == head
    assert stored["spec"]["experiment"]["name"] == "wine"


def test_a_parameter_from_a_secret_stands_in_the_configuration(runs, run, tmp_path):
    project(tmp_path / "wine", "echo {rate} {token}", parameters={"rate": "float", "token": "string"})
    token = {"name": "token", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}
    spec = {"parameters": [token], "managedBy": MANAGED_BY_THE_TEST}

    started = run(tmp_path / "wine", parameters={"rate": 1}, backend_config={"spec": spec})

    assert runs.read(started.name)["spec"]["parameters"] == [token, {"name": "rate", "value": "1"}]


def play(runs, name, **outcome):
    """Be an operator that ends a run as soon as it is there."""

    def act():
        until(lambda: name in runs.names())
        runs.report(name, **outcome)

    operator = threading.Thread(target=act)
    operator.start()
    return operator


def test_who_waits_gets_the_run_when_it_has_succeeded(runs, run):
    operator = play(runs, "wine-1", phase="Succeeded", succeeded="True", reason="Succeeded", mlflow={"runId": "abc"})

    ended = run(backend_config={"name": "wine-1"}, synchronous=True)
    operator.join()

    assert (ended.run_id, ended.get_status(), ended.wait()) == ("abc", "FINISHED", True)


@pytest.mark.parametrize(
    ("reason", "more", "error", "status"),
    [
        ("EntryPointFailed", {"kubernetes": {"exitCode": 7}}, RunFailed, 7),
        ("OOMKilled", {"kubernetes": {"exitCode": 137}}, mlp.errors.RunError, None),
        ("Cancelled", {}, RunCancelled, None),
    ],
)
def test_who_waits_hears_how_the_run_has_failed(runs, run, reason, more, error, status):
    operator = play(runs, "wine-1", phase="x", succeeded="False", reason=reason, message="That was it.", **more)

    with pytest.raises(mlp.ExecutionException, match=f"{reason}: That was it.") as caught:
        run(backend_config={"name": "wine-1"}, synchronous=True)
    operator.join()

    assert type(caught.value) is error
    assert getattr(caught.value, "status", None) == status


def test_a_run_is_known_by_mlflows_id_once_the_operator_has_made_it(runs, run):
    started = run()
    known = threading.Timer(
        1, runs.report, (started.name,),
        {"phase": "Pending", "succeeded": "Unknown", "reason": "Pending", "mlflow": {"runId": "abc"}},
    )  # fmt: skip
    known.start()

    assert started.run_id == "abc"
    known.join()


def test_a_run_that_nobody_records_is_known_by_its_name(runs, run):
    started = run()
    runs.report(started.name, phase="Failed", succeeded="False", reason="ProjectInvalid")

    assert started.run_id == started.name


def test_a_program_that_starts_many_runs_at_once_has_one_connection(runs, run):
    with ThreadPoolExecutor(20) as threads:
        started = list(threads.map(lambda number: run(backend_config={"name": f"run-{number}"}), range(20)))

    assert sorted(runs.names()) == sorted(each.name for each in started) == sorted(f"run-{n}" for n in range(20))
    assert {each.get_status() for each in started} == {"SCHEDULED"}
    assert all(each.cluster is started[0].cluster for each in started)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"run_id": "abc"}, FieldNotSupported, "does not take run_id"),
        ({"docker_args": {"gpus": "all"}}, FieldNotSupported, "does not take docker_args: say it of the pod"),
        ({"git_username": "ann"}, FieldNotSupported, "name it with 'auth_secret'"),
        ({"validate": False}, FieldNotSupported, "does not take validate=False"),
        ({"backend_config": {"namespce": "a"}}, UsageError, "Did you mean 'namespace'?"),
        ({"backend_config": {"spec": {"backofLimit": 1}}}, UsageError, "spec.backofLimit: unknown field; did you mean"),
        ({"backend_config": {"name": "Bad_Name"}}, UsageError, "'Bad_Name' cannot be the name of a ProjectRun"),
    ],
)
def test_what_a_cluster_does_not_do_is_refused_before_anything_is_there(runs, run, options, error, said):
    with pytest.raises(error) as caught:
        run(**options)

    assert said in str(caught.value)
    assert runs.names() == []


# Drivers


@pytest.fixture
def driver(runs, user, tmp_path):
    """The clone of a project as the command of a run in the cluster has it, with that one's rights and variables."""
    clone = tmp_path / "team"
    project(clone / "tuning", "python train.py")
    (clone / "tuning" / "train.py").write_text("pass")
    head = commit(clone)
    source = {"uri": "https://git.example.com/team.git#tuning", "authSecretRef": {"name": "git"}}
    runs.create("tuning", project=source, experiment={"name": "wine"}, tracking={"uri": TRACKING}, queueName="team-a")
    mlflow = {"runId": "parent", "experimentId": "7", "uri": TRACKING}
    runs.report(
        "tuning", phase="Running", succeeded="Unknown", reason="Running", source={"commit": head}, mlflow=mlflow
    )
    runs.kubectl("apply", "-f", str(RBAC))
    user.setenv("KUBECONFIG", str(with_token(runs, "mlp-driver", tmp_path)))
    user.setenv("MLP_PROJECTRUN", "tuning")
    user.setenv("MLP_NAMESPACE", runs.namespace)
    user.setenv("MLFLOW_TRACKING_URI", TRACKING)
    user.setenv("MLFLOW_EXPERIMENT_ID", "7")
    return clone


def with_token(runs, account, directory):
    """A kubeconfig with a ServiceAccount's token, in the place of the files that a pod has."""
    config = yaml.safe_load(runs.cluster.kubeconfig.read_text())
    config["users"] = [{**config["users"][0], "user": {"token": runs.kubectl("create", "token", account).strip()}}]
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


MANAGED = {"spec": {"managedBy": MANAGED_BY_THE_TEST}}


def test_a_drivers_run_is_part_of_it_and_has_its_code_and_its_place(runs, driver):
    started = mlp.run(
        driver / "tuning",
        "train.py",
        parameters={"rate": 1},
        backend="kubernetes",
        backend_config={**MANAGED, "name": "child"},
        synchronous=False,
    )

    stored, parent = runs.read("child"), runs.read("tuning")
    assert stored["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "mlp.dev/v1alpha1",
            "kind": "ProjectRun",
            "name": "tuning",
            "uid": parent["metadata"]["uid"],
            "blockOwnerDeletion": False,
        }
    ]
    project = {key: value for key, value in stored["spec"]["project"].items() if key not in {"submodules", "lfs"}}
    assert project == {
        "uri": "https://git.example.com/team.git",
        "version": parent["status"]["source"]["commit"],
        "subdirectory": "tuning",
        "entryPoint": "train.py",
        "authSecretRef": {"name": "git"},
    }
    assert stored["spec"]["experiment"] == {
        "name": "wine",
        "tags": [{"name": "mlflow.parentRunId", "value": "parent"}],
    }
    assert stored["spec"]["tracking"] == {"uri": TRACKING}
    assert stored["spec"]["queueName"] == "team-a"
    assert started.get_status() == "SCHEDULED"
    started.shut_down()
    assert runs.read("child")["spec"]["shutdown"] == "Stop"
    started.cluster.close()


def test_a_driver_can_have_its_runs_on_databricks(runs, driver):
    databricks = {"secretRef": {"name": "databricks"}, "cluster": {"existingClusterId": "a"}}
    spec = {**MANAGED["spec"], "backend": {"type": "Databricks", "databricks": databricks}}

    started = mlp.run(
        driver / "tuning",
        "train.py",
        backend="kubernetes",
        backend_config={"spec": spec, "name": "child"},
        synchronous=False,
    )

    stored = runs.read("child")
    assert stored["spec"]["backend"]["databricks"] == {**databricks, "projectSource": "Archive"}
    assert stored["spec"]["project"]["version"] == runs.read("tuning")["status"]["source"]["commit"]
    assert stored["spec"]["experiment"]["tags"] == [{"name": "mlflow.parentRunId", "value": "parent"}]
    assert "queueName" not in stored["spec"]
    started.shut_down()
    started.cluster.close()


def test_a_project_that_a_driver_has_changed_goes_along_as_it_is(runs, driver):
    (driver / "tuning" / "train.py").write_text("print('changed')")

    started = mlp.run(driver / "tuning", backend="kubernetes", backend_config=MANAGED, synchronous=False)
    started.cluster.close()

    stored = runs.read(started.name)
    assert "bundle" in stored["spec"]["project"]
    assert stored["metadata"]["ownerReferences"][0]["name"] == "tuning"


@pytest.mark.parametrize("account", [None, "somebody"])
def test_a_driver_without_rights_is_told_which_it_needs(runs, driver, user, tmp_path, account):
    if account is None:
        user.setenv("KUBECONFIG", str(tmp_path / "none"))
    else:
        runs.kubectl("create", "serviceaccount", account)
        user.setenv("KUBECONFIG", str(with_token(runs, account, tmp_path)))

    with pytest.raises(ClusterError) as caught:
        mlp.run(driver / "tuning", backend="kubernetes", synchronous=False)

    assert "spec.backend.kubernetes.serviceAccountName. deploy/driver-rbac.yaml makes one." in str(caught.value)


def test_a_driver_whose_run_was_deleted_starts_no_more(runs, driver):
    runs.kubectl("delete", "projectrun", "tuning")

    with pytest.raises(ClusterError, match="ProjectRun 'tuning', whose command this is, was deleted"):
        mlp.run(driver / "tuning", backend="kubernetes", synchronous=False)


STARTING = """
import sys, time
import mlp

started = [
    mlp.run(sys.argv[1], backend="kubernetes", backend_config={"name": f"child-{number}", **eval(sys.argv[2])},
            synchronous=False)
    for number in range(3)
]
print("started", flush=True)
while True:
    time.sleep(1)
"""


def test_a_driver_that_is_told_to_end_has_its_runs_ended(runs, driver):
    command = [sys.executable, "-c", STARTING, str(driver / "tuning"), repr(MANAGED)]
    kept = {name: value for name, value in os.environ.items() if name.startswith(("MLP_", "MLFLOW_", "KUBE"))}
    with subprocess.Popen(command, env=environment(**kept), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        runs.report("child-1", phase="Succeeded", succeeded="True", reason="Succeeded")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 128 + signal.SIGTERM

    assert {name: runs.read(name)["spec"].get("shutdown") for name in ("child-0", "child-1", "child-2")} == {
        "child-0": "Stop",
        "child-1": None,
        "child-2": "Stop",
    }


@pytest.mark.usefixtures("driver")
def test_elsewhere_a_driver_is_anybody(runs, configuration):
    started = mlp.run(
        URI,
        backend="kubernetes",
        backend_config={**configuration, "kubeconfig": str(runs.cluster.kubeconfig)},
        synchronous=False,
    )
    started.cluster.close()

    stored = runs.read(started.name)
    assert "ownerReferences" not in stored["metadata"]
    assert "queueName" not in stored["spec"]
