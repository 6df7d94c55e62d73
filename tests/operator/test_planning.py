"""From a run and its project to a plan: every mistake of the user is found here, and no field is ever ignored."""

from __future__ import annotations

import json
import shlex
import typing

import pytest
from pydantic import BaseModel

from mlp.errors import (
    EntryPointNotFound,
    MlpError,
    ParameterInvalid,
    ParameterMissing,
    ProjectInvalid,
    UsageError,
)
from mlp.project import MappingFiles
from mlp.resources.plan import Plan, PlannedDownload, PlannedEnvironment, PlannedSource
from mlp.resources.spec import ProjectRunSpec
from mlp_operator.runs.planning import SecretVariable, plan_run
from mlp_operator.runs.recording import TrackingServer
from mlp_operator.runs.status import plan_facts
from tests.operator.build import COMMIT, project_run

WINE = "entry_points:\n  main:\n    parameters: {alpha: float}\n    command: train {alpha}\n"
MLFLOW = TrackingServer("http://mlflow:5000")


def source_of(subdirectory=""):
    return PlannedSource(uri="https://git.example.org/wine", commit=COMMIT, subdirectory=subdirectory)


def planned(mlproject=WINE, *paths, alpha="0.5", subdirectory="", secrets=None, tracking=MLFLOW, **spec):
    """What is planned for a run with these fields of its spec; secrets are values by parameter."""
    parameters = spec.pop("parameters", None) or ([] if alpha is None else [{"name": "alpha", "value": alpha}])
    values = {each["name"]: each["value"] for each in parameters}
    parameters = parameters + [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": "vault", "key": f"of-{number}"}}}
        for number, name in enumerate(secrets or ())
    ]
    return plan_run(
        project_run(parameters=parameters, **spec),
        files=MappingFiles("wine", {"MLproject": mlproject}, paths),
        source=source_of(subdirectory),
        values=values,
        secrets=secrets or {},
        tracking=tracking,
    )


# --- the plan -------------------------------------------------------------------------------------------------------


def test_a_plan_says_everything_the_pod_has_to_know():
    plan = planned(subdirectory="a/b").plan
    assert plan.source == source_of("a/b")
    assert (plan.project.name, plan.project.entry_point, plan.project.command) == ("wine", "main", "train 0.5")
    assert (plan.steps, plan.tracking_uri) == (("clone",), "http://mlflow:5000")


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
    "data.csv": "/mlp/run/project/a/data.csv",
    "./b/../c": "/mlp/run/project/a/c",
    "../beside.csv": "/mlp/run/project/beside.csv",
    "/mlp/run/project/x": "/mlp/run/project/x",
    "/mnt/data": "/mnt/data",
    "/mnt/data/x.csv": "/mnt/data/x.csv",
    "file:///mnt/data/x": "/mnt/data/x",
    "file:/mnt/data/x%20y": "/mnt/data/x y",
    "file://localhost/mnt/data/x": "/mnt/data/x",
    "a b'c": "/mlp/run/project/a/a b'c",
}
MOUNTED = {
    "volumes": [{"name": "data", "emptyDir": {}}],
    "volumeMounts": [{"name": "data", "mountPath": "/mnt/data"}],
}
PATH = WINE.replace("float", "path")


def path_of(value, **spec):
    plan = planned(PATH, alpha=value, subdirectory="a", backend={"kubernetes": MOUNTED}, **spec).plan
    (parameter,) = plan.project.parameters
    assert plan.project.command == f"train {shlex.quote(parameter.value)}"
    return parameter.value


@pytest.mark.parametrize(("value", "path"), PATHS.items())
def test_a_path_is_one_of_the_pod(value, path):
    assert path_of(value) == path


@pytest.mark.parametrize(("value", "path"), PATHS.items())
def test_so_is_a_default(value, path):
    project = WINE.replace("float", f"{{type: path, default: {json.dumps(value)}}}")
    plan = planned(project, alpha=None, subdirectory="a", backend={"kubernetes": MOUNTED}).plan
    assert [(each.value, each.source) for each in plan.project.parameters] == [(path, "Default")]


LAPTOPS = [
    "/home/me/data.csv",
    "/Users/me/data.csv",
    "~/data.csv",
    "~",
    "C:\\data.csv",
    "C:/data.csv",
    "file:///home/me/data.csv",
    "/mnt/database",
    "../../../../etc/passwd",
    "/",
]


