"""The operator's part of a run's time, its writes, its memory, beside the same Jobs created directly.

Loads of ProjectRuns first, with the operator as its own process; then the operator ends and Jobs equal to its own are
created by a bare script. Both are seen by the same observer and played by the same player.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.results import Cell, Result, Table
from bench.spread import Spread
from bench.stage.api import JOBS, Api
from bench.stage.control_plane import CONTROLLER_RATE, ControlPlane
from bench.stage.loads import AT_ONCE, Load, bare_job, play, project_run
from bench.stage.observer import Observer, Timeline
from bench.stage.operator import Operator
from bench.stage.player import PLAYED, Player
from bench.stage.writes import Writes, of_api_server, of_operator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.processes import Footprint
    from bench.stage.api import Object

__all__ = ["measure"]

RATE: Final = 10.0
STEADY: Final = Load("steady", 100, RATE)
PINNED: Final = Load("pinned", 100, RATE)
BURST: Final = Load("burst", 100)
BARE_STEADY: Final = Load("bare-steady", 100, RATE)
BARE_ONE: Final = Load("bare-one", 100, at_once=1)
BARE_BURST: Final = Load("bare-burst", 100)

IDLE: Final = 3.0
"""Seconds without any run before the idle memory is read."""

QUIET: Final = 1.0
"""Seconds without any write after which a load is over: Events are posted late."""

_RESOURCES: Final = {"projectruns", "jobs", "pods", "events"}

# The targets of docs/performance.md.
CREATED: Final = "30 / 150"
REPORTED: Final = "20 / 150"
TARGET_WRITES: Final = 4
TARGET_IDLE: Final = 100
TARGET_RATIO: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Measured:
    """One load of runs: what was seen, and what it cost."""

    load: Load
    timelines: list[Timeline]
    server: Writes
    operator: Writes
    processor: float


def measure() -> Result:
    """Measure everything on a control plane of its own."""
    with ControlPlane.running() as place:
        return asyncio.run(_measure(place))


async def _measure(place: ControlPlane) -> Result:
    async with AsyncExitStack() as stack:
        # Before anything watches: starting it holds up this process.
        operator = stack.enter_context(Operator.running(place.kubeconfig, place.directory))
        api = await stack.enter_async_context(Api.connect(place.kubeconfig))
        observer = await stack.enter_async_context(Observer.watching(api))
        await stack.enter_async_context(Player.playing(api, observer))
        await asyncio.sleep(IDLE)
        idle = operator.footprint
        # The project becomes known, and connections are open.
        await play(Load("known", 1), _body(place, place.repository.branch), api=api, observer=observer)
        await play(Load("known-pinned", 1), _body(place, place.repository.commit), api=api, observer=observer)
        measured = [
            await _runs(load, _body(place, version), api=api, observer=observer, operator=operator)
            for load, version in (
                (STEADY, place.repository.branch),
                (PINNED, place.repository.commit),
                (BURST, place.repository.branch),
            )
        ]
        end, grumbles = operator.footprint, operator.grumbles()
        operator.stop()
        like = await api.get(f"{JOBS}/{STEADY.names[0]}")
        bare = {
            load.name: await play(load, lambda name: bare_job(name, like), api=api, observer=observer)
            for load in (BARE_STEADY, BARE_ONE, BARE_BURST)
        }
    return Result(
        title="Runs on Kubernetes: the operator's part",
        how=(
            f"Kubernetes {place.version.removeprefix('v')} without a kubelet (a player ends each pod after {PLAYED} s; "
            f"kube-controller-manager may make {CONTROLLER_RATE} requests a second); the operator as its own process; "
            "times are between the arrivals of watch events in one observing process. steady: runs of a branch, looked "
            f"up in Git each time, {RATE:.0f} a second; pinned: the same by commit; burst: all at once ({AT_ONCE} "
            "requests in flight). bare: the same Jobs, created without an operator."
        ),
        tables=(
            _latencies(measured, bare),
            _throughput(measured, bare),
            _writes(measured[0]),
            _process(measured, idle, end),
        ),
        complaints=(*_disagreements(measured), *_trouble(grumbles)),
    )


def _body(place: ControlPlane, version: str) -> Callable[[str], Object]:
    return lambda name: project_run(name, place.repository, version)


async def _runs(
    load: Load, body: Callable[[str], Object], *, api: Api, observer: Observer, operator: Operator
) -> _Measured:
    """Play a load of runs, and count what it costs until all is quiet again."""
    before = await _counts(api, operator)
    processor = operator.footprint.processor
    timelines = await play(load, body, api=api, observer=observer)
    after = await _counts(api, operator)
    while (later := await _counts(api, operator, pause=QUIET)) != after:
        after = later
    spent = operator.footprint.processor - processor
    return _Measured(load, timelines, after[0] - before[0], after[1] - before[1], spent)


async def _counts(api: Api, operator: Operator, *, pause: float = 0.0) -> tuple[Writes, Writes]:
    await asyncio.sleep(pause)
    server = of_api_server(await api.text("/metrics"))
    # Leases and the like are renewed for ever, by nobody here.
    ours = Writes({key: count for key, count in server.items() if key[1].partition("/")[0] in _RESOURCES})
    return ours, of_operator(operator.metrics())


def _latencies(measured: Sequence[_Measured], bare: Mapping[str, list[Timeline]]) -> Table:
    alone = {
        STEADY.name: bare[BARE_STEADY.name],
        PINNED.name: bare[BARE_STEADY.name],
        BURST.name: bare[BARE_BURST.name],
    }

    def rows() -> Iterator[tuple[Cell, ...]]:
        for each in measured:
            spread = Spread.of((moments.job - moments.seen for moments in each.timelines), scale=1000)
            yield _row("seen -> Job created", each.load, spread, _created(alone[each.load.name]), CREATED)
        for name in (BARE_STEADY, BARE_BURST):
            yield _row("bare: sent -> Job created", name, _created(bare[name.name]))
        for each in measured:
            spread = Spread.of((moments.reported - moments.finished for moments in each.timelines), scale=1000)
            yield _row("pod finished -> run Succeeded", each.load, spread, _completed(alone[each.load.name]), REPORTED)
        for name in (BARE_STEADY, BARE_BURST):
            yield _row("bare: pod finished -> Job Complete", name, _completed(bare[name.name]))

    columns = ("from -> to", "load", "n", "p50 ms", "p99 ms", "max ms", "target p50 / p99", "p50 / bare p50")
    return Table("Latency", columns, tuple(rows()))


def _row(
    what: str, load: Load, spread: Spread, peer: Spread | None = None, target: str | None = None
) -> tuple[Cell, ...]:
    ratio = None if peer is None else spread.p50 / peer.p50
    aim = target if load.rate is not None else None
    return what, load.name, spread.count, spread.p50, spread.p99, spread.largest, aim, ratio


def _created(timelines: Sequence[Timeline]) -> Spread:
    return Spread.of((moments.job - moments.sent for moments in timelines), scale=1000)


def _completed(timelines: Sequence[Timeline]) -> Spread:
    return Spread.of((moments.complete - moments.finished for moments in timelines), scale=1000)


def _throughput(measured: Sequence[_Measured], bare: Mapping[str, list[Timeline]]) -> Table:
    runs = next(each.timelines for each in measured if each.load is BURST)
    ours = (_rate(runs, "job"), _rate(runs, "reported"))
    jobs = (_rate(bare[BARE_BURST.name], "job"), _rate(bare[BARE_BURST.name], "complete"))
    rows: tuple[tuple[Cell, ...], ...] = (
        ("runs", BURST.count, *ours, None),
        (f"bare Jobs, {AT_ONCE} requests in flight", BARE_BURST.count, *jobs, None),
        ("bare Jobs, one after the other", BARE_ONE.count, _rate(bare[BARE_ONE.name], "job"), None, None),
        ("runs / bare Jobs", None, ours[0] / jobs[0], ours[1] / jobs[1], f">= {TARGET_RATIO}"),
    )
    return Table("Burst, from the first request on", ("what", "n", "Jobs created /s", "ended /s", "target"), rows)


def _rate(timelines: Sequence[Timeline], moment: str) -> float:
    """How many a second, from the first request to the last's moment."""
    begin = min(moments.sent for moments in timelines)
    end: float = max(getattr(moments, moment) for moments in timelines)
    return len(timelines) / (end - begin)


