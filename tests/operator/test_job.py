"""The manifest of a run's Job: safe by Pod Security's published rules, and exactly what was asked for."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from mlp.errors import (
    AuthenticationFailed,
    EntryPointNotFound,
    ParameterInvalid,
    ParameterMissing,
    ProjectInvalid,
    SourceInvalid,
    SourceNotFound,
    SourceUnavailable,
    UsageError,
)
from mlp.resources import names
from mlp.resources.plan import Plan, PlannedBundle, PlannedDownload, PlannedEnvironment
from mlp.resources.pod import KubernetesBackend
from mlp_operator.runs.job import PodDefaults, _label_value, attempt_of, image_of, manifest, plan_of
from mlp_operator.runs.planning import Resolved, SecretVariable
from mlp_operator.runs.recording import TrackedRun, TrackingServer
from tests.operator.build import RULES, plan, project_run

AUTH = {"uri": "https://git.example.org/wine", "authSecretRef": {"name": "git-creds"}}


CONDA = PlannedEnvironment(kind="conda", file="conda.yaml")
MLFLOW = TrackingServer("http://mlflow:5000", "mlflow")
TRACKED = TrackedRun("http://mlflow:5000", "7", "abc", "SCHEDULED")


def downloads(*uris):
    return tuple(PlannedDownload(parameter="p", uri=uri, path="/mlp/run/data/p/x") for uri in uris)


def made(
    *,
    of=None,
    image="image",
    variables=(),
    secrets=(),
    attempts_before=0,
    backend=None,
    tracking=None,
    tracked=None,
    defaults=RULES.defaults,
    needs=None,
    **spec,
):
    """The Job of a run with these fields of its spec.

    Args:
        of: The plan; needs: what is different in it.
    """
    if backend is not None:
        spec["backend"] = {"kubernetes": backend}
    if of is None:
        of = replace(plan(credentials="authSecretRef" in spec.get("project", {})), **needs or {})
    run = project_run(**spec)
    return manifest(
        run,
        Resolved(of, None, variables, secrets),
        image=image,
        defaults=defaults,
        tracking=tracking,
        tracked=tracked,
        attempts_before=attempts_before,
    )


def pod_of(**parts):
    return made(**parts)["spec"]["template"]["spec"]


def containers_of(pod):
    return {each["name"]: each for each in [*pod["initContainers"], *pod["containers"]]}


def main_of(**parts):
    return containers_of(pod_of(**parts))["main"]


# --- Pod Security, restricted ---------------------------------------------------------------------------------------

# The volume types that the profile admits (kubernetes.io/docs/concepts/security/pod-security-standards).
SAFE_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def violations(pod):
    """What the restricted profile would say, container by container, in the order of its documentation."""
    found = [f"pod: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    found += [
        f"volume {volume['name']}: {kind}"
        for volume in pod["volumes"]
        for kind in set(volume) - {"name"} - SAFE_VOLUMES
    ]
    shared = pod.get("securityContext", {})
    for container in [*pod["initContainers"], *pod["containers"], *pod.get("ephemeralContainers", ())]:
        context = {**shared, **container.get("securityContext", {})}
        rules = {
            "privileged": not context.get("privileged"),
            "capabilities dropped": context.get("capabilities", {}).get("drop") == ["ALL"],
            "capabilities added": set(context.get("capabilities", {}).get("add", ())) <= {"NET_BIND_SERVICE"},
            "hostPort": not any("hostPort" in port for port in container.get("ports", ())),
            "procMount": context.get("procMount", "Default") == "Default",
            "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser") != 0,
            "seccompProfile": context.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
        }
        found += [f"{container['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return found


@pytest.mark.parametrize("parts", [{}, {"project": AUTH}, "everything"], ids=["open", "with credentials", "everything"])
def test_a_pod_passes_pod_security_restricted(parts):
    assert violations(pod_of(**(everything() if parts == "everything" else parts))) == []


def test_the_rules_find_what_a_user_makes_unsafe():
    unsafe = pod_of(
        backend={"securityContext": {"runAsUser": 0}, "volumes": [{"name": "host", "hostPath": {"path": "/"}}]}
    )
    assert violations(unsafe) == ["volume host: hostPath", "prepare: runAsUser", "main: runAsUser"]


def test_a_pod_gets_no_way_into_the_cluster():
    pod = pod_of(**{**everything(), "backend": {}})
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert not any("serviceaccount" in path for each in containers_of(pod).values() for path in mounts(each).values())


def test_an_account_that_the_run_names_is_mains_alone():
    pod = pod_of(**{**everything(), "backend": {"serviceAccountName": "trainer"}})
    assert (pod["automountServiceAccountToken"], pod["serviceAccountName"]) == (False, "trainer")
    seen = {name: "/var/run/secrets/kubernetes.io/serviceaccount" in mounts(each).values()
            for name, each in containers_of(pod).items()}  # fmt: skip
    assert seen == {"fetch": False, "environment": False, "main": True}
    (volume,) = [each["projected"] for each in pod["volumes"] if each["name"] == "mlp-service-account"]
    token, authority, namespace = volume["sources"]
    assert token == {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}
    assert authority["configMap"]["name"] == "kube-root-ca.crt"
    assert namespace["downwardAPI"]["items"] == [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]


def test_our_own_containers_write_to_volumes_alone():
    containers = containers_of(pod_of(**everything()))
    for name in ("fetch", "environment"):
        assert containers[name]["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"/tmp", "/mlp/run"} <= {
            each["mountPath"] for each in containers[name]["volumeMounts"] if not each.get("readOnly")
        }
    assert "readOnlyRootFilesystem" not in containers["main"]["securityContext"]


def test_kubelet_need_not_go_through_every_file_of_a_cache():
    assert pod_of()["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


# --- the Job --------------------------------------------------------------------------------------------------------


def test_a_job_belongs_to_its_run():
    job = made()
    assert (job["metadata"]["name"], job["metadata"]["namespace"]) == ("wine", "team-a")
    assert job["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "mlp.dev/v1alpha1",
            "kind": "ProjectRun",
            "name": "wine",
            "uid": "run-uid",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_two_pods_of_a_run_never_work_at_once():
    spec = made()["spec"]
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


ERRORS = [
    UsageError,
    EntryPointNotFound,
    ParameterMissing,
    ParameterInvalid,
    ProjectInvalid,
    SourceInvalid,
    SourceNotFound,
    AuthenticationFailed,
    SourceUnavailable,
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_what_another_attempt_would_only_repeat_ends_the_job(error):
    fail = made()["spec"]["podFailurePolicy"]["rules"][0]
    assert fail["action"] == "FailJob"
    assert (error.exit_code in fail["onExitCodes"]["values"]) == (not error.temporary)


SECRETS = {
    "nothing": ({}, [("prepare", ["clone"])]),
    "an environment": ({"needs": {"environment": CONDA}}, [("prepare", ["clone", "environment"])]),
    "data and an environment": (
        {"needs": {"environment": CONDA, "downloads": downloads("https://h/x")}},
        [("prepare", ["clone", "data", "environment"])],
    ),
    "a private repository": ({"project": AUTH}, [("fetch", ["clone"])]),
    "a private repository and an environment": (
        {"project": AUTH, "needs": {"environment": CONDA}},
        [("fetch", ["clone"]), ("environment", ["environment"])],
    ),
    "private data": (
        {"data": {"secretRef": {"name": "aws"}}, "needs": {"downloads": downloads("s3://b/k"), "environment": CONDA}},
        [("fetch", ["clone", "data"]), ("environment", ["environment"])],
    ),
    "a private bundle": (
        {
            "data": {"secretRef": {"name": "aws"}},
            "needs": {"source": replace(plan().source, bundle=PlannedBundle(uri="s3://b/k", sha256="0" * 64))},
        },
        [("fetch", ["clone"])],
    ),
    "credentials for data, and none is downloaded": (
        {"data": {"secretRef": {"name": "aws"}}, "needs": {"environment": CONDA}},
        [("prepare", ["clone", "environment"])],
    ),
    "a private index": (
        {"environment": {"secretRef": {"name": "index"}}, "needs": {"environment": CONDA}},
        [("fetch", ["clone"]), ("environment", ["environment"])],
    ),
    "credentials for an index, and nothing is built": (
        {"environment": {"secretRef": {"name": "index"}}},
        [("prepare", ["clone"])],
    ),
    "data of the tracking server": (
        {"tracking": MLFLOW, "needs": {"downloads": downloads("runs:/1/model")}},
        [("fetch", ["clone", "data"])],
    ),
    "credentials for the tracking server, and other data": (
        {"tracking": MLFLOW, "needs": {"downloads": downloads("https://h/x")}},
        [("prepare", ["clone", "data"])],
    ),
    "web identity alone": (
        {"data": {}, "needs": {"downloads": downloads("s3://b/k"), "environment": CONDA}},
        [("fetch", ["clone", "data"]), ("environment", ["environment"])],
    ),
}


@pytest.mark.parametrize(("parts", "wanted"), SECRETS.values(), ids=SECRETS)
def test_credentials_part_the_steps_into_containers(parts, wanted):
    spec = made(**parts)["spec"]
    containers = spec["template"]["spec"]["initContainers"]
    assert [(each["name"], each["args"]) for each in containers] == wanted
    assert {each["name"] for each in containers} <= set(names.INIT_CONTAINERS)
    *fails, ignore = spec["podFailurePolicy"]["rules"]
    # A rule about a container that is not there would be refused.
    assert [each["onExitCodes"]["containerName"] for each in fails] == [name for name, _ in wanted]
    assert {each["action"] for each in fails} == {"FailJob"}
    assert ignore == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@pytest.mark.parametrize(("limit", "before", "left"), [(0, 0, 0), (3, 0, 3), (3, 1, 2), (1, 3, 0)])
def test_attempts_that_are_used_up_are_not_given_again(limit, before, left):
    job = made(backoffLimit=limit, attempts_before=before)
    assert job["spec"]["backoffLimit"] == left
    assert attempt_of(job) == before


def test_the_plan_reaches_the_pod_as_a_file():
    job = made(of=plan(command="echo '$HOME' ü"))
    assert Plan.from_json(plan_of(job)) == plan(command="echo '$HOME' ü")
    volume = next(each for each in job["spec"]["template"]["spec"]["volumes"] if "downwardAPI" in each)
    (item,) = volume["downwardAPI"]["items"]
    assert item["fieldRef"]["fieldPath"] == f"metadata.annotations['{names.PLAN_ANNOTATION}']"
    assert f"{names.PLAN_DIRECTORY}/{item['path']}" == names.PLAN_FILE


def test_a_manifest_is_json():
    job = made(**everything())
    assert json.loads(json.dumps(job)) == job


# --- labels and annotations -----------------------------------------------------------------------------------------


def test_users_labels_and_annotations_are_added_and_ours_win():
    job = made(
        attempts_before=1,
        backend={
            "labels": {"team": "a", names.RUN_LABEL: "another", "app.kubernetes.io/managed-by": "me"},
            "annotations": {"ticket": "42", names.PLAN_ANNOTATION: "{}", "mlp.dev/attempts-before": "0"},
        },
    )
    for metadata in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert metadata["labels"]["team"] == "a"
        assert metadata["labels"][names.RUN_LABEL] == "wine"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "mlp-operator"
        assert metadata["annotations"]["ticket"] == "42"
    assert attempt_of(job) == 1
    assert Plan.from_json(plan_of(job)) == plan()


LABEL_VALUES = {
    "wine": "wine",
    "My Project": "My-Project",
    "größe": "gr--e",
    "-._x_.-": "x",
    "🍷": "project",
    "": "project",
    "a" * 100: "a" * 63,
    "a" * 62 + "-b": "a" * 62,
    "a/b:c@d": "a-b-c-d",
    "٣": "project",
}


@pytest.mark.parametrize(("text", "value"), LABEL_VALUES.items(), ids=range(len(LABEL_VALUES)))
def test_any_name_becomes_a_label_value(text, value):
    assert _label_value(text) == value
    assert re.fullmatch(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", value)
    assert made(of=plan(name=text))["metadata"]["labels"]["app.kubernetes.io/name"] == value


# --- the command ----------------------------------------------------------------------------------------------------


def expanded(text, variables):
    """What kubelet makes of an argument: k8s.io/kubernetes/third_party/forked/golang/expansion, in its own order."""
    result, position = "", 0
    while position < len(text):
        char = text[position]
        if char != "$" or position + 1 == len(text):
            result += char
            position += 1
            continue
        following = text[position + 1]
        if following == "$":
            result += "$"
            position += 2
        elif following == "(":
            end = text.find(")", position + 2)
            if end < 0:
                result += "$("
                position += 2
            else:
                name = text[position + 2 : end]
                result += variables.get(name, f"$({name})")
                position = end + 1
        else:
            result += "$" + following
            position += 2
    return result


COMMANDS = [
    "python train.py --alpha 0.5",
    "echo $HOME",
    "echo $(HOME)",
    "echo $$(HOME) $$ $$$ $$$$",
    "echo $$$(HOME)",
    "echo $",
    "$",
    "$(",
    "$(HOME",
    "echo '$(cat /etc/passwd)' \"$((1 + 2))\" ${HOME:-x}",
    "a\nb\tc;d|e&f 'g' \"h\" \\i ü 🍷",
    "",
    "$(date +%s)$",
]


def test_the_expansion_is_kubelets():
    assert expanded("a $(HOME) $$(HOME) $(NONE) $HOME $( $", {"HOME": "/h"}) == "a /h $(HOME) $(NONE) $HOME $( $"


@pytest.mark.parametrize("command", COMMANDS)
def test_kubelet_passes_a_command_on_unchanged(command):
    arguments = main_of(of=plan(command=command))["command"]
    assert [expanded(each, {"HOME": "/h", "": "empty"}) for each in arguments] == [
        names.INIT_PROGRAM,
        "--",
        "bash",
        "-c",
        command,
    ]


@pytest.mark.parametrize("value", COMMANDS)
def test_kubelet_passes_the_projects_variables_on_unchanged(value):
    env = {each["name"]: each.get("value") for each in main_of(variables=(("MODE", value),))["env"]}
    assert expanded(env["MODE"], {"HOME": "/h"}) == value


def test_users_variables_are_expanded_as_in_any_pod():
    env = main_of(backend={"env": [{"name": "CACHE", "value": "$(HOME)/cache"}]})["env"]
    assert {"name": "CACHE", "value": "$(HOME)/cache"} in env


@pytest.mark.parametrize(("subdirectory", "directory"), [("", ""), ("a/b", "/a/b")])
def test_the_command_runs_in_the_projects_directory(subdirectory, directory):
    assert main_of(of=plan(subdirectory=subdirectory))["workingDir"] == names.PROJECT_DIRECTORY + directory


IMAGES = {
    "the run's": ("own:1", "docker:1", "own:1"),
    "the project's": (None, "docker:1", "docker:1"),
    "the runner's": (None, None, "runner:1"),
}


@pytest.mark.parametrize(("own", "docker", "image"), IMAGES.values(), ids=IMAGES)
def test_the_image_of_main(own, docker, image):
    run = project_run(environment={"image": own} if own else {})
    assert image_of(run, docker, PodDefaults("runner:1")) == image


def test_only_mains_image_is_the_projects():
    containers = containers_of(pod_of(image="theirs:1"))
    assert (containers["main"]["image"], containers["prepare"]["image"]) == ("theirs:1", RULES.defaults.runner_image)


# --- credentials ----------------------------------------------------------------------------------------------------


def mounts(container):
    return {each["name"]: each["mountPath"] for each in container["volumeMounts"]}


def everything():
    """The parts of a run that needs all that there is."""
    return {
        "project": AUTH,
        "data": {"secretRef": {"name": "aws"}},
        "environment": {"secretRef": {"name": "index"}, "cache": {"volumeClaimName": "envs"}},
        "tracking": MLFLOW,
        "tracked": TRACKED,
        "needs": {"environment": CONDA, "downloads": downloads("s3://b/k", "runs:/1/m")},
        "secrets": (SecretVariable("MLP_PARAMETER_TOKEN", "vault", "token"),),
        "backend": CURATED,
    }


# Where each Secret appears, and who sees it.
CREDENTIALS = {
    "git-creds": ("fetch", "/mlp/credentials/git"),
    "aws": ("fetch", "/mlp/credentials/data"),
    "mlflow": ("fetch", "/mlp/credentials/tracking"),
    "index": ("environment", "/mlp/credentials/environment"),
}


@pytest.mark.parametrize(("secret", "wanted"), CREDENTIALS.items())
def test_credentials_are_mounted_in_the_one_container_that_needs_them(secret, wanted):
    pod = pod_of(**everything())
    (volume,) = [each for each in pod["volumes"] if each.get("secret", {}).get("secretName") == secret]
    assert volume["secret"]["defaultMode"] == 0o400
    seen = [
        (name, each["mountPath"])
        for name, container in containers_of(pod).items()
        for each in container["volumeMounts"]
        if each["name"] == volume["name"] and each["readOnly"]
    ]
    assert seen == [wanted]


def test_temporary_files_of_one_container_are_not_the_others():
    seen = [
        each["name"]
        for container in containers_of(pod_of(**everything())).values()
        for each in container["volumeMounts"]
        if each["mountPath"] == "/tmp"
    ]
    assert len(seen) == len(set(seen)) == 2


@pytest.mark.parametrize(
    ("uris", "data", "mounted"),
    [
        (["s3://b/k"], {}, True),
        (["S3A://b/k"], {"secretRef": {"name": "aws"}}, True),
        (["models:/m/1"], {}, True),
        (["s3://b/k"], None, False),
        (["https://h/x"], {}, False),
    ],
)
def test_the_pods_account_can_be_shown_to_aws(uris, data, mounted):
    pod = pod_of(needs={"downloads": downloads(*uris)}, **({} if data is None else {"data": data}))
    tokens = [each["projected"]["sources"] for each in pod["volumes"] if "projected" in each]
    token = {"path": "token", "audience": "sts.amazonaws.com", "expirationSeconds": 3600}
    assert tokens == ([[{"serviceAccountToken": token}]] if mounted else [])
    assert (f"{names.AWS_TOKEN_FILE}" in {f"{path}/token" for path in mounts(init_of(pod)).values()}) == mounted
    assert "/mlp/credentials/aws" not in mounts(containers_of(pod)["main"]).values()


def init_of(pod):
    return pod["initContainers"][0]


def test_the_operators_own_tracking_secret_need_not_be_in_every_namespace():
    parts = {"tracking": MLFLOW, "needs": {"downloads": downloads("runs:/1/m")}}
    own = {"backend": {"kubernetes": {}}}
    pods = [pod_of(**parts), manifest_with_tracking_secret(**own)]
    found = [
        (
            next(each["secret"].get("optional", False) for each in pod["volumes"] if each["name"] == "mlp-tracking"),
            containers_of(pod)["main"]["envFrom"][0]["secretRef"]["optional"],
        )
        for pod in pods
    ]
    assert found == [(True, True), (False, False)]


def manifest_with_tracking_secret(**spec):
    """The pod of a run that names the tracking server's Secret itself."""
    run = project_run(tracking={"secretRef": {"name": "mlflow"}}, **spec)
    resolved = Resolved(replace(plan(), downloads=downloads("runs:/1/m")))
    job = manifest(run, resolved, image="i", defaults=RULES.defaults, tracking=MLFLOW, tracked=None)
    return job["spec"]["template"]["spec"]


