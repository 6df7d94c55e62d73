"""From submitting to the command's first breath, on a real node, beside a pod of the same shape that has nothing to do.

In turns: a ProjectRun; the Job that the operator makes of it, created by ourselves, which leaves the operator out; the
same Job with `true` in place of our steps, which leaves them out too and is what kubelet needs. The project is known,
its environment lies in the cache, there is no data.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.results import Result, Table
from bench.stage.api import JOBS, Api
from bench.stage.node import Node
from bench.stage.observer import Observer
from bench.stage.starts import KINDS, job, start

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bench.results import Cell
    from bench.stage.api import Object
    from bench.stage.starts import Kind, Start

__all__ = ["measure"]

TIMES: Final = 10
PAUSE: Final = 0.5
"""Seconds between two starts, in which kubelet ends what is left of the one before."""

# The targets of docs/performance.md.
TARGET: Final = 1.0
TARGET_STEP: Final = 2.0
TARGET_PROCESS: Final = 0.3


@dataclass(frozen=True, slots=True)
class _Shape:
    """One kind of project, and so of pod."""

    name: str
    repository: str
    guarded: bool = False
    cached: bool = False


_SHAPES: Final = (
    _Shape("plain", "plain.git"),
    _Shape("environment", "conda.git", cached=True),
    _Shape("private", "conda.git", guarded=True, cached=True),
)

_WORDS: Final[Mapping[Kind, str]] = {
    "run": "ProjectRun",
    "steps": "its Job, without the operator",
    "bare": "that Job with `true` as steps",
}

_Starts = dict[str, dict["Kind", list["Start"]]]


def measure() -> Result:
    """Measure on a cluster of its own.

    Raises:
        Missing: This machine cannot run one.
    """
    with Node.running() as node:
        starts = asyncio.run(_starts(node))
        grumbles = node.grumbles()
    return Result(
        title="From submitting to the running command",
        how=(
            f"Kubernetes {node.version.removeprefix('v')} with kubelet and containerd; the operator in its pod; "
            f"{TIMES} starts of each kind after a first one, in turns, one at a time; from the request that creates "
            "the object to the command's own word. plain: no environment; environment: a conda environment that lies "
            "on a claim, one init container; private: the same from a Git server that wants a password, two init "
            "containers. Images are on the node. Branches are looked up for each run, on a Git server of ours on the "
            "same cores."
        ),
        tables=(_totals(starts), _sums(starts), _phases(starts), _steps(starts), _processes(starts)),
        complaints=(*_not_found(starts), *_trouble(grumbles)),
    )


async def _starts(node: Node) -> _Starts:
    starts: _Starts = {shape.name: {kind: [] for kind in KINDS} for shape in _SHAPES}
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api.connect(node.kubeconfig))
        observer = await stack.enter_async_context(Observer.watching(api))
        likes: dict[str, Object] = {}
        for turn in range(TIMES + 1):
            for shape in _SHAPES:
                # None is always the first.
                for kind in (*KINDS[turn % 3 :], *KINDS[: turn % 3]) if turn else KINDS:
                    name = f"{shape.name}-{kind}-{turn}"
                    if kind == "run":
                        body = node.project_run(name, shape.repository, guarded=shape.guarded, cached=shape.cached)
                    else:
                        body = job(kind, name, likes[shape.name])
                    one = await start(body, api=api, observer=observer)
                    if turn:
                        starts[shape.name][kind].append(one)
                    elif kind == "run":
                        likes[shape.name] = await api.get(f"{JOBS}/{name}")
                    await asyncio.sleep(PAUSE)
    return starts


def _totals(starts: _Starts) -> Table:
    def rows() -> Iterator[tuple[Cell, ...]]:
        for shape, kinds in starts.items():
            bare = [each.command for each in kinds["bare"]]
            for kind in KINDS:
                times = [each.command for each in kinds[kind]]
                own: tuple[Cell, ...] = (None, None, None, None)
                if kind != "bare":
                    # Each is compared with its neighbour in time.
                    more = [one - other for one, other in zip(times, bare, strict=True)]
                    aim = f"<= {TARGET}" if kind == "run" else None
                    ratio = statistics.median(times) / statistics.median(bare)
                    own = (statistics.median(more), max(more), aim, ratio)
                yield (shape, _WORDS[kind], len(times), *_spread(times), *own)

    columns = (
        "pod",
        "what",
        "n",
        "median s",
        "min s",
        "max s",
        "more than bare: median s",
        "max s ",
        "target",
        "ratio",
    )
    return Table("Sent -> command begins", columns, tuple(rows()))


def _sums(starts: _Starts) -> Table:
    """What is ours without what is kubelet's: it looks at containers once a second, which single starts do not tell."""

    def rows() -> Iterator[tuple[Cell, ...]]:
        for shape, kinds in starts.items():
            operator = statistics.median(
                run.job - bare.job for run, bare in zip(kinds["run"], kinds["bare"], strict=True)
            )
            programs = statistics.median(
                sum(process.wall for process in each.processes.values()) for each in kinds["steps"]
            )
            yield shape, operator, programs, operator + programs, f"<= {TARGET}"

    columns = ("pod", "sent -> Job, more than bare", "programs in init containers", "sum", "target")
    return Table("Our own, added up, medians, s", columns, tuple(rows()))


