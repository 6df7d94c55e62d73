"""What our own containers say at their ends, and the steps that follow from it. Pure.

They write one JSON object into their termination message. Kubelet puts the end of the log there when they wrote
nothing, so it may be anybody's text: only what has the form that we gave it counts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.resources import names
from mlp_operator.runs.pods import container_of, moment_of, terminated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = ["Step", "report_of", "steps_in", "steps_of"]

Object = dict[str, Any]

_STEPS: Final = ("clone", "data", "environment")
_REASON: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,127}")
_YEARS: Final = range(1970, 9999)
"""In which a moment is one in every zone, and has four digits."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pod, as far as it is known."""

    name: str
    state: str
    reason: str | None = None
    started: datetime | None = None
    finished: datetime | None = None


def steps_of(pod: Object, planned: Sequence[str]) -> tuple[Step, ...]:
    """The steps of the init containers, as these report them at their ends, and main.

    Args:
        pod: The pod.
        planned: The steps that it goes through before main.
    """
    steps: list[Step] = []
    for name in names.INIT_CONTAINERS:
        container = container_of(pod, name)
        if container is None:
            continue
        ended = terminated(container)
        reported = {each["name"]: each for each in report_of(ended).get("steps") or ()} if ended else {}
        for step in steps_in(name, planned):
            whole = _step(step, container)
            if ended and step in reported:
                steps.append(_reported(reported[step], ended, whole, last=step == [*reported][-1]))
            elif ended and reported:
                steps.append(Step(step, "Skipped"))
            else:
                steps.append(whole)
    main = container_of(pod, names.MAIN_CONTAINER)
    if main is not None:
        steps.append(_step(names.MAIN_CONTAINER, main))
    return tuple(steps)


def steps_in(container: str, planned: Sequence[str]) -> tuple[str, ...]:
    """The steps that a container of ours goes through."""
    match container:
        case names.FETCH_CONTAINER:
            return tuple(step for step in planned if step != "environment")
        case names.ENVIRONMENT_CONTAINER:
            return ("environment",)
    return tuple(planned)


def _reported(said: Mapping[str, Any], ended: Mapping[str, Any], whole: Step, *, last: bool) -> Step:
    """A step as its container reports it. Of several, those failed that say so; else the last one."""
    failed = ended["exitCode"] != 0 and (said["state"] == "Failed" if "state" in said else last)
    times = moment_of(said.get("startTime")), moment_of(said.get("completionTime"))
    return Step(said["name"], "Failed" if failed else "Succeeded", whole.reason if failed else None, *times)


def _step(name: str, container: Object) -> Step:
    state = container.get("state") or {}
    if running := state.get("running"):
        return Step(name, "Running", None, moment_of(running.get("startedAt")))
    if ended := state.get("terminated"):
        times = moment_of(ended.get("startedAt")), moment_of(ended.get("finishedAt"))
        if ended["exitCode"] == 0:
            return Step(name, "Succeeded", None, *times)
        # What main wrote is the project's, not ours, even where it looks the same.
        said = None if name == names.MAIN_CONTAINER else report_of(ended).get("reason")
        return Step(name, "Failed", said or ended.get("reason"), *times)
    return Step(name, "Pending")


def report_of(ended: Mapping[str, Any]) -> dict[str, Any]:
    """What a container of ours says at its end; only what has the form that we gave it.

    Kubelet puts the end of the log there when a container wrote nothing, so it may be anybody's text.
    """
    try:
        said = json.loads(ended.get("message") or "")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    reason, message, steps = said.get("reason"), said.get("message"), said.get("steps")
    return {
        "reason": reason if isinstance(reason, str) and _REASON.fullmatch(reason) else None,
        "message": message if isinstance(message, str) else None,
        "steps": [each for each in steps if _is_step(each)] if isinstance(steps, list) else [],
    }


def _is_step(said: object) -> bool:
    if not isinstance(said, dict):
        return False
    try:
        times = [moment_of(said.get("startTime")), moment_of(said.get("completionTime"))]
    except (TypeError, ValueError):
        return False
    if said.get("state") not in (None, "Succeeded", "Failed"):
        return False
    return said.get("name") in _STEPS and all(
        time is None or (time.tzinfo is not None and time.year in _YEARS) for time in times
    )
