"""What keeps a pod from beginning, told from messages as kubelet and the scheduler write them."""

from __future__ import annotations

import pytest

from mlp.resources import Phase
from mlp.resources.plan import (
    Plan,
    PlannedBundle,
    PlannedDownload,
    PlannedEnvironment,
    PlannedProject,
    PlannedSource,
)
from mlp_operator.runs import volumes
from mlp_operator.runs.hindrances import explain
from mlp_operator.runs.recording import TrackingServer
from tests.operator.build import COMMIT, pod, project_run, running, stamp, waiting

BOUND = {"PodScheduled": "True"}


def event(reason, message, *, at=0.0, version=1):
    """A warning about the pod, last seen that many seconds after the tests begin."""
    return {
        "metadata": {"name": f"wine-1.{version}", "resourceVersion": str(version)},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "lastTimestamp": stamp(at),
    }


def told(*events, **parts):
    """What is said of a pod that is bound to a node and waits."""
    parts.setdefault("conditions", BOUND)
    return explain(pod(**parts), events)


# --- volumes --------------------------------------------------------------------------------------------------------

VOLUMES = {
    "Git's Secret": (
        'MountVolume.SetUp failed for volume "mlp-git" : secret "creds" not found',
        "VolumeMountFailed",
        ["no Secret creds for spec.project.authSecretRef", "Create it", "goes on by itself"],
    ),
    "the bundle": (
        'MountVolume.SetUp failed for volume "mlp-bundle" : configmap "wine-project" not found',
        "VolumeMountFailed",
        ["no ConfigMap wine-project for spec.project.bundle.configMapName"],
    ),
    "the data's Secret": (
        'MountVolume.SetUp failed for volume "mlp-data" : secret "s3" not found',
        "VolumeMountFailed",
        ["no Secret s3 for spec.data.secretRef"],
    ),
    "a projected volume": (
        'MountVolume.SetUp failed for volume "both" : [secret "a" not found, configmap "b" not found]',
        "VolumeMountFailed",
        ["no Secret a for spec.backend.kubernetes.volumes"],
    ),
    "a key of a Secret": (
        'MountVolume.SetUp failed for volume "mine" : references non-existent secret key: token',
        "VolumeMountFailed",
        ["The Secret of spec.backend.kubernetes.volumes has no key token"],
    ),
    "a key of a ConfigMap": (
        'MountVolume.SetUp failed for volume "mine" : configmap references non-existent config key: a.yaml',
        "VolumeMountFailed",
        ["The ConfigMap of spec.backend.kubernetes.volumes has no key a.yaml"],
    ),
    "a Secret that the node has not got": (
        'MountVolume.SetUp failed for volume "mlp-git" : object "team-a"/"creds" not registered',
        "VolumeMountFailed",
        ["The node has not got creds for spec.project.authSecretRef yet"],
    ),
    "a server that does not answer": (
        (
            'MountVolume.SetUp failed for volume "nfs" : mount failed: exit status 32\nMounting command: mount\n'
            "Mounting arguments: -t nfs 10.0.0.7:/export /var/lib/kubelet/pods/5088f644/volumes/kubernetes.io~nfs/nfs\n"
            "Output: mount.nfs: Connection timed out"
        ),
        "VolumeMountFailed",
        ["or spec.backend.kubernetes.volumes asks for", "mount.nfs: Connection timed out"],
    ),
    "a volume that somebody has made by hand": (
        'MountVolume.SetUp failed for volume "envs-of-team-a" : hostPath type check failed: /envs is not a directory',
        "VolumeMountFailed",
        ["spec.environment.cache.volumeClaimName or spec.backend.kubernetes.volumes", "/envs is not a directory"],
    ),
    "a provisioned volume": (
        'MountVolume.MountDevice failed for volume "pvc-71b9" : rpc error: code = Internal desc = mount failed',
        "VolumeMountFailed",
        ["spec.environment.cache.volumeClaimName or spec.backend.kubernetes.volumes", "code = Internal"],
    ),
    "a claim that is gone": (
        (
            "Unable to attach or mount volumes: unmounted volumes=[mlp-envs], unattached volumes=[], failed to process "
            "volumes=[mlp-envs]: error processing PVC team-a/envs: failed to fetch PVC from API server: "
            'persistentvolumeclaims "envs" not found'
        ),
        "VolumePending",
        ["Create the PersistentVolumeClaim envs", "spec.environment.cache.volumeClaimName"],
    ),
    "a claim without a volume": (
        (
            "Unable to attach or mount volumes: unmounted volumes=[mlp-envs], unattached volumes=[], failed to process "
            "volumes=[mlp-envs]: error processing PVC team-a/envs: PVC is not bound"
        ),
        "VolumePending",
        ["PersistentVolumeClaim envs of spec.environment.cache.volumeClaimName cannot be used: PVC is not bound."],
    ),
    "a volume that only says that it took too long": (
        (
            "Unable to attach or mount volumes: unmounted volumes=[mlp-envs], unattached volumes=[], failed to process "
            "volumes=[]: context deadline exceeded"
        ),
        "VolumeMountFailed",
        ["cannot mount what spec.environment.cache.volumeClaimName asks for"],
    ),
}