@pytest.mark.parametrize("value", LAPTOPS)
def test_a_path_of_another_machine_is_refused_with_the_ways_out(value):
    with pytest.raises(ParameterInvalid, match=r"Parameter alpha .*no path of the run's pod") as refused:
        path_of(value)
    for way in ("mlp submit -P alpha=@file", "s3://", "volumeMounts"):
        assert way in str(refused.value)


def test_a_file_uri_of_another_host_is_refused():
    with pytest.raises(ParameterInvalid, match="lies elsewhere"):
        path_of("file://fileserver/mnt/data")


def test_an_image_of_the_users_may_hold_any_path_but_those_of_laptops():
    own = {"environment": {"manager": "Local", "image": "own:1"}}
    assert path_of("/opt/data", **own) == "/opt/data"
    with pytest.raises(ParameterInvalid):
        path_of("/home/me/data", **own)
    with pytest.raises(ParameterInvalid):
        path_of("/opt/data")


def test_podtemplate_mounts_volumes_and_names_an_image_as_well():
    main = {"name": "main", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}
    for fields in (main, {"name": "main", "image": "own:1"}):
        backend = {"kubernetes": {"podTemplate": {"spec": {"containers": [fields]}}}}
        assert planned(PATH, alpha="/x/y", backend=backend).plan.project.command == "train /x/y"


DOWNLOADS = {
    "s3://b/k/wine.csv": "wine.csv",
    "https://h/d/wine.csv?x=1": "wine.csv",
    "dbfs:/x/wine": "wine",
    "S3://bucket": "bucket",
    "runs:/1/model": "model",
    "models:/wine/1": "1",
}


@pytest.mark.parametrize(("uri", "name"), DOWNLOADS.items())
def test_a_remote_path_is_downloaded_and_the_command_gets_its_place(uri, name):
    plan = planned(PATH, alpha=uri).plan
    path = f"/mlp/run/data/alpha/{name}"
    assert plan.downloads == (PlannedDownload(parameter="alpha", uri=uri, path=path),)
    (parameter,) = plan.project.parameters
    assert (parameter.value, parameter.given, plan.project.command) == (path, uri, f"train {path}")
    assert plan.steps == ("clone", "data")


def test_a_remote_default_is_downloaded_too():
    project = WINE.replace("float", "{type: path, default: 's3://b/k'}")
    assert planned(project, alpha=None).plan.downloads[0].uri == "s3://b/k"


def test_each_parameter_has_its_own_directory():
    project = WINE.replace("alpha: float", "alpha: path, beta: path")
    parameters = [{"name": name, "value": f"s3://b/{name}/data"} for name in ("alpha", "beta")]
    paths = [each.path for each in planned(project, parameters=parameters).plan.downloads]
    assert paths == ["/mlp/run/data/alpha/data", "/mlp/run/data/beta/data"]


@pytest.mark.parametrize("uri", ["s3://", "https:///x", "dbfs:/a/.."])
def test_what_has_no_name_cannot_be_downloaded(uri):
    with pytest.raises(ParameterInvalid, match="Parameter alpha is of type path, and cannot be downloaded"):
        planned(PATH, alpha=uri)


@pytest.mark.parametrize("uri", ["runs:/1/model", "models:/wine/1", "mlflow-artifacts:/1/2"])
def test_what_lies_on_the_tracking_server_needs_one(uri):
    with pytest.raises(ParameterInvalid, match=r"Parameter alpha is .*give spec\.tracking\.uri"):
        planned(PATH, alpha=uri, tracking=None)


URIS = {
    "s3://bucket/key": "s3://bucket/key",
    "file:///a/b": "file:///a/b",
    "a/b": "/mlp/run/project/a/b",
    "/a": "/a",
    ".": "/mlp/run/project",
}


@pytest.mark.parametrize(("value", "uri"), URIS.items())
def test_a_uri_is_itself_or_a_path_of_the_project(value, uri):
    plan = planned(WINE.replace("float", "uri"), alpha=value).plan
    assert (plan.project.command, plan.downloads) == (f"train {uri}", ())


# --- secrets --------------------------------------------------------------------------------------------------------

TOKEN = "entry_points:\n  main:\n    parameters: {token: string, n: {type: int, default: 1}}\n    command: %s\n"
SECRET = "s3cr3t 'v\"$`"


