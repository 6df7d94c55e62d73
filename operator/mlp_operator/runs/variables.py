"""The environment variables of a run's containers. Pure.

Main's are the project's and the user's, who has the last word. Our own containers have none of theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlp.resources import names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlp.resources import ProjectRun
    from mlp_operator.runs.planning import Resolved
    from mlp_operator.runs.recording import TrackedRun, TrackingServer

__all__ = ["literal", "of_main", "of_step", "tracking_credentials"]

_Variable = dict[str, Any]


def of_step(settings: Iterable[tuple[str, str]], *, builds: bool) -> list[_Variable]:
    """The variables of one of our own containers.

    Args:
        settings: What the operator's settings say of all of them.
        builds: Whether environments are built in it.
    """
    env = _plain(settings)
    env.append({"name": "HOME", "value": names.HOME_DIRECTORY})
    env += [
        {"name": f"MLP_POD_{what.upper()}", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.{what}"}}}
        for what in ("uid", "name", "namespace")
    ]
    if builds:
        env.append({"name": "MLP_ENV_ROOT", "value": names.ENVIRONMENTS_DIRECTORY})
    return _unique(env)


def of_main(
    run: ProjectRun,
    resolved: Resolved,
    tracking: TrackingServer | None,
    tracked: TrackedRun | None,
    *,
    given: list[_Variable],
) -> list[_Variable]:
    """The variables of main.

    Args:
        run: The resource.
        resolved: What docker_env and parameters from Secrets ask for.
        tracking: The tracking server.
        tracked: The run in MLflow, if it is there already.
        given: What the user sets.
    """
    secret = [
        {
            "name": each.variable,
            "valueFrom": {"secretKeyRef": {"name": each.secret, "key": each.key, "optional": False}},
        }
        for each in resolved.secret_variables
    ]
    return _unique(
        [*_own(run), *_plain(resolved.variables), *_tracking(run, tracking, tracked), *secret, *given],
    )


def tracking_credentials(run: ProjectRun, tracking: TrackingServer | None) -> list[dict[str, Any]]:
    """The tracking server's Secret as an entry of envFrom, if there is one."""
    if tracking is None or tracking.secret is None:
        return []
    # One that the run names has to be there; not every namespace needs to have the operator's default.
    named = run.spec.tracking is not None and run.spec.tracking.secret_ref is not None
    return [{"secretRef": {"name": tracking.secret, "optional": not named}}]


def literal(text: str) -> str:
    """The text so that kubelet passes it on unchanged: it would expand ``$(NAME)`` and fold ``$$`` in a command."""
    return text.replace("$", "$$")


def _own(run: ProjectRun) -> list[_Variable]:
    own = {
        "HOME": names.HOME_DIRECTORY,
        # Without it Python keeps its output until the buffer is full, and a killed process takes it along.
        "PYTHONUNBUFFERED": "1",
        names.RUN_VARIABLE: run.metadata.name,
        names.NAMESPACE_VARIABLE: run.metadata.namespace,
    }
    return _plain(own.items())


def _tracking(run: ProjectRun, tracking: TrackingServer | None, tracked: TrackedRun | None) -> list[_Variable]:
    known: dict[str, str] = {}
    if tracking is not None:
        known["MLFLOW_TRACKING_URI"] = tracking.uri
    if tracked is not None:
        known |= {"MLFLOW_RUN_ID": tracked.run_id, "MLFLOW_EXPERIMENT_ID": tracked.experiment_id}
    elif tracking is not None and run.spec.experiment is not None and run.spec.experiment.name is not None:
        # The server could not be reached: the project's own code may have more luck.
        known["MLFLOW_EXPERIMENT_NAME"] = run.spec.experiment.name
    return _plain(known.items())


def _plain(variables: Iterable[tuple[str, str]]) -> list[_Variable]:
    return [{"name": name, "value": literal(value)} for name, value in variables]


def _unique(variables: list[_Variable]) -> list[_Variable]:
    """Of several with one name, the last: in main the user's, in our own containers ours."""
    return list({each["name"]: each for each in variables}.values())