@pytest.mark.parametrize(("message", "reason", "parts"), VOLUMES.values(), ids=VOLUMES)
def test_a_volume_that_is_not_mounted_is_told_with_its_field_and_the_way_out(message, reason, parts):
    found = told(event("FailedMount", message))
    assert found is not None
    assert (found.phase, found.reason, found.minor) == (Phase.PREPARING, reason, False)
    assert [part for part in parts if part not in found.message] == []
    assert "\n" not in found.message


SHA256 = "0" * 64
PROJECTS = {
    "a repository": (
        {"uri": "https://git.example.org/wine", "authSecretRef": {"name": "creds"}},
        PlannedSource(uri="https://git.example.org/wine", commit=COMMIT, credentials=True),
    ),
    "a bundle": (
        {"bundle": {"configMapName": "wine-project", "sha256": SHA256}},
        PlannedSource(bundle=PlannedBundle(sha256=SHA256)),
    ),
}


@pytest.mark.parametrize(("project", "source"), PROJECTS.values(), ids=PROJECTS)
def test_every_volume_that_a_field_asks_for_is_told_by_that_field(project, source):
    run = project_run(
        project=project,
        data={"secretRef": {"name": "s3"}},
        environment={"secretRef": {"name": "index"}, "cache": {"volumeClaimName": "envs"}},
        backend={"kubernetes": {"serviceAccountName": "driver"}},
    )
    plan = Plan(
        source=source,
        project=PlannedProject(name="wine", entry_point="main", command="train"),
        downloads=tuple(
            PlannedDownload(parameter="data", uri=uri, path="/mlp/run/data/x") for uri in ("s3://b/k", "runs:/1/model")
        ),
        environment=PlannedEnvironment(kind="conda", file="conda.yaml"),
    )
    open_places, credentials = volumes.bringing(run, plan, TrackingServer("https://mlflow.example.org", "mlflow"))
    cache, keys = volumes.building(run, plan, None)
    account = volumes.service_account(run)
    assert account is not None
    places = [*open_places, *credentials, *cache, *keys, account]
    assert len(places) >= 6
    for place in places:
        found = told(event("FailedMount", f'MountVolume.SetUp failed for volume "{place.volume}" : mount failed'))
        assert "spec." in found.message, place.volume
        assert "spec.backend.kubernetes.volumes" not in found.message, place.volume


ATTACHING = {
    "used elsewhere": 'Multi-Attach error for volume "pvc-48530606" Volume is already used by pod(s) wine-2-8v4xv',
    "on another node": 'Multi-Attach error for volume "pvc-dcf3b382" Volume is already exclusively attached to one '
    "node and can't be attached to another",
    "waiting": 'Waiting for detach for volume "pvc-1" Volume is already exclusively attached to one node, waiting on '
    "detach before it can be attached to another node",
}


@pytest.mark.parametrize("message", ATTACHING.values(), ids=ATTACHING)
def test_a_volume_that_another_node_has_is_waited_for(message):
    found = told(event("FailedAttachVolume", message))
    assert found.reason == "VolumePending"
    assert "attached to another node" in found.message
    assert "ReadWriteMany" in found.message