def test_a_secret_reaches_the_command_as_a_variable():
    found = planned(TOKEN % "train --token {token} {n}", alpha=None, secrets={"token": SECRET, "api key": "K"})
    assert found.secret_variables == (
        SecretVariable("MLP_PARAMETER_TOKEN", "vault", "of-0"),
        SecretVariable("MLP_PARAMETER_API_KEY", "vault", "of-1"),
    )
    assert found.plan.project.command == (
        'train --token "$MLP_PARAMETER_TOKEN" 1 --\'api key\' "$MLP_PARAMETER_API_KEY"'
    )
    assert {each.name: (each.value, each.source) for each in found.plan.project.parameters} == {
        "token": (None, "Spec"),
        "n": ("1", "Default"),
        "api key": (None, "Extra"),
    }


def test_each_secret_has_a_variable_of_its_own_that_bash_can_name():
    backend = {"kubernetes": {"env": [{"name": "MLP_PARAMETER_A_B", "value": "mine"}]}}
    found = planned("{}", "x.py", alpha=None, secrets=dict.fromkeys(["a-b", "a.b", "é"], "v"), backend=backend,
                    project={"uri": "https://h/p", "entryPoint": "x.py"})  # fmt: skip
    variables = [each.variable for each in found.secret_variables]
    assert variables == ["MLP_PARAMETER_A_B_2", "MLP_PARAMETER_A_B_3", "MLP_PARAMETER__"]


def test_nothing_that_is_planned_holds_a_secret():
    found = planned(TOKEN % 'train {token} "Bearer {token}"', alpha=None, secrets={"token": SECRET, "more": "0ther"})
    for text in (repr(found), found.plan.to_json(), str(plan_facts(found.plan))):
        assert "s3cr3t" not in text
        assert "0ther" not in text


WRONG_SECRETS = {
    "another type": ("{token: int}", "run {token}", SECRET, "got a value from a Secret, which is not a whole number"),
    "a path": ("{token: path}", "run {token}", "s3cr3t", "values cannot come from a Secret"),
    "a relative uri": ("{token: uri}", "run {token}", "s3cr3t", "which is not a URI with a scheme"),
    "a NUL": ("{token: string}", "run {token}", "s3cr3t\0", "which contains a NUL character"),
    "single quotes": ("{token: string}", "run '{token}'", SECRET, "Write it as {token} without"),
    "a width": ("{token: string}", "run {token:>9}", SECRET, "cannot be formatted"),
    "too much": ("{token: string}", "run {token}", "s3cr3t" * 25_000, "150000 bytes"),
}


@pytest.mark.parametrize(("declared", "command", "value", "complaint"), WRONG_SECRETS.values(), ids=WRONG_SECRETS)
def test_a_secret_that_does_not_fit_is_refused_and_not_shown(declared, command, value, complaint):
    project = f"entry_points:\n  main:\n    parameters: {declared}\n    command: {json.dumps(command)}\n"
    with pytest.raises(ParameterInvalid) as refused:
        planned(project, alpha=None, secrets={"token": value})
    said = f"{refused.value!r}{refused.value.__context__!r}"
    assert complaint in said
    assert "token" in said
    assert "s3cr3t" not in said


# --- every field ----------------------------------------------------------------------------------------------------


