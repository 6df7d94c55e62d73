"""The manifest of a run's Job: safe by Pod Security's published rules, and exactly what was asked for."""

from __future__ import annotations

import json
import re

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
from mlp.resources.plan import Plan
from mlp.resources.pod import KubernetesBackend
from mlp_operator.runs.job import PodDefaults, _label_value, attempt_of, image_of, manifest, plan_of
from tests.operator.build import RULES, plan, project_run

AUTH = {"uri": "https://git.example.org/wine", "authSecretRef": {"name": "git-creds"}}


def made(*, of=None, image="image", variables=(), attempts_before=0, backend=None, **spec):
    if backend is not None:
        spec["backend"] = {"kubernetes": backend}
    if of is None:
        of = plan(credentials="authSecretRef" in spec.get("project", {}))
    run = project_run(**spec)
    return manifest(run, of, image=image, defaults=RULES.defaults, variables=variables, attempts_before=attempts_before)


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


@pytest.mark.parametrize("project", [{"uri": "https://git.example.org/wine"}, AUTH], ids=["open", "with credentials"])
def test_a_pod_passes_pod_security_restricted(project):
    assert violations(pod_of(project=project)) == []


def test_the_rules_find_what_a_user_makes_unsafe():
    unsafe = pod_of(
        backend={"securityContext": {"runAsUser": 0}, "volumes": [{"name": "host", "hostPath": {"path": "/"}}]}
    )
    assert violations(unsafe) == ["volume host: hostPath", "prepare: runAsUser", "main: runAsUser"]


def test_a_pod_gets_no_way_into_the_cluster():
    pod = pod_of(backend={"serviceAccountName": "trainer"})
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)


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


@pytest.mark.parametrize(("project", "name"), [({"uri": "https://h/p"}, "prepare"), (AUTH, "fetch")])
def test_the_failure_policy_names_a_container_that_is_there(project, name):
    spec = made(project=project)["spec"]
    fail, ignore = spec["podFailurePolicy"]["rules"]
    assert fail["onExitCodes"]["containerName"] == name
    assert [each["name"] for each in spec["template"]["spec"]["initContainers"]] == [name]
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
    job = made(backend=CURATED, project=AUTH)
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


def test_credentials_are_mounted_where_no_code_of_the_project_runs():
    pod = pod_of(project=AUTH)
    (volume,) = [each for each in pod["volumes"] if "secret" in each]
    assert volume["secret"] == {"secretName": "git-creds", "defaultMode": 0o400}
    seen = {name: mounts(container).get(volume["name"]) for name, container in containers_of(pod).items()}
    assert seen == {"fetch": names.GIT_CREDENTIALS_DIRECTORY, "main": None}
    assert all(
        each["readOnly"] for each in containers_of(pod)["fetch"]["volumeMounts"] if each["name"] == volume["name"]
    )


def test_a_run_without_credentials_mounts_no_secret():
    assert "secret" not in json.dumps(pod_of())


def test_every_mount_has_its_volume_and_every_volume_a_name_of_its_own():
    pod = pod_of(project=AUTH, backend=CURATED)
    volumes = [each["name"] for each in pod["volumes"]]
    assert len(volumes) == len(set(volumes))
    assert {name for container in containers_of(pod).values() for name in mounts(container)} <= set(volumes)


# --- fields of the core API -----------------------------------------------------------------------------------------

CURATED = {
    "serviceAccountName": "trainer",
    "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": 1}},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 0}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
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


def test_init_asks_for_something_in_namespaces_with_a_quota():
    assert containers_of(pod_of())["prepare"]["resources"]["requests"]


@pytest.mark.parametrize("seconds", [None, 0, 60])
def test_the_active_deadline_is_the_jobs(seconds):
    assert made(activeDeadlineSeconds=seconds)["spec"]["activeDeadlineSeconds"] == seconds