def _writes(measured: _Measured) -> Table:
    count = measured.load.count
    rows: list[tuple[Cell, ...]] = [
        (f"{verb} {resource}", total / count, measured.operator[verb, resource] / count, None)
        for (verb, resource), total in sorted(measured.server.items(), key=lambda item: (item[0][1], item[0][0]))
        if total
    ]
    own = sum(number for (_, resource), number in measured.operator.items() if resource != "events")
    rows.append(("the operator's, Events apart", None, own / count, f"<= {TARGET_WRITES}"))
    title = f"Writes a run (load {measured.load.name}): at the API server by whomever, and the operator's own"
    return Table(title, ("write", "everybody's", "operator's", "target"), tuple(rows))


def _process(measured: Sequence[_Measured], idle: Footprint, end: Footprint) -> Table:
    total = sum(each.load.count for each in measured)
    rows: list[tuple[Cell, ...]] = [
        ("memory idle (RSS), MB", idle.resident / 1e6, f"<= {TARGET_IDLE}"),
        (f"memory with {total} finished runs (RSS), MB", end.resident / 1e6, None),
        ("most memory so far (VmHWM), MB", end.peak / 1e6, None),
    ]
    rows += [
        (f"processor time a run, {each.load.name}, git included, ms", each.processor / each.load.count * 1000, None)
        for each in measured
    ]
    return Table("The operator's process", ("what", "value", "target"), tuple(rows))


def _disagreements(measured: Sequence[_Measured]) -> Iterator[str]:
    """Where only the operator writes, both counts have to be the same; kopf writing on its own would show here."""
    for each in measured:
        server = each.server - Writes({("POST", "projectruns"): each.load.count})
        for verb, resource in sorted(server | each.operator):
            alone = resource.partition("/")[0] == "projectruns" or (verb, resource) == ("POST", "jobs")
            there, ours = server[verb, resource], each.operator[verb, resource]
            if alone and there != ours:
                yield f"{verb} {resource} in {each.load.name}: {there} at the API server, {ours} of the operator"


def _trouble(grumbles: Sequence[str]) -> Iterator[str]:
    if grumbles:
        yield f"the operator's log has {len(grumbles)} warnings; the first: {grumbles[0]}"