# Every field of the API, and who acts on it. A new field has to be entered here, or be refused.
ACTED_UPON = {
    "project.uri": "resolution",
    "project.version": "resolution",
    "project.subdirectory": "resolution, job",
    "project.entryPoint": "planning",
    "project.authSecretRef.name": "resolution, job",
    "project.submodules": "resolution",
    "parameters.name": "planning",
    "parameters.value": "planning",
    "environment.manager": "planning",
    "environment.image": "job",
    "environment.cache.policy": "planning, job",
    "environment.cache.volumeClaimName": "job",
    "environment.secretRef.name": "job",
    "project.bundle.configMapName": "resolution, job",
    "project.bundle.uri": "resolution, job",
    "project.bundle.sha256": "resolution",
    "project.lfs": "resolution",
    "parameters.valueFrom.secretKeyRef.name": "resolution, planning",
    "parameters.valueFrom.secretKeyRef.key": "resolution, planning",
    "parameters.valueFrom.configMapKeyRef.name": "resolution",
    "parameters.valueFrom.configMapKeyRef.key": "resolution",
    "experiment.name": "tracking",
    "experiment.runName": "tracking",
    "experiment.tags.name": "tracking",
    "experiment.tags.value": "tracking",
    "tracking.uri": "recording",
    "tracking.secretRef.name": "recording",
    "data.secretRef.name": "job",
    "queueName": "job",
    "queuePriorityClassName": "job",
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
                "podTemplate",
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
    **dict.fromkeys(
        [
            f"backend.databricks.{field}"
            for field in (
                "host",
                "secretRef.name",
                "auth",
                "serviceAccountName",
                "clientId",
                "audience",
            )
        ],
        "workspace_access",
    ),
    **dict.fromkeys(
        [
            f"backend.databricks.{field}"
            for field in (
                "runAs.userName",
                "runAs.servicePrincipalName",
                "cluster.newCluster",
                "cluster.existingClusterId",
                "serverless.environmentVersion",
                "libraries",
                "tags.name",
                "tags.value",
                "projectSource",
                "gitProvider",
                "uploadTo",
                "timeoutSeconds",
            )
        ],
        "handing_over",
    ),
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


def test_every_field_of_the_api_is_acted_upon_or_refused():
    assert set(leaves(ProjectRunSpec)) == set(ACTED_UPON)


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


# The project, spec.environment.manager -> the manager that is chosen, and what is to be built.
BUILT = {
    "conda": (CONDA, "Auto", "Conda", ("conda", "conda.yaml", None)),
    "python": (PYTHON, "Auto", "Virtualenv", ("python", "python_env.yaml", None)),
    "conda, Conda": (CONDA, "Conda", "Conda", ("conda", "conda.yaml", "conda")),
    "conda, Virtualenv": (CONDA, "Virtualenv", "Virtualenv", ("conda", "conda.yaml", "virtualenv")),
    "python, Virtualenv": (PYTHON, "Virtualenv", "Virtualenv", ("python", "python_env.yaml", "virtualenv")),
    "a file without a key": ("name: wine\n" + WINE, "Auto", "Virtualenv", ("python", "python_env.yaml", None)),
}


@pytest.mark.parametrize("image", [{}, OWN])
@pytest.mark.parametrize(("mlproject", "asked", "manager", "wanted"), BUILT.values(), ids=BUILT)
def test_an_environment_is_built(mlproject, asked, manager, wanted, image):
    kind, file, named = wanted
    plan = planned(mlproject, "conda.yaml", "python_env.yaml", environment={"manager": asked, **image}).plan
    assert plan.environment == PlannedEnvironment(kind=kind, file=file, manager=named)
    assert (plan.project.manager, plan.steps) == (manager, ("clone", "environment"))


@pytest.mark.parametrize("mlproject", [WINE, DOCKER])
@pytest.mark.parametrize("manager", ["Conda", "Virtualenv"])
def test_where_the_project_declares_none_nothing_is_built(mlproject, manager):
    plan = planned(mlproject, environment={"manager": manager}).plan
    assert (plan.environment, plan.project.manager) == (None, "Image" if mlproject == DOCKER else "Local")


def test_conda_cannot_build_a_python_env():
    with pytest.raises(UsageError, match=r"spec\.environment\.manager Conda cannot build .*python_env\.yaml"):
        planned(PYTHON, "python_env.yaml", environment={"manager": "Conda"})


@pytest.mark.parametrize("policy", ["Use", "Refresh", "Disabled"])
def test_the_caches_policy_is_planned(policy):
    plan = planned(CONDA, "conda.yaml", environment={"cache": {"policy": policy}}).plan
    assert plan.environment.policy == policy


def test_the_machine_that_an_environment_is_for_is_planned_and_nothing_else_of_the_variables():
    env = [
        {"name": "CONDA_OVERRIDE_CUDA", "value": "12.4"},
        {"name": "CONDA_OVERRIDE_GLIBC", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "TOKEN", "value": "x"},
    ]
    plan = planned(CONDA, "conda.yaml", backend={"kubernetes": {"env": env}}).plan
    assert plan.environment.overrides == {"CONDA_OVERRIDE_CUDA": "12.4"}


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
    # What else a Secret holds is not looked at.
    assert planned(project, backend={"kubernetes": {"envFrom": [{"secretRef": {"name": "s"}}]}}).variables == ()


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
