"""From a run and its project to a plan: every mistake of the user is found here, and no field is ever ignored."""

from __future__ import annotations

import typing
from copy import deepcopy

import pytest
from pydantic import BaseModel

from mlp.errors import (
    EntryPointNotFound,
    FieldNotSupported,
    MlpError,
    ParameterInvalid,
    ParameterMissing,
    ProjectInvalid,
    UsageError,
)
from mlp.project import MappingFiles
from mlp.resources import ProjectRun
from mlp.resources.plan import Plan
from mlp.resources.spec import ProjectRunSpec
from mlp_operator.runs.planning import PodPlaces, plan_run, refuse_unsupported
from mlp_operator.runs.status import plan_facts
from tests.operator.build import COMMIT, project_run
from tests.resources.manifests import DATABRICKS, EVERYTHING
from tests.resources.manifests import project_run as manifest_of

WINE = "entry_points:\n  main:\n    parameters: {alpha: float}\n    command: train {alpha}\n"


def planned(mlproject=WINE, *paths, alpha="0.5", subdirectory="", **spec):
    files = MappingFiles("wine", {"MLproject": mlproject}, paths)
    parameters = spec.pop("parameters", None) or ([] if alpha is None else [{"name": "alpha", "value": alpha}])
    return plan_run(
        project_run(parameters=parameters, **spec),
        uri="https://git.example.org/wine",
        subdirectory=subdirectory,
        commit=COMMIT,
        ref="refs/heads/main",
        files=files,
        protocols=("https",),
    )


# --- the plan -------------------------------------------------------------------------------------------------------


def test_a_plan_says_everything_the_pod_has_to_know():
    plan = planned(
        subdirectory="a/b",
        project={
            "uri": "https://git.example.org/wine#a/b",
            "version": "v1",
            "submodules": False,
            "authSecretRef": {"name": "creds"},
        },
    ).plan
    assert (
        plan.source.model_dump().items()
        >= {
            "uri": "https://git.example.org/wine",
            "commit": COMMIT,
            "ref": "refs/heads/main",
            "version": "v1",
            "subdirectory": "a/b",
            "submodules": False,
            "protocols": ("https",),
            "credentials": True,
        }.items()
    )
    assert (plan.project.name, plan.project.entry_point, plan.project.command) == ("wine", "main", "train 0.5")


VALUES = ["", " ", "it's", '"', "$HOME", "$(id)", ";rm -rf", "a\nb", "ü 🍷", "\\", "--x", "`id`", "%s", "{alpha}"]


@pytest.mark.parametrize("value", VALUES)
def test_a_plan_is_equal_to_itself_after_its_way_through_the_annotation(value):
    plan = planned(WINE.replace("float", "string"), alpha=value).plan
    assert Plan.from_json(plan.to_json()) == plan
    assert {each.name: each.value for each in plan.project.parameters} == {"alpha": value}


def test_a_plan_of_a_newer_operator_can_be_read():
    text = planned().plan.to_json().replace('{"source":{', '{"later":1,"source":{"more":[],')
    assert Plan.from_json(text) == planned().plan


MISTAKES = {
    "no such entry point": (lambda: planned(project={"uri": "https://h/p", "entryPoint": "x"}), EntryPointNotFound),
    "a missing parameter": (lambda: planned(alpha=None), ParameterMissing),
    "another type": (lambda: planned(alpha="much"), ParameterInvalid),
    "no YAML": (lambda: planned("a: ["), ProjectInvalid),
}