# --- environments and bundles ---------------------------------------------------------------------------------------

CACHES = {
    "none": ({}, None, {"emptyDir": {}}),
    "the run's": ({"cache": {"volumeClaimName": "own"}}, "default", {"persistentVolumeClaim": {"claimName": "own"}}),
    "the operator's": ({}, "default", {"persistentVolumeClaim": {"claimName": "default"}}),
    "the run's, and the operator has none": (
        {"cache": {"volumeClaimName": "own"}},
        None,
        {"persistentVolumeClaim": {"claimName": "own"}},
    ),
    "not wanted": ({"cache": {"policy": "Disabled", "volumeClaimName": "own"}}, "default", {"emptyDir": {}}),
    "anew": ({"cache": {"policy": "Refresh"}}, "default", {"persistentVolumeClaim": {"claimName": "default"}}),
}


@pytest.mark.parametrize(("environment", "default", "source"), CACHES.values(), ids=CACHES)
def test_environments_lie_in_a_claim_that_main_only_reads(environment, default, source):
    policy = environment.get("cache", {}).get("policy", "Use")
    pod = pod_of(
        environment=environment,
        defaults=PodDefaults("runner:1", cache_claim=default),
        needs={"environment": replace(CONDA, policy=policy)},
    )
    assert {"name": "mlp-envs", **source} in pod["volumes"]
    writable = {
        name: [not each.get("readOnly") for each in container["volumeMounts"] if each["mountPath"] == "/mlp/envs"]
        for name, container in containers_of(pod).items()
    }
    assert writable == {"prepare": [True], "main": [False]}
    assert {"name": "MLP_ENV_ROOT", "value": "/mlp/envs"} in init_of(pod)["env"]