def test_a_volume_that_cannot_be_attached_says_so():
    message = 'AttachVolume.Attach failed for volume "pvc-1" : rpc error: code = NotFound desc = no such disk'
    found = told(event("FailedAttachVolume", message))
    assert found.reason == "VolumeMountFailed"
    assert "no such disk" in found.message


MISSING = event("FailedMount", 'MountVolume.SetUp failed for volume "mlp-git" : secret "creds" not found', at=10)
TOO_LONG = event(
    "FailedMount",
    "Unable to attach or mount volumes: unmounted volumes=[mlp-git], unattached volumes=[]: timed out waiting for the "
    "condition",
    at=50,
)


@pytest.mark.parametrize("events", [(MISSING, TOO_LONG), (TOO_LONG, MISSING)])
def test_a_cause_comes_before_a_later_word_that_it_took_too_long(events):
    assert "no Secret creds" in told(*events).message


def test_of_two_causes_the_newer_counts():
    newer = event("FailedMount", 'MountVolume.SetUp failed for volume "mlp-data" : secret "s3" not found', at=20)
    assert "no Secret s3" in told(MISSING, newer).message
    assert "no Secret s3" in told(newer, MISSING).message


def test_an_event_of_the_newer_kind_is_read_by_its_own_times():
    series = {**MISSING, "lastTimestamp": None, "eventTime": "2026-03-01T11:00:00.000000Z"}
    repeated = {**series, "series": {"count": 3, "lastObservedTime": "2026-03-01T12:01:00.000000Z"}}
    other = event("FailedMount", 'MountVolume.SetUp failed for volume "mlp-data" : secret "s3" not found', at=20)
    assert "no Secret s3" in told(other, series).message
    assert "no Secret creds" in told(other, repeated).message


STARTED = {
    "a sandbox": {"conditions": {**BOUND, "PodReadyToStartContainers": "True"}},
    "a container that runs": {"init": running(2)},
}


@pytest.mark.parametrize("parts", STARTED.values(), ids=STARTED)
def test_what_was_in_the_way_of_a_pod_that_has_begun_is_over(parts):
    assert told(MISSING, **parts) is None


def test_a_pod_of_which_nothing_is_known_is_not_explained():
    assert told() is None
    assert told(event("Unhealthy", "Readiness probe failed")) is None


# --- the sandbox ----------------------------------------------------------------------------------------------------

SANDBOX = {
    "FailedCreatePodSandBox": "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network "
    'for sandbox "4b1c": plugin type="calico" failed (add): error getting ClusterInformation: unauthorized',
    "NetworkNotReady": "network is not ready: container runtime network not ready: NetworkReady=false "
    "reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized",
}


@pytest.mark.parametrize("reason", SANDBOX)
def test_a_pod_without_a_sandbox_is_the_cluster_s_own_trouble(reason):
    found = told(event(reason, SANDBOX[reason]))
    assert found.reason == reason
    assert "the cluster's to repair" in found.message
    assert SANDBOX[reason] in found.message


# --- the scheduler --------------------------------------------------------------------------------------------------

NOT_HELPFUL = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
SCHEDULING = {
    "no claim": (
        f'0/1 nodes are available: persistentvolumeclaim "envs" not found. {NOT_HELPFUL}',
        "VolumePending",
        ["Create the PersistentVolumeClaim envs, or name another in spec.environment.cache.volumeClaimName"],
    ),
    "a claim that goes": (
        f'0/1 nodes are available: persistentvolumeclaim "envs" is being deleted. {NOT_HELPFUL}',
        "VolumePending",
        ["The PersistentVolumeClaim envs is being deleted"],
    ),
    "an unbound claim": (
        f"0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. {NOT_HELPFUL}",
        "VolumePending",
        ["A claim has no volume yet", "kubectl describe pvc"],
    ),
    "no volume to bind": (
        "0/9 nodes are available: 9 node(s) didn't find available persistent volumes to bind.",
        "VolumePending",
        [],
    ),
    "memory and a taint": (
        "0/3 nodes are available: 1 Insufficient memory, 2 node(s) had untolerated taint {im-a-sparklike: true}.",
        "Unschedulable",
        ["Not enough of memory is free", "spec.backend.kubernetes.resources", "spec.backend.kubernetes.tolerations"],
    ),
    "a GPU": (
        (
            "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available: 1 No "
            "preemption victims found for incoming pod."
        ),
        "Unschedulable",
        ["Not enough of nvidia.com/gpu is free"],
    ),
    "a selector": (
        f"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. {NOT_HELPFUL}",
        "Unschedulable",
        ["spec.backend.kubernetes.nodeSelector"],
    ),
    "another zone": (
        "0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.",
        "VolumePending",
        ["can only be used on other nodes"],
    ),
    "a claim for one": (
        (
            "0/1 nodes are available: 1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access "
            "mode already in-use by another pod."
        ),
        "VolumePending",
        ["Another pod uses a claim"],
    ),
    "no nodes": ("no nodes available to schedule pods", "Unschedulable", ["No node takes the pod: no nodes available"]),
}


