"""What the caches leave away is missed by nobody."""

from __future__ import annotations

import json

import pytest

from mlp.resources import ProjectRun
from mlp_operator.runs.actions import Observed
from mlp_operator.runs.caching import trim_job, trim_pod, trim_run
from mlp_operator.runs.decide import decide
from tests.operator.build import RULES, at, failed, job, run_body, succeeded, working

PODS = {
    "working": (working(),),
    "succeeded": (succeeded(),),
    "failed": (failed(3, "the end"),),
    "none": (),
}


@pytest.mark.parametrize("pods", PODS.values(), ids=PODS)
def test_decisions_are_the_same_about_trimmed_objects(pods):
    body, whole = run_body(), job()
    whole["spec"]["template"]["spec"] = {"containers": [{"name": "main", "image": "x" * 10_000}]}
    decision = decide(ProjectRun.parse(body), Observed(job=whole, pods=pods), at(60), RULES)
    trimmed = Observed(job=trim_job(whole), pods=tuple(map(trim_pod, pods)))
    assert decide(ProjectRun.parse(trim_run(body)), trimmed, at(60), RULES) == decision
    assert len(json.dumps(trim_job(whole))) < len(json.dumps(whole)) - 10_000


def test_the_copy_that_kubectl_keeps_goes_and_other_annotations_stay():
    body = run_body(metadata={"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x", "mine": "y"}})
    assert trim_run(body)["metadata"]["annotations"] == {"mine": "y"}
    assert "kubectl.kubernetes.io/last-applied-configuration" in body["metadata"]["annotations"]
