"""Many runs on Databricks at once: how often their workspace is asked, how late their ends are known, what that costs.

The workspace is the tests' double on the same cores: nothing here says how fast Databricks is. What the numbers say is
how the operator keeps to the limits of a workspace, and how much of a poll period an end waits to be told.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from bench.results import Result, Table
from bench.spread import Spread
from bench.stage.api import RUNS, Api
from bench.stage.control_plane import ControlPlane
from bench.stage.observer import Observer
from bench.stage.operator import Operator
from bench.stage.workspace import Workspace
from bench.stage.writes import Writes, of_operator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bench.processes import Footprint
    from bench.results import Cell
    from bench.stage.workspace import Asked

__all__ = ["measure"]

COUNT: Final = 500
SHORTEST, LONGEST = 60.0, 120.0
"""Seconds that a run takes; each another time, so that ends are spread."""
PERIOD: Final = 10.0
"""Of the operator's polls: its default."""
SEED: Final = 1
AT_ONCE: Final = 32
"""Requests in flight while the runs are created."""
IDLE: Final = 3.0
PATIENCE: Final = 600.0
QUIET: Final = 2.0
"""Seconds without any write after which everything is written: finalizers and Events come late."""

# What Databricks publishes of a workspace's limits, requests a second ("Resource limits"); nothing of the others.
PUBLISHED: Final = {"submit": 35, "get": 100, "import": 30}
# The targets of docs/performance.md.
TARGET_LAG: Final = 2.0
TARGET_MEMORY: Final = 120


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was seen.

    Attributes:
        lags: From each run's end on Databricks to its status, in seconds.
        together: The most runs that were on Databricks at the same time.
        asked: The requests by call.
        seconds: From the first ProjectRun to the last status.
        idle: The operator before the first run.
        end: The operator afterwards.
        writes: What it wrote.
        doubled: Runs of which there was not exactly one on Databricks.
    """

    lags: Sequence[float]
    together: int
    asked: Mapping[str, Asked]
    seconds: float
    idle: Footprint
    end: Footprint
    writes: Writes
    doubled: Sequence[str]


def measure() -> Result:
    """Measure on a control plane of its own."""
    with ControlPlane.running() as place, Workspace.running(place.directory / "databricks") as workspace:
        measured, grumbles = asyncio.run(_measure(place, workspace))
    return Result(
        title=f"{COUNT} runs on Databricks at once",
        how=(
            f"Kubernetes {place.version.removeprefix('v')} without a kubelet; the operator as its own process, with a "
            f"poll period of {PERIOD:.0f} s; the workspace is the tests' double, on the same cores, whose "
            f"runs take {SHORTEST:.0f} to {LONGEST:.0f} s and do nothing. All ProjectRuns are created at once "
            f"({AT_ONCE} requests in flight), of one commit; {measured.together} were on Databricks at the same time."
        ),
        tables=(_requests(measured), _lags(measured), _process(measured), _writes(measured)),
        complaints=(*_doubts(measured), *_trouble(grumbles)),
    )


async def _measure(place: ControlPlane, workspace: Workspace) -> tuple[_Measured, list[str]]:
    chance = random.Random(SEED)  # noqa: S311 -- nothing secret
    names = [f"remote-{number:05d}" for number in range(COUNT)]
    seconds = {name: chance.uniform(SHORTEST, LONGEST) for name in names}
    settings = {"MLP_DATABRICKS_PLAIN_HTTP": "true", "MLP_DATABRICKS_POLL_PERIOD": str(PERIOD)}
    async with AsyncExitStack() as stack:
        # Before anything watches: starting it holds up this process.
        operator = stack.enter_context(Operator.running(place.kubeconfig, place.directory, **settings))
        api = await stack.enter_async_context(Api.connect(place.kubeconfig))
        await workspace.let_in(api)
        observer = await stack.enter_async_context(Observer.watching(api))
        await asyncio.sleep(IDLE)
        idle = operator.footprint
        free = asyncio.Semaphore(AT_ONCE)
        began = time.monotonic()

        async def create(name: str) -> None:
            async with free:
                await api.create(RUNS, workspace.project_run(name, place.repository, seconds=seconds[name]))

        async with asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(create(name))
        await observer.until("reported", names, patience=PATIENCE)
        took = time.monotonic() - began
        written = of_operator(operator.metrics())
        while (later := await _later(operator)) != written:
            written = later
        end, grumbles = operator.footprint, operator.grumbles()
        # Two clocks of one machine: watch events are noted by the one, ends of runs by the other.
        ahead = time.time() - time.monotonic()
        there, asked = workspace.runs(), workspace.asked()
    doubled = [name for name in names if len(there.get(name, ())) != 1]
    lags = [observer.of(name).reported + ahead - there[name][-1][1] for name in names]
    together = _together([span for spans in there.values() for span in spans])
    return _Measured(lags, together, asked, took, idle, end, written, doubled), grumbles


async def _later(operator: Operator) -> Writes:
    await asyncio.sleep(QUIET)
    return of_operator(operator.metrics())


def _together(spans: Iterable[tuple[float, float]]) -> int:
    """The most of some spans that have a moment in common."""
    changes = sorted((at, by) for span in spans for at, by in zip(span, (1, -1), strict=True))
    return max(accumulate(by for _, by in changes))


def _requests(measured: _Measured) -> Table:
    def rows() -> Iterator[tuple[Cell, ...]]:
        for call, asked in sorted(measured.asked.items(), key=lambda each: -each[1].count):
            yield call, asked.count, asked.count / measured.seconds, asked.most, PUBLISHED.get(call)

    columns = ("call", "n", "mean /s", "most within a second", "published limit /s")
    return Table(f"Requests to the workspace, within {measured.seconds:.0f} s", columns, tuple(rows()))


def _lags(measured: _Measured) -> Table:
    def row(what: str, spread: Spread, target: str | None) -> tuple[Cell, ...]:
        return what, spread.count, spread.p50, spread.p99, spread.largest, target

    columns = ("unit", "n", "p50", "p99", "max", "target p99")
    rows = (
        row("poll periods", Spread.of(measured.lags, scale=1 / PERIOD), f"<= {TARGET_LAG:.0f}"),
        row("seconds", Spread.of(measured.lags), None),
    )
    return Table("Ended on Databricks -> status says so", columns, rows)


def _process(measured: _Measured) -> Table:
    idle, end = measured.idle, measured.end
    rows: tuple[tuple[Cell, ...], ...] = (
        ("memory idle (RSS), MB", idle.resident / 1e6, None),
        ("most memory (VmHWM), MB", end.peak / 1e6, None),
        ("more than idle, MB", (end.peak - idle.resident) / 1e6, f"<= {TARGET_MEMORY}"),
        (f"memory with {COUNT} finished runs (RSS), MB", end.resident / 1e6, None),
        ("processor time a run, git included, ms", (end.processor - idle.processor) / COUNT * 1000, None),
    )
    return Table("The operator's process", ("what", "value", "target"), rows)


def _writes(measured: _Measured) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (f"{verb} {resource}", number / COUNT)
        for (verb, resource), number in sorted(measured.writes.items(), key=lambda item: (item[0][1], item[0][0]))
    ]
    own = sum(number for (_, resource), number in measured.writes.items() if resource != "events")
    rows.append(("all, Events apart", own / COUNT))
    return Table("The operator's writes to the API server, a run", ("write", "n"), tuple(rows))


def _doubts(measured: _Measured) -> Iterator[str]:
    if measured.doubled:
        yield f"{len(measured.doubled)} runs were not submitted exactly once: {', '.join(measured.doubled[:3])} …"
    if min(measured.lags) < 0:
        yield f"a run was told to have ended {-min(measured.lags):.3f} s before it had"


def _trouble(grumbles: Sequence[str]) -> Iterator[str]:
    if grumbles:
        yield f"the operator's log has {len(grumbles)} warnings; the first: {grumbles[0]}"