def test_nothing_of_environments_is_there_without_one():
    assert "/mlp/envs" not in json.dumps(pod_of(defaults=PodDefaults("runner:1", cache_claim="envs")))


def test_main_activates_the_environment_before_the_command():
    command = main_of(of=replace(plan(command="# first\ntrain"), environment=CONDA))["command"]
    assert command[-1] == ". /mlp/run/activate.sh || exit 126\n# first\ntrain"


def test_a_bundle_of_a_configmap_is_mounted_for_the_step_that_unpacks_it():
    source = replace(plan().source, bundle=PlannedBundle(sha256="0" * 64), uri=None, commit=None)
    bundle = {"bundle": {"configMapName": "sent", "sha256": "0" * 64}}
    pod = pod_of(needs={"source": source}, project=bundle)
    volume = {"name": "sent", "items": [{"key": names.BUNDLE_KEY, "path": names.BUNDLE_KEY}]}
    assert {"name": "mlp-bundle", "configMap": volume} in pod["volumes"]
    assert mounts(init_of(pod))["mlp-bundle"] == names.BUNDLE_DIRECTORY
    assert "mlp-bundle" not in mounts(containers_of(pod)["main"])


def test_our_containers_know_their_pod():
    env = {each["name"]: each.get("valueFrom", each.get("value")) for each in init_of(pod_of())["env"]}
    assert {name: env[name]["fieldRef"]["fieldPath"] for name in env if name.startswith("MLP_POD_")} == {
        "MLP_POD_UID": "metadata.uid",
        "MLP_POD_NAME": "metadata.name",
        "MLP_POD_NAMESPACE": "metadata.namespace",
    }
    assert env["HOME"] == names.HOME_DIRECTORY


