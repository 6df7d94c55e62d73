"""Loads: which objects are created, how many, how fast, and when a load is over."""

from __future__ import annotations

import asyncio
import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.stage.api import JOBS, RUNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.stage.api import Api, Object
    from bench.stage.observer import Observer, Timeline
    from bench.stage.repository import Repository

__all__ = ["Load", "bare_job", "play", "project_run"]

AT_ONCE: Final = 32
"""Requests in flight while a burst is created."""
PATIENCE: Final = 120.0


@dataclass(frozen=True, slots=True)
class Load:
    """Some objects to be created.

    Attributes:
        name: Also the beginning of every object's name.
        count: How many.
        rate: How many a second, evenly; None creates them as fast as the API server takes them.
        at_once: Requests in flight where there is no rate.
    """

    name: str
    count: int
    rate: float | None = None
    at_once: int = AT_ONCE

    @property
    def names(self) -> list[str]:
        """The objects' names."""
        return [f"{self.name}-{number:05d}" for number in range(self.count)]


def project_run(name: str, repository: Repository, version: str) -> Object:
    """A small ProjectRun, as a person writes it."""
    return {
        "apiVersion": "mlp.dev/v1alpha1",
        "kind": "ProjectRun",
        "metadata": {"name": name},
        "spec": {
            "project": {"uri": repository.uri, "version": version},
            "parameters": [{"name": "alpha", "value": "0.1"}],
        },
    }


def bare_job(name: str, like: Object) -> Object:
    """The same Job as one that the operator has made, belonging to nobody."""
    spec = copy.deepcopy(like["spec"])
    del spec["selector"]
    labels = spec["template"]["metadata"]["labels"]
    for label in [label for label in labels if "controller-uid" in label or "job-name" in label]:
        del labels[label]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


async def play(load: Load, body: Callable[[str], Object], *, api: Api, observer: Observer) -> list[Timeline]:
    """Create all objects of a load and wait until every Job is complete and every run has said so.

    Returns:
        The moments of each, in the order of creation.
    """
    runs = body("-")["kind"] == "ProjectRun"
    path = RUNS if runs else JOBS
    free = asyncio.Semaphore(load.at_once if load.rate is None else load.count)
    start = time.monotonic()

    async def create(number: int, name: str) -> None:
        if load.rate is not None:
            await asyncio.sleep(start + number / load.rate - time.monotonic())
        async with free:
            observer.of(name).note("sent", time.monotonic())
            await api.create(path, body(name))

    async with asyncio.TaskGroup() as tasks:
        for number, name in enumerate(load.names):
            tasks.create_task(create(number, name))
    if runs:
        await observer.until("reported", load.names, patience=PATIENCE)
    await observer.until("complete", load.names, patience=PATIENCE)
    return [observer.of(name) for name in load.names]
