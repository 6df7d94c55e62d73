"""Events: one for each thing that happens to a run, in the order in which it happened."""

from __future__ import annotations

import pytest

from mlp_operator.runs.actions import Refusal
from mlp_operator.runs.outcome import Refused, Unavailable
from mlp_operator.runs.transitions import events_between
from tests.operator.build import DISRUPTED, World, at, failed, job, pod, report, running, succeeded, waiting, working
from tests.operator.build import ended as container_ended


def lived(*moments, hindrance=None, **parts):
    """The events of a life: each moment is what is there (pods, a Job) or what the user changes."""
    world = World.of(**parts)
    world.hindrance = hindrance or {}
    world.settle()
    for moment in moments:
        if isinstance(moment, list):
            world.settle(pods=moment, after=1)
        elif "metadata" in moment:
            world.settle(job=moment)
        elif moment is GONE:
            world.settle(job=None, pods=[])
        else:
            world.change(**moment)
            world.settle()
    return [str(event) for event in world.events]


BORN = ["ProjectResolved", "JobCreated"]
GONE = {"gone": True}

LIVES = {
    "a good one": (lambda: lived([pod()], [working()], [succeeded()]), [*BORN, "RunStarted", "RunSucceeded"]),
    "too quick to be seen": (lambda: lived([succeeded()]), [*BORN, "RunSucceeded"]),
    "slow cloning": (lambda: lived([pod(init=running(-60))], [working()]), [*BORN, "RunStarted"]),
    "a failing command": (lambda: lived([working()], [failed()]), [*BORN, "RunStarted", "RunFailed"]),
    "a failing step": (
        lambda: lived([pod("Failed", init=container_ended(66, report("SourceNotFound", "no")))]),
        [*BORN, "RunFailed"],
    ),
    "an unknown entry point": (
        lambda: lived(outcome=Refused("EntryPointNotFound", "no")),
        ["ProjectResolutionFailed", "RunFailed"],
    ),
    "an unreachable server": (lambda: lived(outcome=Unavailable("SourceUnavailable", "no", at(9))), []),
    "a Job that is refused": (
        lambda: lived(hindrance={"refusal": Refusal(final=True, message="no")}),
        ["ProjectResolved", "RunFailed"],
    ),
    "an image that cannot be pulled": (
        lambda: lived([pod(init=waiting("ErrImagePull", "no"))], [pod(init=waiting("ImagePullBackOff", "no"))]),
        BORN,
    ),
    "a retry": (
        lambda: lived([working()], [failed()], [failed(), working(2)], [failed(), succeeded(2)], backoffLimit=1),
        [*BORN, "RunStarted", "RunRetrying", "RunStarted", "RunSucceeded"],
    ),
    "a preemption": (
        lambda: lived([working()], [failed(143, conditions=DISRUPTED)], [working(2)]),
        [*BORN, "RunStarted", "RunRetrying", "RunStarted"],
    ),
    "suspended and resumed": (
        lambda: lived([working()], {"suspend": True}, [], {"suspend": False}, [working(2)]),
        [*BORN, "RunStarted", "RunSuspended", "RunResumed", "RunStarted"],
    ),
    "cancelled": (
        lambda: lived([working()], {"shutdown": "Stop"}, GONE),
        [*BORN, "RunStarted", "RunCancelled"],
    ),
    "cancelled while suspended": (
        lambda: lived({"shutdown": "Stop"}, suspend=True),
        ["RunSuspended", "RunCancelled"],
    ),
    "too late": (lambda: lived([pod()], pendingDeadlineSeconds=11), [*BORN, "DeadlineExceeded"]),
    "too long": (
        lambda: lived([working()], job(condition=("FailureTarget", "DeadlineExceeded")), [failed(143)]),
        [*BORN, "RunStarted", "DeadlineExceeded"],
    ),
    "its Job deleted": (lambda: lived([working()], GONE), [*BORN, "RunStarted", "JobDeleted", "RunFailed"]),
    "its Job deleted and made again": (
        lambda: lived([working()], GONE, backoffLimit=1),
        [*BORN, "RunStarted", "JobDeleted", "JobCreated"],
    ),
}


@pytest.mark.parametrize(("live", "events"), LIVES.values(), ids=LIVES)
def test_a_life_and_its_events(live, events):
    assert live() == events


def test_nothing_has_happened_between_two_equal_statuses():
    world = World.of()
    world.settle(pods=[working()])
    assert events_between(world.run.status, world.run.status) == []


def test_bad_news_are_warnings():
    world = World.of(backoffLimit=1)
    world.settle()
    kinds = {}
    for pods in ([working()], [failed()], [failed(), failed(number=2)]):
        before = world.run.status
        world.settle(pods=pods)
        kinds |= {str(event.reason): event.type for event in events_between(before, world.run.status)}
    assert kinds == {"RunStarted": "Normal", "RunRetrying": "Warning", "RunFailed": "Warning"}