def test_the_operators_settings_reach_our_containers_and_not_what_they_stand_on():
    given = (("UV_DEFAULT_INDEX", "https://index"), ("HOME", "/elsewhere"), ("MLP_ENV_ROOT", "/elsewhere"))
    pod = pod_of(defaults=PodDefaults("runner:1", step_variables=given), needs={"environment": CONDA})
    env = [(each["name"], each.get("value")) for each in init_of(pod)["env"]]
    assert {("UV_DEFAULT_INDEX", "https://index"), ("HOME", names.HOME_DIRECTORY), ("MLP_ENV_ROOT", "/mlp/envs")} <= {
        *env
    }
    assert len(env) == len(dict(env))
    assert "UV_DEFAULT_INDEX" not in json.dumps(containers_of(pod)["main"])


# --- tracking, secrets, queues --------------------------------------------------------------------------------------


def variables_of(**parts):
    return {each["name"]: each.get("valueFrom", each.get("value")) for each in main_of(**parts)["env"]}


def test_main_knows_its_run_in_mlflow():
    parts = {"tracking": MLFLOW, "tracked": TRACKED}
    assert (
        variables_of(**parts).items()
        >= {
            "MLFLOW_TRACKING_URI": "http://mlflow:5000",
            "MLFLOW_RUN_ID": "abc",
            "MLFLOW_EXPERIMENT_ID": "7",
        }.items()
    )
    assert main_of(**parts)["envFrom"][0]["secretRef"]["name"] == "mlflow"


