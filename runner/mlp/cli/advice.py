"""What somebody can do about a run, as it is: a sentence where its reason calls for one, and commands to copy. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlp.resources import ConditionType, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlp.resources import ProjectRun

__all__ = ["advice"]

_WAY_OUT: Final[Mapping[str, str]] = {
    # While the run goes on: it takes notice of what is mended by itself.
    Reason.SOURCE_UNAVAILABLE: "It goes on when the Git server answers, and the Secret that it names is there.",
    Reason.PARAMETER_SOURCE_PENDING: "It goes on when the Secret or ConfigMap is there, with that key.",
    Reason.POD_REFUSED: "Mend the quota or the policy, and it goes on by itself.",
    Reason.JOB_REFUSED: "Mend the quota or the policy, and it goes on by itself; or correct the pod's fields.",
    Reason.JOB_CONFLICT: "Delete the other Job, and it goes on; or submit it under another name.",
    Reason.UNSCHEDULABLE: "It goes on when a node has room. Or submit it with less to ask for.",
    Reason.VOLUME_PENDING: "Create the PersistentVolumeClaim, or see why it is not bound; then it goes on.",
    Reason.VOLUME_MOUNT_FAILED: "Mend the volume, the Secret or the ConfigMap that is named; then it goes on.",
    Reason.IMAGE_PULL_BACK_OFF: "Put the image or its pull secret in place, and it goes on. Else submit it anew.",
    Reason.WAITING_FOR_QUOTA: "It goes on when its queue admits it.",
    Reason.WORKSPACE_UNAVAILABLE: "It goes on when the workspace answers, and the Secret that it names is there.",
    Reason.WAITING_FOR_COMPUTE: "It goes on when Databricks has made its compute ready; its page says more.",
    Reason.ENDING: "It has ended when Databricks says so.",
    # After the end: what is to be changed before it is worth another run.
    Reason.AUTHENTICATION_FAILED: "Correct the Secret with the Git credentials, then run it once more.",
    Reason.SOURCE_NOT_FOUND: "Correct the project's URI, version or directory, and submit it anew.",
    Reason.SOURCE_INVALID: "Correct the project's URI or version, and submit it anew.",
    Reason.PROJECT_INVALID: "Correct the project; 'mlp validate' finds all that is wrong with it.",
    Reason.ENTRY_POINT_NOT_FOUND: "Correct the entry point, and submit it anew.",
    Reason.PARAMETER_MISSING: "Give the missing parameters, and submit it anew.",
    Reason.PARAMETER_INVALID: "Correct the parameters, and submit it anew.",
    Reason.INVALID_SPEC: "Correct the ProjectRun, and submit it anew.",
    Reason.FIELD_NOT_SUPPORTED: "Leave the field out, and submit it anew.",
    Reason.OOM_KILLED: "Submit it anew with more memory (--memory).",
    Reason.EVICTED: "Ask for the memory and the storage that it needs; backoffLimit lets it begin again by itself.",
    Reason.NODE_LOST: "Run it once more; backoffLimit lets it begin again by itself.",
    Reason.DEADLINE_EXCEEDED: "Submit it anew with a longer activeDeadlineSeconds.",
    Reason.WORKSPACE_DENIED: "Correct the Secret or the rights in the workspace, then run it once more.",
    Reason.WORKSPACE_REFUSED: "Correct what is asked of the workspace, and submit it anew.",
    Reason.WORKSPACE_FAILED: "See its page on Databricks, then run it once more; backoffLimit does that by itself.",
    Reason.RUN_SKIPPED: "Run it once more when the workspace has room.",
    Reason.RUN_LOST: "See what it has left behind, and run it once more if need be.",
    Reason.STATUS_CHECK_TIMEOUT: "See its page on Databricks, where it may still be running; deleting it cancels it.",
    Reason.PENDING_DEADLINE_EXCEEDED: "Mend what it waited for, then run it once more.",
}
_NOT_AS_IT_IS: Final = frozenset(
    {
        Reason.SOURCE_NOT_FOUND,
        Reason.SOURCE_INVALID,
        Reason.PROJECT_INVALID,
        Reason.ENTRY_POINT_NOT_FOUND,
        Reason.PARAMETER_MISSING,
        Reason.PARAMETER_INVALID,
        Reason.INVALID_SPEC,
        Reason.FIELD_NOT_SUPPORTED,
        Reason.OOM_KILLED,
        Reason.DEADLINE_EXCEEDED,
        Reason.WORKSPACE_REFUSED,
    }
)
"""Another run of the same would end the same."""


def advice(run: ProjectRun, call: Callable[..., str]) -> Iterator[str]:
    """What to do next, most helpful first.

    Args:
        run: The run.
        call: The command line of a command of mlp, with its arguments.
    """
    succeeded = run.status.condition(ConditionType.SUCCEEDED)
    reason = succeeded.reason if succeeded else ""
    if run.status.observed_generation in {None, -1}:
        yield "If this lasts: is mlp's operator running in this cluster, and does it watch this namespace?"
    if sentence := _WAY_OUT.get(reason):
        yield sentence
    for purpose, command in _commands(run, reason):
        arguments = (f"{run.name}:", ".") if command == "cp" else (run.name,)
        yield f"{purpose + ':':<26}{call(command, *arguments)}"


def _commands(run: ProjectRun, reason: str) -> Iterator[tuple[str, str]]:
    failed = next((step.name for step in run.status.steps or () if step.state == "Failed"), None)
    had_pod = bool(run.status.kubernetes and run.status.kubernetes.pod_name)
    has_log = bool(run.status.databricks and run.status.databricks.log_config_map_name)
    if not run.finished:
        if run.spec.suspend:
            yield "Let it go on", "resume"
        elif not run.spec.shutdown:
            yield "Follow what it writes", "logs -f"
        yield ("End it at once", "cancel --now") if run.spec.shutdown else ("End it", "cancel")
        return
    if had_pod:
        yield "Read what it wrote", f"logs -s {failed}" if failed not in {None, "main"} else "logs"
    elif has_log:
        yield "Read what it wrote", "logs"
    if run.status.mlflow and run.status.mlflow.run_id:
        yield "Copy its artifacts", "cp"
    if reason not in _NOT_AS_IT_IS:
        yield "Run it once more", "retry"
    yield "Delete it", "delete"
