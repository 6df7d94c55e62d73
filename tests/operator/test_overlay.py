"""A strategic merge gives what the API server's own gives, and an overlay cannot take away what is mlp's."""

from __future__ import annotations

import copy

import pytest

from mlp.errors import UsageError
from mlp_operator.runs.overlay import overlaid
from mlp_operator.runs.recording import TrackingServer
from tests.operator.build import project_run
from tests.operator.overlays import OURS, RESULTS
from tests.operator.test_planning import planned

EVERY = {**RESULTS, **OURS}


@pytest.mark.parametrize(("original", "patch", "result"), EVERY.values(), ids=EVERY)
def test_a_patch_is_laid_over_a_template(original, patch, result):
    template = {"metadata": {}, "spec": {}, **original}
    before = copy.deepcopy((template, patch))
    merged = overlaid(template, patch)
    assert {key: value for key, value in merged.items() if value} == result
    assert (template, patch) == before


MISTAKES = {
    "another top": ({"template": {}}, "has template; a PodTemplateSpec has metadata and spec"),
    "no object": ({"spec": []}, r"podTemplate\.spec is \[\], and it must be an object"),
    "no list": ({"spec": {"containers": {"name": "main"}}}, r"spec\.containers is .* must be a list"),
    "no element": ({"spec": {"containers": ["main"]}}, r"spec\.containers\[0\] is 'main', and it must be an object"),
    "no key": ({"spec": {"volumes": [{"emptyDir": {}}]}}, r"spec\.volumes\[0\] has no name"),
    "no key inside": (
        {"spec": {"containers": [{"name": "main", "env": [{"value": "x"}]}]}},
        r"containers\[name=main\]\.env\[0\] has no name",
    ),
    "no key of a new one": (
        {"spec": {"containers": [{"name": "side", "env": [{"value": "x"}]}]}},
        r"containers\[name=side\]\.env\[0\] has no name",
    ),
    "no such directive": ({"spec": {"$patch": "drop"}}, r"\$patch is 'drop'; there are replace, merge and delete"),
    "none for an element": (
        {"spec": {"containers": [{"name": "main", "$patch": "drop"}]}},
        r"\$patch is 'drop'; there are",
    ),
    "deleted without a key": ({"spec": {"volumes": [{"$patch": "delete"}]}}, r"volumes\[0\] has no name"),
    "less retained than given": (
        {"spec": {"$retainKeys": ["a"], "a": 1, "b": 2}},
        r"\$retainKeys does not name b, which stands beside it",
    ),
    "an order without a key": ({"spec": {"$setElementOrder/containers": [{}]}}, r"containers\[0\] has no name"),
    "texts and objects": ({"metadata": {"finalizers": [{"a": 1}]}}, r"finalizers\[0\] is .* must be a text"),
}


@pytest.mark.parametrize(("overlay", "complaint"), MISTAKES.values(), ids=MISTAKES)
def test_what_is_no_patch_is_refused_with_its_place(overlay, complaint):
    with pytest.raises(UsageError, match=complaint) as refused:
        overlaid(TEMPLATE, overlay)
    assert str(refused.value).startswith("spec.backend.kubernetes.podTemplate")


TEMPLATE = {
    "metadata": {"finalizers": ["a"]},
    "spec": {"containers": [{"name": "main", "env": [{"name": "A"}]}], "volumes": [{"name": "v", "emptyDir": {}}]},
}


# --- what is mlp's --------------------------------------------------------------------------------------------------

FULL = {
    "project": {"uri": "https://h/p", "authSecretRef": {"name": "git"}},
    "data": {"secretRef": {"name": "aws"}},
    "environment": {"secretRef": {"name": "index"}},
}
PROJECT = """\
conda_env: conda.yaml
entry_points:
  main:
    parameters: {alpha: path, t: string}
    command: train {alpha} {t}
"""


def refused(overlay, **kubernetes):
    """What the run is told; None if it is not refused."""
    backend = {"kubernetes": {"podTemplate": overlay, **kubernetes}}
    try:
        planned(
            PROJECT,
            "conda.yaml",
            alpha="s3://bucket/data",
            secrets={"t": "s3cr3t"},
            tracking=TrackingServer("http://mlflow:5000", "mlflow"),
            backend=backend,
            **FULL,
        )
    except UsageError as error:
        return str(error)
    return None


def container(name, **fields):
    return {"name": name, **fields}


def init(name, **fields):
    return {"spec": {"initContainers": [container(name, **fields)]}}


def main(**fields):
    return {"spec": {"containers": [container("main", **fields)]}}


GONE = {"$patch": "delete"}