def test_while_mlflow_is_down_main_knows_the_experiment_that_was_asked_for():
    experiment = {"name": "wine"}
    assert variables_of(tracking=MLFLOW, experiment=experiment)["MLFLOW_EXPERIMENT_NAME"] == "wine"
    assert "MLFLOW_EXPERIMENT_NAME" not in variables_of(tracking=MLFLOW, tracked=TRACKED, experiment=experiment)
    assert "MLFLOW_EXPERIMENT_NAME" not in variables_of(experiment=experiment)


def test_without_a_tracking_server_nothing_is_said_of_mlflow():
    assert "mlflow" not in json.dumps(made()).lower()


def test_a_pod_whose_mlflow_run_is_to_be_closed_stays_until_that_is_done():
    job = made(tracking=MLFLOW, tracked=TRACKED)
    metadata = job["spec"]["template"]["metadata"]
    assert metadata["finalizers"] == [names.TRACKING_FINALIZER]
    assert json.loads(metadata["annotations"][names.TRACKING_ANNOTATION]) == {
        "uri": "http://mlflow:5000",
        "runId": "abc",
        "experimentId": "7",
        "projectRun": "run-uid",
        "secret": "mlflow",
    }
    assert "finalizers" not in job["metadata"]
    assert names.TRACKING_ANNOTATION not in job["metadata"]["annotations"]