@pytest.mark.parametrize(("message", "reason", "parts"), SCHEDULING.values(), ids=SCHEDULING)
def test_a_pod_that_no_node_takes_is_told_in_the_scheduler_s_words_with_a_way_out(message, reason, parts):
    found = told(conditions={"PodScheduled": ("False", "Unschedulable", message)})
    assert found.reason == reason
    assert [part for part in (message, *parts) if part not in found.message] == []


def test_a_volume_that_could_not_be_bound_in_time_is_told_too():
    message = 'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
    found = told(conditions={"PodScheduled": ("False", "SchedulerError", message)})
    assert (found.reason, message in found.message) == ("VolumePending", True)


def test_a_pod_behind_a_gate_is_held_by_somebody():
    said = ("False", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")
    assert told(conditions={"PodScheduled": said}).reason == "SchedulingGated"


# --- containers -----------------------------------------------------------------------------------------------------

PULLS = {
    "no right": (
        (
            'failed to pull and unpack image "image": failed to resolve reference "image": pulling from host '
            "registry.example.org failed with status code [manifests 1]: 401 Unauthorized"
        ),
        "spec.backend.kubernetes.imagePullSecrets",
    ),
    "denied": (
        "pull access denied for headscale-api-key, repository does not exist or may require 'docker login': denied",
        "spec.backend.kubernetes.imagePullSecrets",
    ),
    "no such image": (
        (
            'rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/library/none:1": '
            'failed to resolve reference "docker.io/library/none:1": docker.io/library/none:1: not found'
        ),
        "Check the name",
    ),
    "anything else": ("dial tcp 10.0.0.7:443: i/o timeout", "i/o timeout"),
}


@pytest.mark.parametrize(("message", "way"), PULLS.values(), ids=PULLS)
def test_an_image_that_cannot_be_pulled_comes_with_a_way_out(message, way):
    found = told(init=waiting("ImagePullBackOff", message))
    assert found.reason == "ImagePullBackOff"
    assert "The image registry.example.org/mlp-runner:1 cannot be pulled" in found.message
    assert way in found.message


def test_a_pull_secret_that_is_not_there_is_named():
    said = "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed."
    found = told(
        event("FailedToRetrieveImagePullSecret", said),
        init=waiting("ErrImagePull", "401 Unauthorized"),
    )
    assert "no Secret regcred: create what spec.backend.kubernetes.imagePullSecrets names" in found.message


CONTAINERS = {
    "no Secret": ('secret "tracking" not found', "Create the Secret tracking; the run goes on by itself."),
    "no ConfigMap": ('configmap "settings" not found', "Create the ConfigMap settings"),
    "no key": ("couldn't find key token in Secret team-a/tracking", "Add the key token to the Secret tracking"),
    "root": ('container has runAsNonRoot and image will run as root (pod: "wine", container: main)', "runAsUser"),
    "a named user": ("container has runAsNonRoot and image has non-numeric user (nobody)", "runAsUser"),
    "anything else": ("failed to create subPath directory", "failed to create subPath directory"),
}


@pytest.mark.parametrize(("message", "way"), CONTAINERS.values(), ids=CONTAINERS)
def test_a_container_that_cannot_be_created_comes_with_a_way_out(message, way):
    found = told(init={"terminated": {"exitCode": 0}}, main=waiting("CreateContainerConfigError", message))
    assert found.reason == "CreateContainerConfigError"
    assert "The container main cannot be created" in found.message
    assert way in found.message
