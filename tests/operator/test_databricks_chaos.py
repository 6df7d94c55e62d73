"""200 runs on Databricks while every request may fail and everything may be killed: what is said of each stays true.

The seed of all choices is printed: MLP_TEST_SEED repeats them, though not the moments, which are the machine's. Some
kills wait for theirs: a request that the double holds, before it has had its effect or after, so that the operator
dies between what it has written down and what it hears.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import secrets
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.databricks_server.faults import KINDS as FAULTS
from tests.databricks_server.program import Program
from tests.operator.remote_stage import OperatorProcess, Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster import OwnCluster

PHASES: Final = 5
AT_ONCE: Final = 30
"""Runs that may be under way when a phase begins."""
RATE: Final = 0.15
"""Share of all requests that something happens to."""
TICK: Final = 0.3
SETTLING: Final = 180.0
"""Seconds that all runs have to come to their ends once nothing goes wrong any more."""

HELD: Final = {"hold": True}
FAILED: Final = {"instant": 0.3, "ending": "FAILED"}
# As serverless compute tells of a program that has failed.
QUIRK: Final = {"life": "INTERNAL_ERROR", "result": "FAILED", "code": "RUN_EXECUTION_ERROR", "type": "CLIENT_ERROR"}
FLAKY: Final = r"-flaky \(.*-1\)$"


@dataclass(frozen=True)
class Kind:
    """A kind of run.

    Attributes:
        count: How many there are in each phase.
        script: What happens to each of its runs on Databricks.
        ends: The reasons with which it may end, beside what people do to it.
        attempts: How many attempts it needs.
        spec: More of its spec.
        deed: What people do to it.
    """

    count: int
    script: dict[str, Any] | None
    ends: tuple[str, ...] = ()
    attempts: int = 1
    spec: dict[str, Any] = field(default_factory=dict)
    deed: str | None = None


KINDS: Final = {
    "well": Kind(10, {"instant": 0.6, "logs": "trained\n"}, ("Succeeded",)),
    "bad": Kind(3, FAILED, ("EntryPointFailed",)),
    "quirk": Kind(2, {"instant": 0.3, "ending": QUIRK}, ("EntryPointFailed",)),
    "hopeless": Kind(2, FAILED, ("BackoffLimitExceeded",), 3, {"backoffLimit": 2}),
    "flaky": Kind(4, None, ("Succeeded",), 2, {"backoffLimit": 3}),
    "cloud": Kind(2, {"pending": 0.3, "ending": "CLOUD_FAILURE"}, ("WorkspaceFailed",), 2, {"backoffLimit": 1}),
    "skipped": Kind(1, {"queued": 0.3, "ending": "SKIPPED"}, ("RunSkipped",)),
    "slow": Kind(2, HELD, ("DeadlineExceeded",), spec={"timeout": 1}),
    "late": Kind(1, HELD, ("DeadlineExceeded",), spec={"activeDeadlineSeconds": 1}),
    "lost": Kind(1, HELD, ("RunLost",), deed="forget"),
    "stopped": Kind(3, HELD, ("Cancelled",), deed="shut down"),
    "hasty": Kind(2, {"instant": 0.6}, ("Succeeded", "Cancelled"), deed="shut down"),
    "deleted": Kind(3, HELD, deed="delete"),
    "parked": Kind(2, HELD, ("Suspended",), deed="suspend"),
    "paused": Kind(2, {"instant": 1.0}, ("Succeeded",), deed="pause"),
}

SUBMIT: Final = "runs/submit$"
ME: Final = "scim/v2/Me$"
"""Each process asks that once, before its first submission."""
# Where the operator is killed while the double holds its request.
SUBMITTING: Final = (
    ("hang", ME, False),  # the token is written, and nothing sent
    ("hang", SUBMIT, False),  # it was sent, and did not arrive
    ("slow", SUBMIT, False),  # it arrives when its sender is dead
    ("hang", SUBMIT, True),  # it has arrived, and nobody has heard
)
LATER: Final = (
    ("hang", "runs/cancel$", False),
    ("slow", "runs/cancel$", False),
    ("hang", "runs/cancel$", True),
    ("hang", "runs/(get|list)$", True),
    ("hang", "runs/get-output$", True),
)
HANGING: Final = 30.0
ARRIVING_LATE: Final = 3.0


@dataclass
class Case:
    """A run.

    Attributes:
        kind: Which.
        uid: Its uid.
        due: When the next thing is done to it; None if nothing more is.
        done: What was done to it.
        finished: The phase that it has ended in.
    """

    kind: str
    uid: str
    due: float | None
    done: list[str] = field(default_factory=list)
    finished: str | None = None


class Chaos:
    """The runs, and what happens to them."""

    def __init__(self, space: Space, double: Program, operator: OperatorProcess, chance: random.Random) -> None:
        self.space, self.double, self.operator, self.chance = space, double, operator, chance
        self.cases: dict[str, Case] = {}
        self.listed: dict[str, dict[str, Any]] = {}
        self.faults = Counter[tuple[str, str]]()
        self._may_cancel = False

    # -- what goes wrong -----------------------------------------------------------------------------------------------

    def let_things_go_wrong(self) -> None:
        self.double.call("faults/random", seed=self.chance.getrandbits(32), rate=RATE, longest=0.6)

    def kill_double(self) -> None:
        """kill -9 of the workspace, which comes back with what it has written down."""
        self._count_faults()
        self.double.kill()
        time.sleep(self.chance.uniform(0.1, 1.0))
        self.double.start()
        self.let_things_go_wrong()

    def lie_in_wait(self, kind: str, path: str, *, after: bool) -> Callable[[], bool]:
        """Have the double hold the operator's next request of a kind; what tells whether it does."""
        seconds = ARRIVING_LATE if kind == "slow" else HANGING
        before = len(self.double.call("faults/done"))
        self.double.call("faults/add", kind=kind, path=path, after=after, seconds=seconds)
        wanted = f"{kind} {'after' if after else 'before'}"

        def held() -> bool:
            new = self.double.call("faults/done")[before:]
            return any(each[0] == wanted and re.search(path, each[2]) for each in new)

        return held

    def kill_operator(self, when: Callable[[], bool], then: Callable[[], None] = lambda: None) -> None:
        """kill -9 of the operator once it is time; `then` is done while it is away."""
        self._tick_until("the operator asks what is waited for", when)
        self.operator.kill()
        then()
        time.sleep(self.chance.uniform(0, 0.5))
        self.operator.start()

    def _count_faults(self) -> None:
        for kind, _, path in self.double.call("faults/done"):
            self.faults[kind, path.rpartition("/")[2]] += 1

    # -- what people do ------------------------------------------------------------------------------------------------

    def begin(self, phase: int) -> None:
        """Create the runs of a phase."""
        self._may_cancel = False
        kinds = [kind for kind, each in KINDS.items() for _ in range(each.count)]
        now = time.monotonic()
        for number, kind in enumerate(self.chance.sample(kinds, len(kinds))):
            each, name = KINDS[kind], f"run-{phase}-{number:02d}-{kind}"
            tags = None if each.script is None else {"double": json.dumps(each.script, separators=(",", ":"))}
            uid = self.space.create(name, tags=tags, **each.spec)
            self.cases[name] = Case(kind, uid, None if each.deed is None else now + self.chance.uniform(0, 3))

    def tick(self, *, nowhere: bool = False) -> None:
        """Look at all runs, and do what is due.

        Args:
            nowhere: Do it to those now whose submission nobody has heard of.
        """
        assert not self.operator.ended
        self.listed = self.space.runs()
        for name, case in self.cases.items():
            run = self.listed.get(name)
            if run is None:
                assert "delete" in case.done, f"{name} is gone"
                case.due = None
                continue
            self._hold_to_its_word(name, case, run)
            if case.due is None or case.finished:
                continue
            deed = KINDS[case.kind].deed or ""
            stored = run.get("status", {}).get("databricks") or {}
            # What is to be cancelled later, for certain, is left alone.
            unheard = nowhere and case.kind != "stopped" and "token" in stored and "runId" not in stored
            if deed == "forget":
                # Before its id is written down, nobody could tell a lost run from one that never was.
                if stored.get("runId") is not None and run["status"]["phase"] == "Running":
                    self.double.call("forget", run_id=int(stored["runId"]))
                    self._did(case, deed)
            elif unheard or (time.monotonic() >= case.due and (self._may_cancel or case.kind in {"hasty", "paused"})):
                self._do(name, case, deed)

    def _do(self, name: str, case: Case, deed: str) -> None:
        match deed:
            case "delete":
                self.space.delete(name)
            case "shut down":
                self.space.patch(name, shutdown="Stop")
            case "suspend":
                self.space.patch(name, suspend=True)
            case "pause" if "pause" not in case.done:
                self.space.patch(name, suspend=True)
                case.done.append(deed)
                case.due = time.monotonic() + self.chance.uniform(0.3, 2.5)
                return
            case "pause":
                self.space.patch(name, suspend=False)
                deed = "resume"
        self._did(case, deed)

    def _did(self, case: Case, deed: str) -> None:
        case.done.append(deed)
        case.due = None

    def _hold_to_its_word(self, name: str, case: Case, run: dict[str, Any]) -> None:
        """What has ended stays as it has."""
        phase = run.get("status", {}).get("phase")
        if case.finished is not None:
            assert phase == case.finished, f"{name} was {case.finished}, and is {phase}"
        elif phase in {"Succeeded", "Failed", "Cancelled"}:
            case.finished = phase

    # -- how it goes on ------------------------------------------------------------------------------------------------

    def play(self, phase: int) -> None:
        """One phase: runs, two kills of the operator at chosen moments, and one of the workspace now and then."""
        kind, path, after = SUBMITTING[phase % len(SUBMITTING)]
        if path == ME:
            self.operator.kill()
        held = self.lie_in_wait(kind, path, after=after)
        self.begin(phase)
        if path == ME:
            self.operator.start()
        self.kill_operator(held, lambda: self.tick(nowhere=True))
        if phase % 3 == 1:
            self._wait(self.chance.uniform(0, 2))
            self.kill_double()
        self._wait(self.chance.uniform(0, 1.5))
        self._tick_until("what will be shut down is there", lambda: self._are_there("stopped"))
        kind, path, after = LATER[phase % len(LATER)]
        held = self.lie_in_wait(kind, path, after=after)
        self._may_cancel = True
        self.kill_operator(held)
        self._tick_until("most runs have ended", lambda: self._busy() < AT_ONCE)

    def _are_there(self, kind: str) -> bool:
        """Whether all runs of a kind are on Databricks, or were."""
        stored = [self.listed[name].get("status", {}).get("databricks") or {} for name in self._of(kind)]
        return all(each.get("runId") for each in stored)

    def _of(self, kind: str) -> list[str]:
        return [name for name, case in self.cases.items() if case.kind == kind]

    def _busy(self) -> int:
        return sum(case.finished is None and name in self.listed for name, case in self.cases.items())

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.tick()
            time.sleep(TICK)

    def _tick_until(self, what: str, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + SETTLING
        while True:
            self.tick()
            if holds():
                return
            assert time.monotonic() < end, f"not within {SETTLING:.0f} s: {what}\n{self.unsettled()}"
            time.sleep(TICK)

    def settle(self) -> None:
        """Let nothing go wrong any more, and wait until there is nothing left to do."""
        self._count_faults()
        self.double.call("faults/clear")
        self._tick_until("every run is at its end", lambda: not self.unsettled())

    def unsettled(self) -> list[str]:
        """What is not at its end."""
        found = [
            f"{name}: {case.done} {run['metadata'].get('finalizers')} {run.get('status')}"
            for name, case in self.cases.items()
            if (run := self.listed.get(name)) is not None and not _settled(case, run)
        ]
        if found:
            return found
        active = [each for each in self.double.runs() if each["phase"] != "ended" and not each["forgotten"]]
        return [f"{each['body']['run_name']} is {each['phase']} on Databricks" for each in active]


def _settled(case: Case, run: dict[str, Any]) -> bool:
    """Whether nothing more is to happen to a run."""
    if case.due is not None and case.finished is None:
        return False
    if "delete" in case.done:
        return False
    if case.kind == "parked" and run["status"].get("phase") == "Suspended":
        return True
    return case.finished is not None and not run["metadata"].get("finalizers")


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Program]:
    """A workspace in a process of its own, in which scripts run instead of programs."""
    with Program(tmp_path / "databricks", python=sys.executable) as program:
        program.call("script", pattern=FLAKY, directives=FAILED)
        program.call("script", pattern="-flaky ", directives={"instant": 0.3})
        yield program