def test_a_pod_without_an_mlflow_run_waits_for_nobody():
    assert "finalizers" not in made(tracking=MLFLOW)["spec"]["template"]["metadata"]


def test_a_secret_parameter_reaches_main_alone():
    parts = {"secrets": (SecretVariable("MLP_PARAMETER_TOKEN", "vault", "key"),)}
    source = {"secretKeyRef": {"name": "vault", "key": "key", "optional": False}}
    assert variables_of(**parts)["MLP_PARAMETER_TOKEN"] == source
    assert "MLP_PARAMETER_TOKEN" not in json.dumps(pod_of(**parts)["initContainers"])


def test_the_users_variables_win_and_none_is_there_twice():
    given = {"HOME": "/h", "MLFLOW_TRACKING_URI": "http://other", "MODE": "slow", "MLFLOW_RUN_ID": ""}
    parts = {
        "tracking": MLFLOW,
        "tracked": TRACKED,
        "variables": (("MODE", "fast"),),
        "backend": {"env": [{"name": name, "value": value} for name, value in given.items()]},
    }
    assert variables_of(**parts).items() >= given.items()
    listed = [each["name"] for each in main_of(**parts)["env"]]
    assert len(listed) == len(set(listed))


def test_the_tracking_servers_credentials_come_before_what_the_user_names():
    sources = main_of(tracking=MLFLOW, backend={"envFrom": [{"secretRef": {"name": "more"}}]})["envFrom"]
    assert [each["secretRef"]["name"] for each in sources] == ["mlflow", "more"]


