"""What a real API server makes of the CRD: the rules in CEL, defaults, immutability, what kubectl shows."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime

import pytest

from mlp.resources import Condition, ProjectRun, ProjectRunStatus
from mlp.resources.crd import CRD_NAME
from tests.cluster.cluster import ClusterError
from tests.projectruns import CRDS, MANAGED_BY_THE_TEST
from tests.resources.manifests import ACCEPTED, EVERYTHING, REFUSED, URI, Refused, project_run

NAMESPACE = f"crd-rules-{uuid.uuid4().hex[:8]}"
NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def kubectl(knows_projectruns):
    cluster = knows_projectruns
    cluster.kubectl("create", "namespace", NAMESPACE)

    def run(*arguments: str, **options: str) -> str:
        return cluster.kubectl("--namespace", NAMESPACE, *arguments, **options)

    yield run
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def stored(kubectl, request):
    """Creates ProjectRuns that end with the test."""
    names = []

    def create(**spec) -> str:
        name = f"run-{len(names)}-{abs(hash(request.node.name)) % 10**8}"
        manifest = project_run(name=name, **{"managedBy": MANAGED_BY_THE_TEST, **spec})
        kubectl("create", "-f", "-", stdin=json.dumps(manifest))
        names.append(name)
        return name

    yield create
    kubectl("delete", "projectrun", *names, "--wait=false")


def read(kubectl, name: str) -> dict:
    return json.loads(kubectl("get", "projectrun", name, "-o", "json"))


def patch(kubectl, name: str, spec: dict, *options: str) -> str:
    return kubectl("patch", "projectrun", name, "--type=merge", "-p", json.dumps({"spec": spec}), *options)


def set_status(kubectl, name: str, **status) -> None:
    text = json.dumps({"status": ProjectRunStatus(**status).to_dict()})
    kubectl("patch", "projectrun", name, "--subresource=status", "--type=merge", "-p", text)


def condition(type_: str, status: str, reason: str = "Reason") -> Condition:
    return Condition(type=type_, status=status, reason=reason, message="m", last_transition_time=NOON)


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepts(kubectl, manifest):
    answer = kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(manifest))

    assert ProjectRun.parse(json.loads(answer)).spec == ProjectRun.parse(manifest).spec, "the defaults differ"


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED.keys())
def test_refuses(kubectl, refused: Refused):
    with pytest.raises(ClusterError) as caught:
        kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(refused.manifest))

    # A field that is missing is named by some versions as its parent with the field's name in quotes.
    assert refused.field in str(caught.value)
    assert (refused.message or "") in str(caught.value)
    assert "secret@" not in str(caught.value)
    assert "ghp_token" not in str(caught.value)


@pytest.mark.usefixtures("kubectl")
def test_plain_apply_can_be_repeated(knows_projectruns):
    assert "unchanged" in knows_projectruns.kubectl("apply", "-f", str(CRDS))


@pytest.mark.usefixtures("kubectl")
def test_the_cost_of_the_rules_is_within_the_servers_budget(knows_projectruns):
    conditions = json.loads(knows_projectruns.kubectl("get", "crd", CRD_NAME, "-o", "json"))["status"]["conditions"]

    assert {c["type"]: c["status"] for c in conditions}["Established"] == "True"
    assert not [c for c in conditions if c["type"] == "NonStructuralSchema"]


def test_a_new_run_reads_as_not_yet_seen_and_with_its_defaults(kubectl, stored):
    run = read(kubectl, stored())

    assert run["status"] == {"observedGeneration": -1, "phase": "Pending"}
    assert run["spec"] == ProjectRun.parse(project_run(managedBy=MANAGED_BY_THE_TEST)).spec.to_dict()


CHANGES = {
    "project": {"version": "other"},
    "parameters": [{"name": "alpha", "value": "0.6"}],
    "experiment": {"runName": "other"},
    "tracking": {"uri": "http://elsewhere:5000"},
    "data": {"secretRef": {"name": "other"}},
    "environment": {"cache": {"policy": "Disabled"}},
    "backend": {"kubernetes": {"podTemplate": {"spec": {"hostname": "other"}}}},
    "queuePriorityClassName": "test",
    "backoffLimit": 4,
    "activeDeadlineSeconds": 1,
    "pendingDeadlineSeconds": 1,
    "managedBy": "example.org/third",
}


@pytest.mark.parametrize("field", sorted(CHANGES))
def test_what_a_run_is_cannot_change(kubectl, stored, field):
    name = stored(**EVERYTHING)

    with pytest.raises(ClusterError) as caught:
        patch(kubectl, name, {field: CHANGES[field]})

    assert f"spec.{field}: Forbidden: {field} cannot change" in str(caught.value)
    assert "create a new ProjectRun" in str(caught.value)


def test_every_change_that_is_refused_was_tried():
    mutable = {"suspend", "shutdown", "ttlSecondsAfterFinished", "retention", "queueName"}

    assert set(CHANGES) == set(EVERYTHING) - mutable


@pytest.mark.parametrize("field", ["parameters", "tracking", "activeDeadlineSeconds", "managedBy"])
def test_what_a_run_is_can_be_neither_added_nor_removed(kubectl, stored, field):
    without = {**EVERYTHING, field: None}

    with pytest.raises(ClusterError, match=f"{field} cannot change"):
        patch(kubectl, stored(**EVERYTHING), {field: None})
    with pytest.raises(ClusterError, match=f"{field} cannot change"):
        patch(kubectl, stored(**without), {field: EVERYTHING[field]})


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"affinity": {"podAffinity": {"x": [1]}}}, "affinity"),
        ({"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "2Gi"}}]}, "volumes"),
        ({"envFrom": [{"secretRef": {"name": "others"}}]}, "envFrom"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_change_deep_inside_a_foreign_fragment_is_seen(kubectl, stored, spec, path):
    name = stored(**EVERYTHING)

    with pytest.raises(ClusterError, match="backend cannot change"):
        patch(kubectl, name, {"backend": {"kubernetes": spec}})

    assert read(kubectl, name)["spec"]["backend"]["kubernetes"][path] == EVERYTHING["backend"]["kubernetes"][path]


def test_applying_the_same_manifest_again_changes_nothing(kubectl, stored):
    name = stored(**EVERYTHING)
    text = json.dumps(project_run(name=name, **EVERYTHING))

    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    assert read(kubectl, name)["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"suspend": True},
        {"ttlSecondsAfterFinished": 60},
        {"retention": {"jobSecondsAfterSuccess": 60}},
        {"shutdown": "Stop"},
        {"shutdown": "Terminate"},
    ],
    ids=str,
)
def test_what_steers_a_run_can_change(kubectl, stored, spec):
    name = stored()

    patch(kubectl, name, spec)

    assert read(kubectl, name)["spec"].items() >= spec.items()


def test_shutdown_can_only_be_raised(kubectl, stored):
    name = stored(shutdown="Stop")
    patch(kubectl, name, {"shutdown": "Terminate"})

    for lower in ("Stop", None):
        with pytest.raises(ClusterError, match=r"spec\.shutdown: Forbidden: shutdown can only be raised"):
            patch(kubectl, name, {"shutdown": lower})


def test_shutdown_cannot_be_taken_back(kubectl, stored):
    with pytest.raises(ClusterError, match=r"shutdown can only be raised.*create a new ProjectRun"):
        patch(kubectl, stored(shutdown="Stop"), {"shutdown": None})


@pytest.mark.parametrize(
    ("conditions", "may"),
    [
        ((), True),
        ((condition("Resolved", "True"),), True),
        ((condition("Submitted", "True"), condition("Admitted", "False")), True),
        ((condition("Submitted", "True"), condition("Admitted", "True")), False),
        ((condition("Submitted", "True"),), False),
    ],
    ids=["not seen", "resolved", "waiting for quota", "admitted", "running without a queue"],
)
@pytest.mark.parametrize("queue", ["other", None])
def test_the_queue_can_change_until_the_run_is_admitted(kubectl, stored, conditions, may, queue):
    name = stored(queueName="first")
    if conditions:
        set_status(kubectl, name, observed_generation=1, conditions=conditions)

    if may:
        patch(kubectl, name, {"queueName": queue})
        assert read(kubectl, name)["spec"].get("queueName") == queue
    else:
        with pytest.raises(ClusterError, match="queueName can change only until the run is admitted"):
            patch(kubectl, name, {"queueName": queue})


def test_a_run_of_fifty_two_characters_is_stored_and_one_more_is_refused(kubectl):
    for length, fits in ((52, True), (53, False)):
        text = json.dumps(project_run(name="n" * length, managedBy=MANAGED_BY_THE_TEST))
        if fits:
            kubectl("create", "-f", "-", stdin=text)
            kubectl("delete", "projectrun", "n" * length)
        else:
            with pytest.raises(ClusterError, match="52 characters at most"):
                kubectl("create", "-f", "-", stdin=text)


def test_a_generated_name_may_not_be_too_long_either(kubectl):
    manifest = project_run()
    manifest["metadata"] = {"generateName": "n" * 48}

    with pytest.raises(ClusterError, match="52 characters at most"):
        kubectl("create", "-f", "-", stdin=json.dumps(manifest))


def test_two_conditions_of_one_type_are_refused(kubectl, stored):
    name = stored()
    twice = [condition("Ready", "True").to_dict(), condition("Ready", "False").to_dict()]

    with pytest.raises(ClusterError, match=r"status\.conditions\[1\]: Duplicate value"):
        kubectl(
            *("patch", "projectrun", name, "--subresource=status", "--type=merge", "-p"),
            json.dumps({"status": {"conditions": twice}}),
        )


def test_a_user_who_writes_the_spec_cannot_write_the_status(kubectl):
    manifest = {**project_run(name="honest", managedBy=MANAGED_BY_THE_TEST), "status": {"phase": "Succeeded"}}
    kubectl("create", "-f", "-", stdin=json.dumps(manifest))

    assert read(kubectl, "honest")["status"] == {"observedGeneration": -1, "phase": "Pending"}


def test_kubectl_shows_what_people_need(kubectl, stored):
    name = stored()
    set_status(
        kubectl,
        name,
        observed_generation=1,
        phase="Running",
        attempts=1,
        start_time=NOON,
        source={"commit": "a" * 40},
        kubernetes={"jobName": name},
        conditions=(condition("Succeeded", "Unknown", "Running"),),
    )

    short = kubectl("get", "prun", name).splitlines()
    wide = kubectl("get", "prun", name, "-o", "wide").splitlines()

    assert short[0].split() == ["NAME", "PHASE", "REASON", "ENTRY", "BACKEND", "AGE"]
    assert short[1].split()[:5] == [name, "Running", "Running", "main", "Kubernetes"]
    assert wide[0].split()[6:] == [
        "PROJECT",
        "COMMIT",
        "ATTEMPTS",
        "JOB",
        "DATABRICKS",
        "MLFLOW",
        "STARTED",
        "FINISHED",
    ]
    assert "a" * 40 in wide[1]


def test_runs_are_selected_by_phase_and_by_backend(kubectl, stored):
    running, pending = stored(), stored()
    set_status(kubectl, running, phase="Running")

    names = kubectl("get", "prun", "-o", "name", "--field-selector=status.phase=Running").split()
    on_databricks = kubectl("get", "prun", "-o", "name", "--field-selector=spec.backend.type=Databricks").split()

    assert names == [f"projectrun.mlp.dev/{running}"]
    assert on_databricks == []
    assert pending != running


def test_runs_are_listed_by_their_category(kubectl, stored):
    assert f"projectrun.mlp.dev/{stored()}" in kubectl("get", "mlp", "-o", "name").split()


def test_kubectl_waits_for_success(kubectl, stored):
    name = stored()
    set_status(kubectl, name, observed_generation=1, conditions=(condition("Succeeded", "True"),))

    assert "condition met" in kubectl("wait", "--for=condition=Succeeded", f"prun/{name}", "--timeout=5s")


def objects(schema: dict, path: str) -> list[str]:
    """The paths of all objects with fields of their own."""
    schema = schema.get("items", schema)
    if "properties" not in schema:
        return []
    return [path, *(p for name, inner in schema["properties"].items() for p in objects(inner, f"{path}.{name}"))]


def test_kubectl_explains_every_field(knows_projectruns, kubectl):
    crd = json.loads(knows_projectruns.kubectl("get", "crd", CRD_NAME, "-o", "json"))
    properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    paths = [path for top in ("spec", "status") for path in objects(properties[top], f"projectrun.{top}")]

    assert len(paths) > 30
    for path in paths:
        text = kubectl("explain", path)
        fields = re.findall(r"^  (\w+)\t<.*\n(.*)", text.partition("FIELDS:")[2], flags=re.MULTILINE)
        assert fields, path
        assert not [field for field, first in fields if not first.strip() or "<no description>" in first], path


def test_a_uri_in_an_update_is_not_printed(kubectl, stored):
    name = stored()

    with pytest.raises(ClusterError) as caught:
        patch(kubectl, name, {"project": {"uri": "https://ann:secret@git.example.org/a"}})

    _, _, answer = str(caught.value).partition("The ProjectRun")
    assert "credentials must not stand in the uri" in answer
    assert "secret@" not in answer
    assert read(kubectl, name)["spec"]["project"]["uri"] == URI
