"""Running the named steps, timing them, and leaving a report whatever happens.

``clone`` comes first; ``data`` and ``environment`` follow side by side, and the first failure ends the other. The exit
code is the error's, for the Job's podFailurePolicy; the report is for the operator; the lines on standard output are
for whoever reads the container's log.
"""

from __future__ import annotations

import signal
import threading
import traceback
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from mlp.errors import MlpError, RunCancelled, UsageError
from mlp.resources.plan import Plan
from mlp.steps.progress import say, speak_for
from mlp.steps.report import Report, StepTimes
from mlp.steps.together import together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from mlp.steps.layout import Layout

__all__ = ["STEPS", "run_steps"]

STEPS: Final = ("clone", "data", "environment")
"""In their order. Each is a function of a module of its name, imported when it is wanted."""

_COMPLETED: Final = "Completed"
_INTERNAL: Final = 70


class _Terminated(BaseException):
    """SIGTERM came: the pod is being deleted."""


def run_steps(names: Sequence[str], layout: Layout) -> int:
    """Run steps and write the report.

    Args:
        names: Which.
        layout: Where everything lies.

    Returns:
        The exit code: 0, or that of the error that ended the steps.
    """
    course = _Course(layout)
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        message = course.run(names)
        reason, code = _COMPLETED, 0
    except MlpError as error:
        say(f"{error.reason}: {error}", step=course.failed)
        reason, message, code = error.reason, str(error), error.exit_code
    except _Terminated:
        reason, message, code = "Terminated", "The pod was ended by SIGTERM.", 128 + signal.SIGTERM
    except Exception as error:  # noqa: BLE001 -- the last place that can still tell the operator
        traceback.print_exc()
        reason, message = "InternalError", f"An error in mlp itself: {type(error).__name__}: {error}"
        code = _INTERNAL
    finally:
        # What is left takes no time; a second SIGTERM must not cut the report.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write(Report(reason, message, course.times()), layout)
    signal.signal(signal.SIGTERM, previous)
    return code


class _Course:
    """The steps of one container, as far as they have come."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._stop = threading.Event()
        self._began: dict[str, datetime] = {}
        self._ended: dict[str, StepTimes] = {}
        self._cancelled: set[str] = set()
        self._side_by_side = False

    def run(self, names: Sequence[str]) -> str:
        """Run steps; what they did."""
        unknown = [name for name in names if name not in STEPS]
        if unknown or not names:
            raise UsageError(f"There is no step {', '.join(unknown) or 'named'}. Steps: {', '.join(STEPS)}.")
        plan = _read_plan(self._layout)
        messages = [self._timed("clone", plan)] if "clone" in names else []
        later = [partial(self._timed, name, plan) for name in STEPS[1:] if name in names]
        # A build runs code of the project and its packages, which must not find a download's credentials around it; nor
        # is one step's certificate the other's.
        at_once = 1 if self._has_credentials() else len(later)
        self._side_by_side = at_once > 1
        return "; ".join([*messages, *together(later, self._stop, at_once=at_once)])

    @property
    def failed(self) -> str:
        """The step that has failed, where its words have to be told apart from another's."""
        failed = (name for name, ended in self._ended.items() if ended.state == "Failed")
        return next(failed, "") if self._side_by_side else ""

    def times(self) -> tuple[StepTimes, ...]:
        """When each step ran. What is not over yet never will be."""
        now = _now()
        times = {name: StepTimes(name, began, now, "Failed") for name, began in self._began.items()} | self._ended
        if any(ended.state == "Failed" for ended in self._ended.values()):
            # One that another's failure has ended has neither failed nor succeeded.
            times = {name: each for name, each in times.items() if name not in self._cancelled}
        return tuple(times[name] for name in STEPS if name in times)

    def _timed(self, name: str, plan: Plan) -> str:
        if self._side_by_side:
            speak_for(name)
        say(f"=== Step {name} ===")
        began = self._began[name] = _now()
        try:
            message = _step(name)(plan, self._layout, self._stop)
        except RunCancelled:
            self._cancelled.add(name)
            raise
        except BaseException:
            self._ended[name] = StepTimes(name, began, _now(), "Failed")
            raise
        ended = self._ended[name] = StepTimes(name, began, _now())
        say(f"{message} in {(ended.completed - began).total_seconds():.1f} s")
        return message

    def _has_credentials(self) -> bool:
        places = self._layout
        mounted = (places.data_credentials, places.tracking_credentials, places.environment_credentials)
        return any(place.is_dir() for place in mounted)


def _step(name: str) -> Callable[[Plan, Layout, threading.Event], str]:
    """A cached environment has no use for what brings data, nor a clone for what builds environments."""
    step = getattr(import_module(f"mlp.steps.{name}"), name)
    return cast("Callable[[Plan, Layout, threading.Event], str]", step)


def _read_plan(layout: Layout) -> Plan:
    try:
        return Plan.from_json(layout.plan.read_bytes())
    except OSError as error:
        raise UsageError(f"The pod's plan cannot be read: {layout.plan}: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(
            f"The pod's plan is not one: {error}. "
            "The operator and the image that prepares runs may be of different versions."
        ) from error


def _write(report: Report, layout: Layout) -> None:
    try:
        layout.termination_log.write_text(report.to_json(), encoding="utf-8")
    except OSError as error:
        say(f"The termination message cannot be written: {error}")


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _now() -> datetime:
    return datetime.now(UTC)