def test_main_knows_whose_part_further_runs_are():
    assert variables_of().items() >= {"MLP_PROJECTRUN": "wine", "MLP_NAMESPACE": "team-a"}.items()


def test_a_queue_gets_a_suspended_job_with_its_labels():
    job = made(queueName="team-a", queuePriorityClassName="prod")
    assert job["spec"]["suspend"] is True
    labels = {"kueue.x-k8s.io/queue-name": "team-a", "kueue.x-k8s.io/priority-class": "prod"}
    assert job["metadata"]["labels"].items() >= labels.items()
    assert not labels.keys() & job["spec"]["template"]["metadata"]["labels"].keys()


def test_without_a_queue_a_job_starts_at_once():
    job = made()
    assert "suspend" not in job["spec"]
    assert "kueue" not in json.dumps(job)
    assert (job["spec"]["parallelism"], job["spec"]["completions"]) == (1, 1)


def test_podtemplate_is_laid_over_everything_else():
    overlay = {
        "metadata": {"labels": {"team": "b"}},
        "spec": {"containers": [{"name": "main", "tty": True}, {"name": "side", "image": "s"}], "priority": 7},
    }
    job = made(backend={"labels": {"team": "a"}, "priorityClassName": "high", "podTemplate": overlay})
    template = job["spec"]["template"]
    assert (template["metadata"]["labels"]["team"], job["metadata"]["labels"]["team"]) == ("b", "a")
    assert (template["spec"]["priority"], template["spec"]["priorityClassName"]) == (7, "high")
    assert containers_of(template["spec"])["main"]["tty"] is True
    assert containers_of(template["spec"])["side"] == {"name": "side", "image": "s"}
    assert containers_of(template["spec"])["main"]["command"][0] == names.INIT_PROGRAM