def _phases(starts: _Starts) -> Table:
    def rows() -> Iterator[tuple[Cell, ...]]:
        for shape, kinds in starts.items():
            for kind in KINDS:
                each = kinds[kind]
                yield (
                    shape,
                    _WORDS[kind],
                    *_medians(
                        [one.job for one in each],
                        [one.first - one.job for one in each if one.first is not None],
                        [
                            one.prepared - one.first
                            for one in each
                            if one.prepared is not None and one.first is not None
                        ],
                        [one.command - one.prepared for one in each if one.prepared is not None],
                    ),
                )

    columns = ("pod", "what", "sent -> Job", "-> first program", "-> last init ended", "-> command")
    return Table("Where the time goes, medians, s", columns, tuple(rows()))


def _steps(starts: _Starts) -> Table:
    def rows() -> Iterator[tuple[Cell, ...]]:
        for shape, kinds in starts.items():
            for step in kinds["run"][0].steps:
                times = [each.steps[step] for each in kinds["run"]]
                yield shape, step, len(times), *_spread(times), f"<= {TARGET_STEP}" if step == "environment" else None

    columns = ("pod", "step", "n", "median s", "min s", "max s", "target")
    return Table("Steps of the ProjectRuns, as they report them", columns, tuple(rows()))


def _processes(starts: _Starts) -> Table:
    def rows() -> Iterator[tuple[Cell, ...]]:
        for shape, kinds in starts.items():
            for container in kinds["steps"][0].processes:
                wall = [each.processes[container].wall for each in kinds["steps"]]
                processor = [each.processes[container].processor for each in kinds["steps"]]
                aim = f"<= {TARGET_PROCESS}" if container == "environment" else None
                yield shape, container, len(wall), *_spread(wall), statistics.median(processor), aim

    columns = ("pod", "container", "n", "median s", "min s", "max s", "of processor", "target")
    return Table("Our program in each init container, whole process, git included", columns, tuple(rows()))


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(values), min(values), max(values)


def _medians(*series: Sequence[float]) -> Iterator[Cell]:
    return (statistics.median(values) if values else None for values in series)


def _not_found(starts: _Starts) -> Iterator[str]:
    for shape in _SHAPES:
        said = ["".join(each.said.values()) for kind in ("run", "steps") for each in starts[shape.name][kind]]
        if shape.cached and (built := sum("Found " not in text for text in said)):
            yield f"{built} of {len(said)} starts of {shape.name} did not find their environment"


def _trouble(grumbles: Sequence[str]) -> Iterator[str]:
    if grumbles:
        yield f"the operator's log has {len(grumbles)} warnings; the first: {grumbles[0]}"
