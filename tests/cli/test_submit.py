"""``mlp submit``: from a command line to a ProjectRun, without and with a cluster."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time

import pytest
import yaml

from mlp.resources import ProjectRun
from tests.cli.program import mlp
from tests.resources.manifests import URI, project_run

NO_CLUSTER = {"KUBECONFIG": "/nonexistent/kubeconfig"}


def dry(*arguments: str, **options) -> dict:
    """The manifest that would be submitted."""
    done = mlp("submit", *arguments, "--dry-run=client", "-o", "yaml", **options, **NO_CLUSTER)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_a_uri_becomes_a_projectrun_without_asking_any_cluster():
    manifest = dry(URI)

    assert (manifest["apiVersion"], manifest["kind"]) == ("mlp.dev/v1alpha1", "ProjectRun")
    assert manifest["spec"] == {"project": {"uri": URI}}
    ProjectRun.parse(manifest)


def test_every_option_has_its_field():
    manifest = dry(
        *(f"{URI}#examples/wine", "-e", "train.py", "-v", "release/1", "-P", "alpha=0.5", "-P", "text=a=b; $HOME ü"),
        *("--name", "wine-1", "-n", "team-a", "--auth-secret", "git-creds", "--env-manager", "virtualenv"),
        *("--image", "registry.example.org/base:1", "--service-account", "trainer", "--cpu", "500m", "--memory", "4Gi"),
        *("--experiment-name", "wine", "--run-name", "first", "--tracking-uri", "https://mlflow.example.org"),
        *("--tracking-secret", "t", "--data-secret", "d", "--env-secret", "e", "--cache-claim", "envs"),
        *("--cache-policy", "refresh", "--queue", "gpus", "--priority-class", "low", "--backoff-limit", "0"),
        *("--active-deadline", "1h30m", "--pending-deadline", "90", "--ttl", "7d"),
    )

    assert manifest["metadata"] == {"name": "wine-1", "namespace": "team-a"}
    assert manifest["spec"] == {
        "project": {
            "uri": f"{URI}#examples/wine",
            "version": "release/1",
            "entryPoint": "train.py",
            "authSecretRef": {"name": "git-creds"},
        },
        "parameters": [{"name": "alpha", "value": "0.5"}, {"name": "text", "value": "a=b; $HOME ü"}],
        "experiment": {"name": "wine", "runName": "first"},
        "tracking": {"uri": "https://mlflow.example.org", "secretRef": {"name": "t"}},
        "data": {"secretRef": {"name": "d"}},
        "environment": {
            "manager": "Virtualenv",
            "image": "registry.example.org/base:1",
            "cache": {"policy": "Refresh", "volumeClaimName": "envs"},
            "secretRef": {"name": "e"},
        },
        "queueName": "gpus",
        "queuePriorityClassName": "low",
        "backoffLimit": 0,
        "activeDeadlineSeconds": 5400,
        "pendingDeadlineSeconds": 90,
        "ttlSecondsAfterFinished": 604800,
        "backend": {
            "kubernetes": {
                "serviceAccountName": "trainer",
                "resources": {"requests": {"cpu": "500m", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
            }
        },
    }


def test_every_option_for_databricks_has_its_field(tmp_path):
    (tmp_path / "c.json").write_text('{"new_cluster": {"num_workers": 1}, "libraries": [{"jar": "dbfs:/a.jar"}]}')
    secret = ("--databricks-secret", "dbc")

    manifest = dry(URI, "--databricks-host", "https://dbc.example.org", *secret, "--cluster-spec", tmp_path / "c.json")
    inline = dry(URI, *secret, "--cluster-spec", '{"existing_cluster_id": "1-2-abc"}')

    assert manifest["spec"]["backend"] == {
        "type": "Databricks",
        "databricks": {
            "host": "https://dbc.example.org",
            "secretRef": {"name": "dbc"},
            "cluster": {"newCluster": {"num_workers": 1}},
            "libraries": [{"jar": "dbfs:/a.jar"}],
        },
    }
    assert inline["spec"]["backend"]["databricks"]["cluster"] == {"existingClusterId": "1-2-abc"}


def test_an_image_alone_is_the_environment():
    assert dry(URI, "--image", "a:1")["spec"]["environment"] == {"manager": "Image", "image": "a:1"}


@pytest.mark.parametrize(
    ("uri", "entry_point", "stem"),
    [
        ("https://github.com/mlflow/mlflow-example.git", None, "mlflow-example-main"),
        ("git@github.com:team/Wine_Models", "train.py", "wine-models-train-py"),
        (f"{URI}#examples/Wine", None, "wine-main"),
        (f"{URI}/{'long-' * 20}", None, f"{'long-' * 9}l"[:46].rstrip("-")),
        ("https://git.example.org/日本", None, "main"),
    ],
)
def test_a_name_is_made_of_project_and_entry_point(uri, entry_point, stem):
    name = dry(uri, *(("-e", entry_point) if entry_point else ()))["metadata"]["name"]

    assert re.fullmatch(re.escape(stem) + "-[a-z0-9]{5}", name)
    assert len(name) <= 52


def test_two_submissions_have_two_names():
    assert dry(URI)["metadata"]["name"] != dry(URI)["metadata"]["name"]


def test_a_name_can_be_left_to_the_cluster():
    assert dry(URI, "--generate-name", "wine-")["metadata"] == {"generateName": "wine-"}


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_kubectl_takes_what_a_dry_run_prints(runs, output):
    done = mlp("submit", URI, "-P", "alpha=0.5", "--name", "wine", "--dry-run=client", "-o", output)

    for verb in ("create", "apply"):
        assert "wine" in runs.kubectl(verb, "--dry-run=server", "-f", "-", stdin=done.stdout)


def test_a_dry_run_on_the_client_prints_a_name_or_a_sentence():
    assert mlp("submit", URI, "--name", "a", "--dry-run=client", "-o", "name").stdout == "projectrun.mlp.dev/a\n"
    assert mlp("submit", URI, "--name", "a", "--dry-run=client").stdout == "projectrun.mlp.dev/a created (dry run)\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'URI'"),
        ([URI, "-P", "alpha"], "Invalid format for -P parameter: 'alpha'. Use -P name=value."),
        ([URI, "-P", "a=1", "-P", "a=2"], "Repeated parameter: 'a'"),
        ([URI, "--name", "a", "--generate-name", "b"], "--name and --generate-name exclude each other"),
        ([URI, "--name", "n" * 53], "the name may have 52 characters at most"),
        ([URI, "--timeout", "5m"], "--timeout goes with --wait or --logs"),
        ([URI, "--wait", "--timeout", "soon"], "'soon' is no time"),
        ([URI, "--wait", "--dry-run=client"], "--dry-run=client starts no run"),
        ([URI, "--env-manager", "poetry"], "no environment manager 'poetry'"),
        ([URI, "--memory", "4GB"], "spec.backend.kubernetes.resources.requests.memory: must be an amount such as"),
        ([".", "-v", "main"], "version (-v) is for a project in a Git repository, and '.' is a directory"),
        ([".", "--auth-secret", "a"], "(--auth-secret) is for a project in a Git repository"),
        ([".", "--bundle-limit", "1G"], "'1G' is no size"),
        ([".", "--bundle-limit", "200Mi"], "The limit for a bundle is between 1 byte and 104.9 MB"),
        ([URI, "--cache-policy", "never"], "no cache policy 'never'. Choose one of: use, refresh, disabled"),
        ([URI, "--active-deadline", "soon"], "'soon' is no time"),
        (["no/such/place"], "There is no directory 'no/such/place' on this machine."),
        ([__file__], "is a file, and what is sent to a cluster is a directory"),
        (["https://ann:hunter2@git.example.org/a"], "name a Secret in spec.project.authSecretRef"),
    ],
)
def test_a_wrong_call_is_refused_before_any_cluster_is_asked(arguments, message):
    done = mlp("submit", *arguments, **NO_CLUSTER)

    assert done.returncode == 2
    assert message in done.stderr
    assert "hunter2" not in done.stderr
    assert done.stdout == ""


def test_submitting_creates_the_run_and_says_so(runs):
    done = runs.mlp("submit", URI, "-P", "alpha=0.5", "--name", "wine")

    assert (done.returncode, done.stdout, done.stderr) == (0, "projectrun.mlp.dev/wine created\n", "")
    assert runs.read("wine")["spec"]["parameters"] == [{"name": "alpha", "value": "0.5"}]


def test_values_arrive_exactly(runs):
    values = {"spaces": " a  b ", "quotes": "'\"`", "shell": "$HOME; $(id)", "lines": "a\nb", "ü": "ß🍷", "empty": ""}

    runs.mlp("submit", URI, "--name", "wine", *(word for item in values.items() for word in ("-P", "=".join(item))))

    assert {p["name"]: p["value"] for p in runs.read("wine")["spec"]["parameters"]} == values


def test_the_cluster_completes_a_name(runs):
    done = runs.mlp("submit", URI, "--generate-name", "wine-", "-o", "name")

    (name,) = runs.names()
    assert name.startswith("wine-")
    assert done.stdout == f"projectrun.mlp.dev/{name}\n"


@pytest.mark.parametrize(("output", "read"), [("yaml", yaml.safe_load), ("json", json.loads)])
def test_the_object_is_printed_as_the_cluster_has_it(runs, output, read):
    printed = read(runs.mlp("submit", URI, "--name", "wine", "-o", output).stdout)

    assert printed["metadata"]["uid"] == runs.read("wine")["metadata"]["uid"]
    assert printed["spec"]["backend"] == {"type": "Kubernetes"}
    assert "managedFields" not in printed["metadata"]


def test_a_dry_run_on_the_server_checks_and_stores_nothing(runs):
    done = runs.mlp("submit", URI, "--name", "wine", "--dry-run=server", "-o", "yaml")

    assert yaml.safe_load(done.stdout)["status"]["observedGeneration"] == -1
    assert runs.names() == []
    said = runs.mlp("submit", URI, "--name", "wine", "--dry-run=server").stdout
    assert said == "projectrun.mlp.dev/wine created (server dry run)\n"


def test_a_name_that_is_taken_is_an_error_with_a_way_out(runs):
    runs.create("wine")

    done = runs.mlp("submit", URI, "--name", "wine")

    assert done.returncode == 1
    assert "There is a ProjectRun 'wine' already" in done.stderr
    assert "leave --name out" in done.stderr


def test_what_only_the_server_can_refuse_names_the_field(runs):
    done = runs.mlp("submit", URI, "--name", "a..b")

    assert done.returncode == 2
    assert "metadata.name" in done.stderr
    assert "a..b" in done.stderr


def test_a_namespace_that_is_not_there_is_named(runs):
    done = mlp("submit", URI, "-n", "no-such-place", KUBECONFIG=str(runs.cluster.kubeconfig))

    assert done.returncode == 1
    assert 'namespaces "no-such-place" not found' in done.stderr


# Files


def write(path, *manifests) -> str:
    path.write_text(yaml.safe_dump_all(manifests))
    return str(path)


def test_a_file_is_submitted_as_it_stands(runs, tmp_path):
    manifest = project_run(name="from-file", parameters=[{"name": "alpha", "value": "0.5"}], backoffLimit=2)
    manifest["metadata"]["labels"] = {"team": "a"}

    done = runs.mlp("submit", "-f", write(tmp_path / "run.yaml", manifest))

    assert done.stdout == "projectrun.mlp.dev/from-file created\n"
    stored = runs.read("from-file")
    assert stored["metadata"]["labels"] == {"team": "a"}
    assert stored["spec"]["backoffLimit"] == 2


def test_a_file_can_come_from_standard_input_and_hold_several_runs(runs):
    text = yaml.safe_dump_all([project_run(name="one"), None, project_run(name="two")])

    done = runs.mlp("submit", "-f", "-", "-o", "name", stdin=text)

    assert done.stdout == "projectrun.mlp.dev/one\nprojectrun.mlp.dev/two\n"
    assert runs.names() == ["one", "two"]


def test_one_mistake_in_a_file_and_nothing_of_it_is_submitted(runs, tmp_path):
    path = write(tmp_path / "runs.yaml", project_run(name="one"), project_run(name="two", zzz=1))

    done = runs.mlp("submit", "-f", path)

    assert done.returncode == 2
    assert f"{path} (document 2) is no valid ProjectRun:\nspec.zzz: unknown field" in done.stderr
    assert runs.names() == []


def test_options_go_before_what_stands_in_a_file(tmp_path):
    parameters = [{"name": "alpha", "value": "0.5"}, {"name": "beta", "value": "1"}]
    path = write(tmp_path / "run.yaml", project_run(name="old", parameters=parameters, backoffLimit=2))

    manifest = dry("-f", path, "--name", "new", "-v", "v2", "-P", "alpha=0.6", "-P", "gamma=2", "--cpu", "2")

    assert manifest["metadata"] == {"name": "new"}
    assert manifest["spec"] == {
        "project": {"uri": URI, "version": "v2"},
        "parameters": [
            {"name": "beta", "value": "1"},
            {"name": "alpha", "value": "0.6"},
            {"name": "gamma", "value": "2"},
        ],
        "backend": {"kubernetes": {"resources": {"requests": {"cpu": "2"}}}},
        "backoffLimit": 2,
    }


def test_another_uri_leaves_the_version_and_the_credentials_of_the_files_own_behind(tmp_path):
    project = {"uri": URI, "version": "v1", "subdirectory": "a", "authSecretRef": {"name": "s"}, "entryPoint": "train"}
    path = write(tmp_path / "run.yaml", project_run(project=project))

    manifest = dry("https://git.example.org/fork", "-f", path)

    assert manifest["spec"]["project"] == {"uri": "https://git.example.org/fork", "entryPoint": "train"}


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", [], "holds no ProjectRun"),
        ("- a", [], "holds no object"),
        ("a: [", [], "this is not YAML"),
        (yaml.safe_dump({**project_run(), "kind": "Job"}), [], "kind: must be 'ProjectRun'"),
        (yaml.safe_dump_all([project_run()] * 2), ["--name", "a"], "one name cannot be that of all"),
        (yaml.safe_dump_all([project_run()] * 2), ["--logs"], "--logs is for one run"),
        (yaml.safe_dump({**project_run(), "metadata": {}}), [], "The ProjectRun has no name"),
        (yaml.safe_dump({**project_run(), "metadata": {"name": "a", "namespace": "b"}}), ["-n", "c"], "leave one out"),
    ],
)
def test_a_file_that_cannot_be_submitted_is_refused(tmp_path, text, arguments, message):
    (tmp_path / "run.yaml").write_text(text)

    done = mlp("submit", "-f", str(tmp_path / "run.yaml"), *arguments, **NO_CLUSTER)

    assert done.returncode == 2
    assert message in done.stderr


# Waiting: the test plays the operator.


def start(runs, tmp_path, *arguments: str) -> subprocess.Popen[str]:
    """`mlp submit -f … --wait`, under way, of a run that only the test looks after."""
    path = write(tmp_path / "run.yaml", project_run(name="wine", managedBy="mlp.dev/test"))
    command, environment = runs.command("submit", "-f", path, *arguments)
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 30
    while "wine" not in runs.names():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
    return process


@pytest.mark.parametrize(
    ("phase", "succeeded", "reason", "status"),
    [
        ("Succeeded", "True", "Succeeded", 0),
        ("Failed", "False", "OOMKilled", 1),
        ("Cancelled", "False", "Cancelled", 3),
    ],
)
def test_waiting_ends_with_the_runs_result(runs, tmp_path, phase, succeeded, reason, status):
    process = start(runs, tmp_path, "--wait")
    runs.report("wine", phase="Running", succeeded="Unknown", reason="Running", message="Since a moment.")
    runs.report("wine", phase=phase, succeeded=succeeded, reason=reason, message="That was it.")

    output, said = process.communicate(timeout=30)

    assert process.returncode == status, said
    assert output == "projectrun.mlp.dev/wine created\n"
    assert f"wine: {phase}" in said
    if status:
        assert f"{reason}: That was it." in said


def test_waiting_for_several_runs_fails_if_one_of_them_does(runs, tmp_path):
    path = write(tmp_path / "runs.yaml", *(project_run(name=name, managedBy="mlp.dev/test") for name in ("a", "b")))
    command, environment = runs.command("submit", "-f", path, "--wait")
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while runs.names() != ["a", "b"]:
        time.sleep(0.1)
    runs.report("a", phase="Failed", succeeded="False", reason="OOMKilled", message="Too much.")
    runs.report("b", phase="Succeeded", succeeded="True", reason="Succeeded")

    _, said = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "Run 'a' failed. OOMKilled: Too much." in said
    assert "b: Succeeded" in said
    assert "1 of 2 runs did not succeed" in said


def test_waiting_has_an_end_of_its_own(runs, tmp_path):
    process = start(runs, tmp_path, "--wait", "--timeout", "1500ms")

    _, said = process.communicate(timeout=30)

    assert process.returncode == 3
    assert "has not ended in" in said
    assert runs.names() == ["wine"]


def test_ctrl_c_detaches_and_says_how_to_come_back_and_how_to_end_the_run(runs, tmp_path):
    process = start(runs, tmp_path, "--wait")
    runs.report("wine", phase="Running", succeeded="Unknown", reason="Running")
    assert process.stderr is not None
    while "Running" not in process.stderr.readline():
        assert process.poll() is None

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Detached from run 'wine', which goes on." in said
    assert f"mlp wait wine -n {runs.namespace}" in said
    assert f"mlp cancel wine -n {runs.namespace}" in said
    assert "deletionTimestamp" not in runs.read("wine")["metadata"]


def test_a_run_that_is_deleted_ends_the_waiting(runs, tmp_path):
    process = start(runs, tmp_path, "--wait")
    runs.report("wine", phase="Running", succeeded="Unknown", reason="Running")
    runs.kubectl("delete", "projectrun", "wine")

    _, said = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "ProjectRun 'wine' was deleted" in said or "There is no ProjectRun 'wine'" in said


@pytest.mark.parametrize("option", ["--name", "--generate-name"])
def test_a_name_that_no_cluster_takes_is_refused_without_asking_one(option):
    done = mlp("submit", URI, option, "Bad_Name", "--dry-run=client", **NO_CLUSTER)
    assert done.returncode == 2
    assert "'Bad_Name' cannot be the name of a ProjectRun" in done.stderr
