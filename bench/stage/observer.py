"""When what was there, by one clock: the arrival of watch events in this process.

creationTimestamp has whole seconds, and the clocks of several programs would have to be compared; so one process
watches runs, Jobs and pods and notes its own monotonic time at each event. What it adds to a time is the delivery of
the second event less that of the first, both by the same API server to the same process.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.stage.api import JOBS, PODS, RUNS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from bench.stage.api import Api, Object

__all__ = ["JOB_NAME_LABEL", "Observer", "Timeline"]

JOB_NAME_LABEL: Final = "batch.kubernetes.io/job-name"


@dataclass(slots=True)
class Timeline:
    """Moments of one run, or of one bare Job; 0 until they come.

    Attributes:
        sent: The request that creates it was sent, by ourselves.
        seen: The ProjectRun was there.
        job: Its Job was there.
        finished: Its pod had succeeded: our own patch was answered, or the watch brought it, whichever was first.
        reported: The ProjectRun said Succeeded.
        complete: The Job said Complete.
    """

    sent: float = 0.0
    seen: float = 0.0
    job: float = 0.0
    finished: float = 0.0
    reported: float = 0.0
    complete: float = 0.0

    def note(self, moment: str, now: float) -> None:
        """Remember a moment, the first time."""
        if not getattr(self, moment):
            setattr(self, moment, now)


class Observer:
    """Notes what it sees, by the name that run, Job and pod share.

    Attributes:
        timelines: All moments so far.
        on_new_pod: Called with each pod that appears.
    """

    def __init__(self, api: Api) -> None:
        self.timelines: dict[str, Timeline] = {}
        self.on_new_pod: Callable[[Object], None] = lambda _pod: None
        self._api = api
        self._watching: list[asyncio.Task[None]] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def watching(cls, api: Api) -> AsyncIterator[Observer]:
        """An observer that sees everything which happens within the block."""
        observer = cls(api)
        readers = ((RUNS, observer._run), (JOBS, observer._job), (PODS, observer._pod))
        for path, reader in readers:
            version = (await api.get(path))["metadata"]["resourceVersion"]
            observer._watching.append(asyncio.create_task(observer._follow(path, version, reader)))
        try:
            yield observer
        finally:
            for task in observer._watching:
                task.cancel()
            await asyncio.gather(*observer._watching, return_exceptions=True)

    def of(self, name: str) -> Timeline:
        """The moments of that name."""
        return self.timelines.setdefault(name, Timeline())

    async def until(self, moment: str, names: Iterable[str], *, patience: float) -> None:
        """Wait until all of these have come to a moment.

        Raises:
            TimeoutError: They have not.
        """
        missing = set(names)
        end = time.monotonic() + patience
        while missing := {name for name in missing if not getattr(self.of(name), moment)}:
            for task in self._watching:
                if task.done():
                    task.result()
            if time.monotonic() > end:
                raise TimeoutError(f"after {patience:.0f} s {len(missing)} are not {moment}: {sorted(missing)[:3]} …")
            await asyncio.sleep(0.05)

    async def _follow(self, path: str, version: str, reader: Callable[[str, Object, float], None]) -> None:
        async for kind, obj in self._api.watch(path, version):
            reader(kind, obj, time.monotonic())

    def _run(self, kind: str, run: Object, now: float) -> None:
        timeline = self.of(run["metadata"]["name"])
        if kind == "ADDED":
            timeline.note("seen", now)
        match (run.get("status") or {}).get("phase"):
            case "Succeeded":
                timeline.note("reported", now)
            case "Failed":
                raise RuntimeError(f"the run {run['metadata']['name']} failed: {run['status'].get('conditions')}")

    def _job(self, kind: str, job: Object, now: float) -> None:
        timeline = self.of(job["metadata"]["name"])
        if kind == "ADDED":
            timeline.note("job", now)
        conditions = (job.get("status") or {}).get("conditions") or ()
        if any(each["type"] == "Complete" and each["status"] == "True" for each in conditions):
            timeline.note("complete", now)

    def _pod(self, kind: str, pod: Object, now: float) -> None:
        if kind == "ADDED":
            self.on_new_pod(pod)
        elif pod["status"].get("phase") == "Succeeded":
            self.of(pod["metadata"]["labels"][JOB_NAME_LABEL]).note("finished", now)