def test_a_run_without_credentials_mounts_no_secret():
    assert "secret" not in json.dumps(pod_of())


def test_every_mount_has_its_volume_and_every_volume_a_name_of_its_own():
    pod = pod_of(**everything())
    volumes = [each["name"] for each in pod["volumes"]]
    assert len(volumes) == len(set(volumes))
    assert {name for container in containers_of(pod).values() for name in mounts(container)} <= set(volumes)


# --- fields of the core API -----------------------------------------------------------------------------------------

CURATED = {
    "serviceAccountName": "trainer",
    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": 1}},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "env": [
        {"name": "MODE", "value": ""},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ],
    "envFrom": [{"secretRef": {"name": "more"}}],
    "volumes": [{"name": "scratch", "emptyDir": {}}],
    "volumeMounts": [{"name": "scratch", "mountPath": "/scratch", "readOnly": False, "subPath": "a"}],
    "imagePullSecrets": [{"name": "registry"}],
    "priorityClassName": "high",
    "schedulerName": "volcano",
    "runtimeClassName": "gvisor",
    "terminationGracePeriodSeconds": 0,
}
OF_MAIN = {"resources", "envFrom"}
AMONG_OURS = {"env", "volumeMounts"}


@pytest.mark.parametrize("field", CURATED)
def test_a_field_of_the_core_api_lands_where_it_belongs(field):
    pod = pod_of(backend=CURATED)
    main, other = containers_of(pod)["main"], containers_of(pod)["prepare"]
    if field in OF_MAIN:
        assert main[field] == CURATED[field]
        assert other.get(field) != CURATED[field]
    elif field in AMONG_OURS:
        assert main[field][-len(CURATED[field]) :] == CURATED[field]
        assert not any(each in other[field] for each in CURATED[field])
    elif field == "volumes":
        assert pod[field][-1] == CURATED[field][0]
    else:
        assert pod[field] == CURATED[field]


@pytest.mark.parametrize("field", sorted(set(CURATED) - AMONG_OURS - {"volumes"}))
def test_a_field_that_is_unset_is_not_there(field):
    pod = pod_of()
    assert field not in pod
    assert field == "resources" or field not in containers_of(pod)["main"]


def test_every_field_for_kubernetes_has_its_place_here():

    known = {field.alias for field in KubernetesBackend.model_fields.values()}
    assert known == set(CURATED) | {"labels", "annotations", "securityContext", "podTemplate"}


def test_the_pods_security_context_is_laid_over_ours():
    context = pod_of(backend={"securityContext": {"fsGroup": 2000, "supplementalGroups": [3]}})["securityContext"]
    assert (context["fsGroup"], context["supplementalGroups"], context["runAsNonRoot"]) == (2000, [3], True)


@pytest.mark.parametrize("parts", [{}, "everything"], ids=["little", "everything"])
def test_our_containers_ask_for_a_little_and_have_no_limits(parts):
    for each in pod_of(**(everything() if parts else {}))["initContainers"]:
        assert set(each["resources"]) == {"requests"}
        assert set(each["resources"]["requests"]) == {"cpu", "memory"}


@pytest.mark.parametrize("seconds", [None, 0, 60])
def test_the_active_deadline_is_the_jobs(seconds):
    assert made(activeDeadlineSeconds=seconds)["spec"]["activeDeadlineSeconds"] == seconds


def test_the_log_of_a_command_that_has_a_secret_is_in_no_status():
    secret = (SecretVariable("MLP_PARAMETER_TOKEN", "vault", "token"),)
    assert pod_of()["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert pod_of(secrets=secret)["containers"][0]["terminationMessagePolicy"] == "File"