@pytest.mark.timeout(900)
def test_whatever_fails_each_attempt_is_one_run_there_and_each_run_comes_to_its_true_end(
    control_plane: OwnCluster, double: Program, tmp_path: Path
) -> None:
    seed = int(os.environ.get("MLP_TEST_SEED") or secrets.randbits(32))
    print(f"MLP_TEST_SEED={seed}")
    chance = random.Random(seed)
    settings = {"MLP_DATABRICKS_POLL_PERIOD": "0.5", "MLP_DATABRICKS_TIMEOUT": "3"}
    began = time.monotonic()
    with (
        Space(control_plane, tmp_path, host=double.url, token=double.token) as space,
        OperatorProcess(control_plane.kubeconfig, tmp_path / "operator.log", **settings) as operator,
    ):
        chaos = Chaos(space, double, operator, chance)
        chaos.let_things_go_wrong()
        try:
            for phase in range(PHASES):
                chaos.play(phase)
                print(f"phase {phase}: {time.monotonic() - began:.0f} s, {chaos._busy()} under way")
            chaos.settle()
        finally:
            print(operator.log.read_text(errors="replace")[-20_000:])
        print(f"settled after {time.monotonic() - began:.0f} s")
        assert double.call("mistakes") == []
        there = double.runs()
    print(f"{sum(chaos.faults.values())} requests went wrong; {sum(map(_does_nothing, there))} runs only took a token")
    assert len(chaos.cases) == 200
    assert operator.lives > 2 * PHASES
    hit = {kind.split()[0] for kind, _ in chaos.faults}
    assert hit == set(FAULTS)
    assert {"submit", "cancel", "get-output"} <= {call for _, call in chaos.faults}
    judge(chaos, there)


