"""What a ProjectRun's status tells a program that drives runs: its run in MLflow, and how its command ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.backends.kubernetes.patience import patiently
from mlp.errors import RunFailed, RunNotFound, WaitTimedOut
from mlp.resources import ConditionType, Reason

if TYPE_CHECKING:
    from mlp.backends.kubernetes.submitted import KubernetesRun
    from mlp.resources import ProjectRun

__all__ = ["raise_for_command", "recorded_as"]


def recorded_as(run: KubernetesRun, *, within: float) -> str | None:
    """The id of the run in MLflow; None where there is none, or not in time.

    Args:
        run: The run in the cluster.
        within: Seconds to wait for it; 0 for what is known now.
    """
    if not within:
        return _id(patiently(run.get))
    try:
        for state in run.states(timeout=within):
            if (found := _id(state)) or _settled(state):
                return found
    except (WaitTimedOut, RunNotFound):
        pass
    return None


def raise_for_command(run: ProjectRun) -> None:
    """Do nothing, unless the run's command has failed.

    Raises:
        RunFailed: It has, with its exit status.
    """
    succeeded = run.status.condition(ConditionType.SUCCEEDED)
    status = run.status.kubernetes.exit_code if run.status.kubernetes else None
    if succeeded is not None and succeeded.reason == Reason.ENTRY_POINT_FAILED and status:
        raise RunFailed(f"Run '{run.name}' failed. {succeeded.reason}: {succeeded.message}", status=status)


def _id(run: ProjectRun) -> str | None:
    return run.status.mlflow.run_id if run.status.mlflow else None


def _settled(run: ProjectRun) -> bool:
    """Whether no run in MLflow will come any more, as far as anybody can tell: it comes before the Job."""
    submitted, tracked = (run.status.condition(kind) for kind in (ConditionType.SUBMITTED, ConditionType.TRACKED))
    return run.finished or any(
        (submitted is not None and submitted.status == "True", tracked is not None and tracked.status == "False")
    )
