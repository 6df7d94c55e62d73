"""Starts of pods: a run's, its Job's without the operator, and a pod of that shape which does nothing of ours.

The moments inside a pod are told by the programs in it, by the machine's clock, which is that of the measuring too:
what the API says of containers has whole seconds.
"""

from __future__ import annotations

import copy
import json
import re
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, get_args

from bench.stage.api import JOBS, NAMESPACE, PODS, RUNS
from bench.stage.loads import bare_job
from mlp.resources import names

if TYPE_CHECKING:
    from bench.stage.api import Api, Object
    from bench.stage.observer import Observer

__all__ = ["KINDS", "Kind", "Process", "Start", "job", "start"]

Kind = Literal["run", "steps", "bare"]
"""A ProjectRun; its Job, created by ourselves, with our steps in it; that Job with `true` in place of the steps."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

PATIENCE: Final = 180.0

_INIT_PROGRAM: Final = "/usr/bin/catatonit"
_TELL: Final = 'echo "began $EPOCHREALTIME"'
_TIMED: Final = f"""\
{_TELL}
TIMEFORMAT="took %3R %3U %3S"
time "$@"
code=$?
echo "ended $EPOCHREALTIME"
exit $code
"""


@dataclass(frozen=True, slots=True)
class Process:
    """What the program of an init container took, in seconds."""

    wall: float
    processor: float


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds after the request that creates it was sent.

    Attributes:
        job: Its Job was seen.
        first: The first init container's program began; None for runs, whose programs do not tell.
        prepared: The last init container's program had ended; likewise.
        command: The command began.
        steps: Seconds of each step, as the steps have reported them.
        processes: Our programs by their containers, where they were timed.
        said: What the init containers have said, by container.
    """

    job: float
    first: float | None
    prepared: float | None
    command: float
    steps: dict[str, float]
    processes: dict[str, Process]
    said: dict[str, str]


def job(kind: Kind, name: str, like: Object) -> Object:
    """A Job like one that the operator has made, which the operator leaves alone.

    Args:
        kind: What its containers do: what they did there, or nothing.
        name: Its name.
        like: The operator's.
    """
    made = bare_job(name, like)
    template = made["spec"]["template"]
    template["metadata"]["labels"].pop(names.RUN_LABEL)
    pod = template["spec"]
    for container in pod["initContainers"]:
        program = [*container.pop("command"), *container.pop("args")]
        timed = program if kind == "steps" else ["true"]
        container["command"] = ["bash", "-c", _TIMED, "bash", *timed]
    if kind == "bare":
        [main] = pod["containers"]
        # Nobody has brought the init program, nor the project.
        main["command"] = [_INIT_PROGRAM, "--", "bash", "-c", _TELL]
        main["workingDir"] = "/"
    return copy.deepcopy(made)


async def start(body: Object, *, api: Api, observer: Observer) -> Start:
    """Create a run or a Job, wait until all of it has ended, and tell how it started.

    Raises:
        RuntimeError: It failed.
        TimeoutError: It has not ended.
    """
    name, is_run = body["metadata"]["name"], body["kind"] == names.KIND
    sent, clock = time.monotonic(), time.time()
    await api.create(RUNS if is_run else JOBS, body)
    if is_run:
        await observer.until("reported", [name], patience=PATIENCE)
    await observer.until("complete", [name], patience=PATIENCE)
    listed = await api.get(f"{PODS}?labelSelector=batch.kubernetes.io/job-name%3D{name}")
    [pod] = listed["items"]
    path = f"{PODS}/{pod['metadata']['name']}/log?container="
    said = {each["name"]: await api.text(path + each["name"]) for each in pod["spec"]["initContainers"]}
    began = [_told("began", text) for text in said.values()]
    ended = [_told("ended", text) for text in said.values()]
    command = _told("began", await api.text(f"{path}{names.MAIN_CONTAINER}"))
    if command is None:
        raise RuntimeError(f"the command of {name} in {NAMESPACE} has not told when it began")
    return Start(
        job=observer.of(name).job - sent,
        first=None if began[0] is None else began[0] - clock,
        prepared=None if ended[-1] is None else ended[-1] - clock,
        command=command - clock,
        steps=_steps(pod),
        processes={container: took for container, text in said.items() if (took := _took(text))},
        said=said,
    )


def _told(word: str, text: str) -> float | None:
    found = re.search(rf"^{word} ([0-9.]+)$", text, re.MULTILINE)
    return None if found is None else float(found[1])


def _took(text: str) -> Process | None:
    found = re.search(r"^took ([0-9.]+) ([0-9.]+) ([0-9.]+)$", text, re.MULTILINE)
    return None if found is None else Process(float(found[1]), float(found[2]) + float(found[3]))


def _steps(pod: Object) -> dict[str, float]:
    """From the termination messages, which are what status.steps is made from."""
    found = {}
    for status in pod["status"]["initContainerStatuses"]:
        message = status["state"]["terminated"].get("message", "")
        for step in json.loads(message)["steps"] if message.startswith("{") else ():
            times = (datetime.fromisoformat(step[key]) for key in ("startTime", "completionTime"))
            began, completed = times
            found[step["name"]] = (completed - began).total_seconds()
    return found