def judge(chaos: Chaos, there: list[dict[str, Any]]) -> None:
    """Hold everything that was said against what was on Databricks."""
    tokens = [each["body"]["idempotency_token"] for each in there]
    assert len(tokens) == len(set(tokens))
    of: dict[str, list[dict[str, Any]]] = {case.uid: [] for case in chaos.cases.values()}
    for each in there:
        uid, _, number = each["body"]["idempotency_token"].rpartition("-")
        of[uid].append({**each, "number": int(number)})
    for name, case in chaos.cases.items():
        own = sorted(of[case.uid], key=lambda each: each["number"])
        for earlier, later in itertools.pairwise(own):
            assert earlier["ended"] <= later["submitted"], f"{name}: two at a time: {own}"
        run = chaos.listed.get(name)
        assert (run is None) == ("delete" in case.done), name
        if run is not None:
            truthful(name, case, run, own)


def truthful(name: str, case: Case, run: dict[str, Any], own: list[dict[str, Any]]) -> None:
    """Hold that what a run says of itself is what has happened."""
    kind, status = KINDS[case.kind], run["status"]
    stored = status.get("databricks") or {}
    outcome = next(each for each in status["conditions"] if each["type"] == "Succeeded")
    shown = (name, case.done, status, [(each["number"], each["cancel"], each["ending"]) for each in own])
    assert outcome["reason"] in kind.ends, shown
    assert outcome["status"] == {"Succeeded": "True", "Suspended": "Unknown"}.get(status["phase"], "False"), shown
    last = own[-1] if own else None
    assert [each["number"] for each in own] == list(range(1, len(own) + 1)), shown
    if case.kind == "parked":
        assert stored.get("runId") is None, shown
        assert all(each["cancel"] or _does_nothing(each) for each in own), shown
        return
    if "pause" in case.done:
        assert all(each["cancel"] or _does_nothing(each) for each in own[:-1]), shown
    else:
        # An attempt, a token, a run there: none more, none fewer.
        whole = len(own) == status.get("attempts") == kind.attempts
        assert whole or (outcome["reason"] == "Cancelled" and not own), shown
    if last is None:
        assert stored.get("runId") is None, shown
        return
    assert stored["token"] == last["body"]["idempotency_token"], shown
    assert stored["runId"] == str(last["run_id"]), shown
    succeeded = last["ending"] is not None and last["ending"]["result"] == "SUCCESS"
    assert (status["phase"] == "Succeeded") == succeeded, shown
    # Cancelled there is what we have asked for, or what was over its time. What only took a token may end by itself.
    ended = outcome["reason"] in {"Cancelled", "DeadlineExceeded"}
    assert (last["cancel"] is not None or _does_nothing(last)) == ended, shown


def _does_nothing(run: dict[str, Any]) -> bool:
    """Whether a run was submitted only to have the token of one that was to be cancelled."""
    file: str = run["body"]["tasks"][0]["spark_python_task"]["python_file"]
    return file.endswith("/nothing.py")