@pytest.mark.parametrize(("make", "error"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found_before_there_is_a_pod(make, error):
    with pytest.raises(error):
        make()


# --- paths and URIs -------------------------------------------------------------------------------------------------

PATHS = {
    "data.csv": "/p/data.csv",
    "./a/../b": "/p/b",
    "/mnt/data": "/mnt/data",
    "file:///mnt/data": "/mnt/data",
    "file:/mnt/data": "/mnt/data",
    "a b'c": "/p/a b'c",
}


@pytest.mark.parametrize(("value", "path"), PATHS.items())
@pytest.mark.parametrize("default", [False, True])
def test_a_path_is_one_of_the_pod(value, path, default):
    assert PodPlaces("/p").path("data", value, default=default) == path


@pytest.mark.parametrize("value", ["s3://b/k", "https://h/d", "dbfs:/x", "gs://b", "S3://b", "runs:/1/model"])
def test_a_remote_path_is_refused_by_the_parameters_name(value):
    with pytest.raises(ParameterInvalid, match=r"Parameter data .*does not download"):
        PodPlaces("/p").path("data", value, default=False)


@pytest.mark.parametrize(("value", "uri"), [("a/b", "/p/a/b"), ("/a", "/a"), (".", "/p")])
def test_a_uri_without_a_scheme_is_a_path_of_the_pod(value, uri):
    assert PodPlaces("/p").uri("data", value, default=False) == uri


def test_a_uri_with_a_scheme_reaches_the_command_unchanged():
    plan = planned(WINE.replace("float", "uri"), alpha="s3://bucket/key").plan
    assert plan.project.command == "train s3://bucket/key"


def test_paths_are_relative_to_the_projects_directory_in_the_pod():
    plan = planned(WINE.replace("float", "path"), alpha="data.csv", subdirectory="a").plan
    assert plan.project.command == "train /mlp/run/project/a/data.csv"


# --- fields that nothing acts upon ----------------------------------------------------------------------------------

REFUSED = {
    "spec.project.bundle": {"project": {"bundle": {"configMapName": "a", "sha256": "0" * 64}}},
    "spec.project.lfs": {"project": {"uri": "https://h/p", "lfs": True}},
    "spec.experiment": {"experiment": {"name": "wine"}},
    "spec.tracking": {"tracking": {"uri": "http://mlflow:5000"}},
    "spec.data": {"data": {"secretRef": {"name": "aws"}}},
    "spec.environment.manager Conda": {"environment": {"manager": "Conda"}},
    "spec.environment.manager Virtualenv": {"environment": {"manager": "Virtualenv"}},
    "spec.environment.cache": {"environment": {"cache": {"volumeClaimName": "envs"}}},
    "spec.backend.type Databricks": {"backend": DATABRICKS["backend"]},
    "spec.backend.kubernetes.podTemplate": {"backend": {"kubernetes": {"podTemplate": {}}}},
    "spec.queueName": {"queueName": "q"},
    "spec.queuePriorityClassName": {"queuePriorityClassName": "p"},
    "spec.parameters[token].valueFrom": {
        "parameters": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    },
    "spec.environment.cache of another policy": {"environment": {"cache": {"policy": "Disabled"}}},
}


@pytest.mark.parametrize(("field", "spec"), REFUSED.items(), ids=REFUSED)
def test_a_field_that_nothing_acts_upon_is_refused_by_name(field, spec):
    with pytest.raises(FieldNotSupported) as refused:
        refuse_unsupported(project_run(**spec))
    assert f"does not act on {field.removesuffix(' of another policy')}. " in str(refused.value)


def test_all_of_them_are_named_at_once():
    with pytest.raises(FieldNotSupported) as refused:
        refuse_unsupported(project_run(queueName="q", data={"secretRef": {"name": "aws"}}))
    assert "spec.data, spec.queueName" in str(refused.value)


# Every field of the API, and who acts on it. A new field has to be entered here, or be refused.
ACTED_UPON = {
    "project.uri": "resolution",
    "project.version": "resolution",
    "project.subdirectory": "resolution, job",
    "project.entryPoint": "planning",
    "project.authSecretRef.name": "resolution, job",
    "project.submodules": "planning",
    "parameters.name": "planning",
    "parameters.value": "planning",
    "environment.manager": "planning",
    "environment.image": "job",
    "backend.type": "planning",
    **dict.fromkeys(
        [
            f"backend.kubernetes.{field}"
            for field in (
                "serviceAccountName",
                "resources.requests",
                "resources.limits",
                "nodeSelector",
                "tolerations.key",
                "tolerations.operator",
                "tolerations.value",
                "tolerations.effect",
                "tolerations.tolerationSeconds",
                "affinity",
                "env.name",
                "env.value",
                "env.valueFrom",
                "envFrom",
                "volumes.name",
                "volumeMounts.name",
                "volumeMounts.mountPath",
                "volumeMounts.subPath",
                "volumeMounts.subPathExpr",
                "volumeMounts.readOnly",
                "volumeMounts.recursiveReadOnly",
                "volumeMounts.mountPropagation",
                "imagePullSecrets.name",
                "securityContext",
                "priorityClassName",
                "schedulerName",
                "runtimeClassName",
                "labels",
                "annotations",
                "terminationGracePeriodSeconds",
            )
        ],
        "job",
    ),
    "suspend": "decide",
    "shutdown": "decide",
    "backoffLimit": "job, decide",
    "activeDeadlineSeconds": "job",
    "pendingDeadlineSeconds": "decide",
    "ttlSecondsAfterFinished": "decide",
    "retention.jobSecondsAfterSuccess": "decide",
    "retention.jobSecondsAfterFailure": "decide",
    "managedBy": "decide",
}


def models_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def leaves(model, prefix=""):
    """Every field of the API that holds a value of its own."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        inner = models_in(field.annotation)
        if inner:
            yield from leaves(inner[0], f"{path}.")
        else:
            yield path


def refused_fields():
    return {field.split(" ")[0].removeprefix("spec.").replace("[token]", "") for field in REFUSED}


def test_every_field_of_the_api_is_acted_upon_or_refused():
    refused = refused_fields() - {"environment.manager", "backend.type"}
    beneath = {leaf for leaf in leaves(ProjectRunSpec) if any(f"{leaf}.".startswith(f"{part}.") for part in refused)}
    databricks = {leaf for leaf in leaves(ProjectRunSpec) if leaf.startswith("backend.databricks.")}
    assert set(leaves(ProjectRunSpec)) == set(ACTED_UPON) | beneath | databricks
    assert not set(ACTED_UPON) & beneath


def test_a_run_with_every_field_names_all_that_nothing_acts_upon():
    everything = deepcopy(EVERYTHING)
    with pytest.raises(FieldNotSupported) as refused:
        refuse_unsupported(ProjectRun.parse(manifest_of(**everything)))
    named = str(refused.value)
    for field in refused_fields() - {"project.bundle", "backend.type", "parameters.valueFrom"}:
        assert field in named, field
    for field in ("backend.kubernetes.env", "suspend", "shutdown", "retention"):
        assert f"spec.{field}" not in named


SILENT = {
    "the least": {},
    "defaults that are written out": {"environment": {"manager": "Auto", "cache": {"policy": "Use"}}, "suspend": False},
    "fields that are acted upon": {"suspend": True, "shutdown": "Stop", "backoffLimit": 3},
}


@pytest.mark.parametrize("spec", SILENT.values(), ids=SILENT)
def test_nothing_else_is_refused(spec):
    refuse_unsupported(project_run(**spec))


# --- environments ---------------------------------------------------------------------------------------------------

CONDA = "conda_env: conda.yaml\n" + WINE
PYTHON = "python_env: python_env.yaml\n" + WINE
DOCKER = "docker_env:\n  image: repo/wine:1\n" + WINE
OWN = {"image": "own:1"}

# The project, spec.environment -> the manager that is chosen, and docker_env's image.
MANAGERS = {
    "nothing said": (WINE, {}, "Local", None),
    "docker": (DOCKER, {}, "Image", "repo/wine:1"),
    "docker, Image": (DOCKER, {"manager": "Image"}, "Image", "repo/wine:1"),
    "docker, Local": (DOCKER, {"manager": "Local"}, "Local", "repo/wine:1"),
    "conda, Local": (CONDA, {"manager": "Local"}, "Local", None),
    "conda, Image": (CONDA, {"manager": "Image", **OWN}, "Image", None),
    "python, Local": (PYTHON, {"manager": "Local", **OWN}, "Local", None),
    "nothing, Image": (WINE, {"manager": "Image", **OWN}, "Image", None),
}


@pytest.mark.parametrize(("mlproject", "environment", "manager", "image"), MANAGERS.values(), ids=MANAGERS)
def test_the_environment_manager(mlproject, environment, manager, image):
    files = () if mlproject == WINE else ("conda.yaml", "python_env.yaml")
    found = planned(mlproject, *files, environment=environment)
    assert (found.plan.project.manager, found.docker_image) == (manager, image)


@pytest.mark.parametrize(("mlproject", "kind"), [(CONDA, "conda"), (PYTHON, "python")])
@pytest.mark.parametrize("environment", [{}, OWN])
def test_an_environment_that_would_have_to_be_built_is_refused(mlproject, kind, environment):
    with pytest.raises(FieldNotSupported, match=f"asks for a {kind} environment") as refused:
        planned(mlproject, "conda.yaml", "python_env.yaml", environment=environment)
    assert "manager: Local" in str(refused.value)


@pytest.mark.parametrize("mlproject", [WINE, CONDA])
def test_the_manager_image_needs_one(mlproject):
    with pytest.raises(UsageError, match="needs an image"):
        planned(mlproject, "conda.yaml", environment={"manager": "Image"})


def docker(**more):
    return "docker_env:\n  image: i\n" + "".join(f"  {key}: {value}\n" for key, value in more.items()) + WINE


def test_variables_that_a_project_sets_are_set_and_the_runs_own_win():
    found = planned(
        docker(environment='[["MODE", "fast"], ["LEVEL", "1"]]'),
        backend={"kubernetes": {"env": [{"name": "LEVEL", "value": "2"}]}},
    )
    assert found.variables == (("MODE", "fast"),)


def test_variables_of_the_machine_have_to_be_given():
    project = docker(environment='["TOKEN", "HOST"]')
    with pytest.raises(UsageError, match=r"give TOKEN in spec\.backend\.kubernetes\.env"):
        planned(project, backend={"kubernetes": {"env": [{"name": "HOST", "value": "h"}]}})
    given = [{"name": name, "value": "x"} for name in ("TOKEN", "HOST")]
    assert planned(project, backend={"kubernetes": {"env": given}}).variables == ()


def test_directories_of_a_host_are_refused():
    with pytest.raises(UsageError, match=r"docker_env.volumes of the project \(/a:/b\)"):
        planned(docker(volumes='["/a:/b"]'))


def test_a_docker_environment_that_is_not_used_asks_for_nothing():
    assert planned(WINE, environment={"manager": "Local"}).variables == ()


# --- sizes ----------------------------------------------------------------------------------------------------------


def many(count, each=""):
    return [{"name": f"p{number}", "value": each} for number in range(count)] + [{"name": "alpha", "value": "1"}]


LARGE = {
    "one value of 64 KiB": (lambda: planned(WINE.replace("float", "string"), alpha="x" * 65_536), None),
    "as much as fits": (lambda: planned(parameters=many(3, "x" * 30_000)), None),
    "a command that is too long": (lambda: planned(parameters=many(3, "x" * 41_000)), "The command is too long"),
    "values that are too long with it": (
        lambda: planned(parameters=many(3, "x" * 39_000)),
        "The command with its parameters is too long",
    ),
    "bytes, not characters": (lambda: planned(parameters=many(2, "ü" * 31_000)), "The command is too long"),
    "a project's name": (lambda: planned("name: " + "n" * 2000 + "\n" + WINE), "name: "),
    "a default": (
        lambda: planned(WINE.replace("{alpha: float}", '{alpha: float, b: {default: "' + "x" * 66_000 + '"}}')),
        "value: ",
    ),
    "a path that grows": (lambda: planned(WINE.replace("float", "path"), alpha="x" * 65_530), "value: "),
    "a type": (lambda: planned(WINE.replace("float", "t" * 100)), "unknown type"),
    "a parameter's name": (
        lambda: planned(WINE.replace("{alpha: float}", "{alpha: float, " + "n" * 300 + ": {default: 1}}")),
        "name: ",
    ),
    "too many parameters": (
        lambda: planned(
            WINE.replace("alpha: float", "alpha: float, " + ", ".join(f"q{n}: {{default: 1}}" for n in range(600)))
        ),
        "parameters: ",
    ),
}


@pytest.mark.parametrize(("make", "complaint"), LARGE.values(), ids=LARGE)
def test_what_is_planned_fits_into_a_status_or_is_refused(make, complaint):
    if complaint is None:
        assert plan_facts(make().plan)
        return
    with pytest.raises(MlpError) as refused:
        make()
    assert complaint in str(refused.value)
    assert not refused.value.temporary
