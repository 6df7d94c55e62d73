"""Which pod and which of its containers hold what somebody wants to read."""

from __future__ import annotations

import pytest

from mlp.backends.kubernetes.log_sources import Progress, Wanted, chosen_attempt, chosen_containers, progress_of
from mlp.errors import ClusterError, UsageError
from mlp.resources import ProjectRun
from mlp.resources.names import PLAN_ANNOTATION
from mlp.resources.plan import Plan, PlannedDownload, PlannedProject, PlannedSource
from tests.resources.manifests import project_run


def run(*, attempts: int | None) -> ProjectRun:
    return ProjectRun.parse({**project_run(name="wine"), "status": {"attempts": attempts} if attempts else {}})


def pod(*names: str, plan: Plan | None = None) -> dict:
    *before, main = names
    return {
        "metadata": {"annotations": {PLAN_ANNOTATION: plan.to_json()} if plan else {}},
        "spec": {"initContainers": [{"name": name} for name in before], "containers": [{"name": main}]},
    }


PLAN = Plan(
    source=PlannedSource(uri="https://h/x"),
    project=PlannedProject(name="x", entry_point="main", command="true"),
    downloads=(PlannedDownload(parameter="p", uri="s3://b/k", path="/mlp/run/data/p/k"),),
)


@pytest.mark.parametrize(
    ("names", "wanted", "chosen"),
    [
        (("prepare", "main"), {}, ["prepare", "main"]),
        (("prepare", "main"), {"step": "all"}, ["prepare", "main"]),
        (("prepare", "main"), {"step": "data"}, ["prepare"]),
        (("fetch", "environment", "main"), {"step": "data"}, ["fetch"]),
        (("fetch", "environment", "main"), {"step": "clone"}, ["fetch"]),
        (("fetch", "environment", "main"), {"step": "environment"}, ["environment"]),
        (("fetch", "environment", "main"), {"step": "main"}, ["main"]),
        (("fetch", "environment", "main"), {"container": "fetch"}, ["fetch"]),
    ],
)
def test_a_step_names_the_container_that_it_runs_in(names, wanted, chosen):
    assert chosen_containers(pod(*names), Wanted(**wanted)) == chosen


@pytest.mark.parametrize(
    ("found", "wanted", "message"),
    [
        (pod("prepare", "main"), {"container": "sidecar"}, "no container 'sidecar'. Its containers are: prepare, main"),
        (pod("fetch", "main"), {"step": "environment"}, "no step 'environment'. Its steps are: clone, data, main"),
        (pod("prepare", "main", plan=PLAN), {"step": "environment"}, "no step 'environment'. Its steps are: clone"),
    ],
)
def test_what_a_pod_does_not_have_is_named_beside_what_it_has(found, wanted, message):
    with pytest.raises(UsageError) as caught:
        chosen_containers(found, Wanted(**wanted))
    assert message in str(caught.value)


@pytest.mark.parametrize("annotations", [{}, {PLAN_ANNOTATION: "{}"}, {PLAN_ANNOTATION: "no JSON"}])
def test_a_pod_of_another_version_is_believed_to_have_every_step(annotations):
    found = pod("prepare", "main")
    found["metadata"]["annotations"] = annotations

    assert chosen_containers(found, Wanted(step="environment")) == ["prepare"]


@pytest.mark.parametrize(
    ("attempts", "pods", "wanted", "chosen"),
    [
        (2, ["a", "b"], {"attempt": 1}, "a"),
        (2, ["a", "b"], {"attempt": 2}, "b"),
        (2, ["a", "b"], {"previous": True}, "a"),
        # The first went with a Job that somebody deleted.
        (3, ["b", "c"], {"attempt": 2}, "b"),
        (3, ["b", "c"], {"attempt": 3}, "c"),
        # A pod that a node lost is no attempt that counts.
        (1, ["a", "b"], {"attempt": 2}, "b"),
        (None, ["a"], {"attempt": 1}, "a"),
    ],
)
def test_attempts_are_counted_from_the_first_pod_that_there_was(attempts, pods, wanted, chosen):
    found = [{"name": name} for name in pods]

    assert chosen_attempt(run(attempts=attempts), found, Wanted(**wanted)) == {"name": chosen}


@pytest.mark.parametrize(
    ("attempts", "pods", "wanted", "message"),
    [
        (1, ["a"], {"previous": True}, "'wine' has had no attempt before the last one"),
        (None, [], {"previous": True}, "'wine' has had no attempt before the last one"),
        (3, ["c"], {"attempt": 1}, "no logs of attempt 1 of 'wine': there is the pod of attempt 3 alone"),
        (3, ["c"], {"previous": True}, "no logs of attempt 2 of 'wine': there is the pod of attempt 3 alone"),
        (3, ["b", "c"], {"attempt": 4}, "there are the pods of the attempts 2 to 3"),
        (2, [], {"attempt": 1}, "none of its pods is left"),
    ],
)
def test_an_attempt_that_is_not_there_is_told_beside_those_that_are(attempts, pods, wanted, message):
    with pytest.raises(ClusterError) as caught:
        chosen_attempt(run(attempts=attempts), [{"name": name} for name in pods], Wanted(**wanted))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("status", "progress"),
    [
        ({}, Progress.WAITING),
        ({"containerStatuses": [{"name": "main", "state": {"waiting": {}}}]}, Progress.WAITING),
        ({"containerStatuses": [{"name": "main", "state": {"running": {}}}]}, Progress.RUNNING),
        ({"initContainerStatuses": [{"name": "main", "state": {"terminated": {}}}]}, Progress.TERMINATED),
        ({"phase": "Failed", "containerStatuses": [{"name": "main", "state": {"waiting": {}}}]}, Progress.NEVER),
        ({"phase": "Failed"}, Progress.NEVER),
    ],
)
def test_a_pod_tells_how_far_its_containers_have_come(status, progress):
    assert progress_of({"status": status}, "main") is progress


@pytest.mark.parametrize(
    "wanted", [{"step": "mian"}, {"step": "main", "container": "main"}, {"previous": True, "attempt": 1}]
)
def test_what_excludes_each_other_is_refused(wanted):
    with pytest.raises(UsageError):
        Wanted(**wanted)
