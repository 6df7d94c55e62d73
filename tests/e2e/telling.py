"""What is said of a run, waited for as its users and its tests do: a reason, events, and MLflow's record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.installation import wait_until

if TYPE_CHECKING:
    from mlp.resources import Reason
    from tests.e2e.installation import Workspace
    from tests.e2e.services import Records


def await_reason(space: Workspace, name: str, reason: Reason) -> dict[str, Any]:
    """`kubectl wait` for a reason of the condition Succeeded; the run."""
    return space.await_condition(name, "Succeeded", reason, seconds=150)


def await_event(space: Workspace, name: str, *reasons: str) -> None:
    """Wait until these events of a run are there, in this order, others between them or not."""

    def told() -> bool:
        found = iter(space.events(name))
        return all(reason in found for reason in reasons)

    try:
        wait_until(f"events of {name}: {reasons}", told)
    except AssertionError as error:
        raise AssertionError(f"{error}: {space.events(name)}") from None


def await_record(records: Records, run: dict[str, Any], state: str) -> str:
    """Wait until MLflow has a run once, in this state; the MLflow run's id."""

    def found() -> list[dict[str, Any]]:
        return records.runs(run["metadata"]["uid"])

    def states() -> list[str]:
        return [each["info"]["status"] for each in found()]

    try:
        wait_until(f"MLflow says {state}", lambda: states() == [state], seconds=120)
    except AssertionError as error:
        raise AssertionError(f"{error}: {run['metadata']['name']} {states()}") from None
    run_id: str = found()[0]["info"]["run_id"]
    return run_id