LOSSES = {
    "the policy": ({"spec": {"restartPolicy": "OnFailure"}}, ["spec.restartPolicy"]),
    "our label": ({"metadata": {"labels": {"mlp.dev/projectrun": None}}}, ["metadata.labels[mlp.dev/projectrun]"]),
    "its value": ({"metadata": {"labels": {"mlp.dev/projectrun": "x"}}}, ["metadata.labels[mlp.dev/projectrun]"]),
    "the plan": ({"metadata": {"annotations": {"mlp.dev/plan": "{}"}}}, ["metadata.annotations[mlp.dev/plan]"]),
    "all annotations": (
        {"metadata": {"annotations": {"$patch": "delete"}}},
        ["metadata.annotations[mlp.dev/plan]", "metadata.annotations[mlp.dev/mlflow-run]"],
    ),
    "an annotation that would be believed": (
        {"metadata": {"annotations": {"mlp.dev/projectrun": "x"}}},
        ["metadata.annotations[mlp.dev/projectrun]"],
    ),
    "a finalizer of one's own": ({"metadata": {"finalizers": ["example.com/mine"]}}, ["metadata.finalizers"]),
    "the finalizer": (
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["mlp.dev/tracking"]}},
        ["metadata.finalizers"],
    ),
    "a container": (init("fetch", **GONE), ["spec.initContainers[fetch]"]),
    "all containers": (
        {"spec": {"initContainers": [{"$patch": "replace"}]}},
        ["spec.initContainers[fetch]", "spec.initContainers[environment]"],
    ),
    "all init containers": ({"spec": {"initContainers": None}}, ["spec.initContainers[fetch]"]),
    "main": ({"spec": {"containers": [{"$patch": "replace"}, {"name": "mine"}]}}, ["spec.containers[main]"]),
    "their order": (
        {"spec": {"$setElementOrder/initContainers": [{"name": "environment"}, {"name": "fetch"}]}},
        ["the order of spec.initContainers"],
    ),
    "our command": (init("fetch", command=["true"]), ["spec.initContainers[fetch].command"]),
    "our steps": (init("environment", args=["clone"]), ["spec.initContainers[environment].args"]),
    "main's command": (main(command=["sh"], args=["x"]), ["containers[main].command", "containers[main].args"]),
    "main's directory": (main(workingDir="/"), ["spec.containers[main].workingDir"]),
    "a volume": ({"spec": {"volumes": [{"name": "mlp-run", **GONE}]}}, ["spec.volumes[mlp-run]"]),
    "what a volume holds": (
        {"spec": {"volumes": [{"name": "mlp-data", "secret": {"secretName": "other"}}]}},
        ["spec.volumes[mlp-data]"],
    ),
    "a mount": (
        main(volumeMounts=[{"mountPath": "/mlp/run", **GONE}]),
        ["spec.containers[main].volumeMounts[/mlp/run]"],
    ),
    "what is only read": (
        main(volumeMounts=[{"mountPath": "/mlp/envs", "readOnly": False}]),
        ["spec.containers[main].volumeMounts[/mlp/envs]"],
    ),
    "a mount among ours": (
        main(volumeMounts=[{"mountPath": "/mlp/run/data", "name": "x"}]),
        ["spec.containers[main].volumeMounts[/mlp/run/data]"],
    ),
    "our variable": (
        init("environment", env=[{"name": "MLP_ENV_ROOT", "value": "/x"}]),
        ["spec.initContainers[environment].env[MLP_ENV_ROOT]"],
    ),
    "a secret's variable": (
        main(env=[{"name": "MLP_PARAMETER_T", **GONE}]),
        ["spec.containers[main].env[MLP_PARAMETER_T]"],
    ),
}


@pytest.mark.parametrize(("overlay", "lost"), LOSSES.values(), ids=LOSSES)
def test_an_overlay_cannot_take_away_what_is_mlps(overlay, lost):
    told = refused(overlay)
    assert told is not None
    assert "s3cr3t" not in told
    assert "removes or changes what belongs to mlp" in told
    for each in lost:
        assert each in told


HARMLESS = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
DISK = {
    "volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Gi"}}}}
}
ALLOWED = {
    "a sidecar": {"spec": {"containers": [container("side", image="s:1", securityContext=HARMLESS)]}},
    "a step in front": init("mine", image="m:1", securityContext=HARMLESS),
    "one behind": {
        "spec": {
            "initContainers": [container("mine", image="m:1", securityContext=HARMLESS)],
            "$setElementOrder/initContainers": [{"name": "fetch"}, {"name": "environment"}, {"name": "mine"}],
        }
    },
    "more memory for building": init("environment", resources={"limits": {"memory": "8Gi"}}),
    "a variable of a step": init("environment", env=[{"name": "UV_HTTP_TIMEOUT", "value": "600"}]),
    "a variable of ours in main": main(env=[{"name": "HOME", "value": "/home/me"}]),
    "a larger disk": {"spec": {"volumes": [{"name": "mlp-run", "emptyDir": {"sizeLimit": "100Gi"}}]}},
    "another disk": {
        "spec": {
            "volumes": [{"name": "mlp-run", "$retainKeys": ["name", "ephemeral"], "ephemeral": DISK}],
        }
    },
    "labels and fields": {
        "metadata": {"labels": {"team": "a"}, "annotations": {"x": "y"}},
        "spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["x"]}], "priority": 3, "nodeSelector": {"a": "b"}},
    },
}


@pytest.mark.parametrize("overlay", ALLOWED.values(), ids=ALLOWED)
def test_anything_else_is_the_users(overlay):
    assert refused(overlay) is None


def test_a_volume_cannot_have_the_name_of_one_of_ours():
    volumes = [{"name": "mlp-run", "emptyDir": {}}, {"name": "mine", "emptyDir": {}}]
    assert "spec.backend.kubernetes.volumes: mlp-run is the name" in refused({}, volumes=volumes)


def test_a_refused_overlay_ends_the_run_for_good():
    with pytest.raises(UsageError) as error:
        planned(backend={"kubernetes": {"podTemplate": {"spec": {"restartPolicy": "Always"}}}})
    assert (error.value.reason, error.value.temporary) == ("InvalidSpec", False)


def test_a_spec_can_hold_what_the_tables_say():
    for overlay in ALLOWED.values():
        assert project_run(backend={"kubernetes": {"podTemplate": overlay}})
