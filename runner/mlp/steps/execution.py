"""Running the named steps one after the other, timing them, and leaving a report whatever happens.

The exit code is the error's, for the Job's podFailurePolicy; the report is for the operator; the lines on standard
output are for whoever reads the container's log.
"""

from __future__ import annotations

import signal
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from mlp.errors import MlpError, UsageError
from mlp.resources.plan import Plan
from mlp.steps.clone import clone
from mlp.steps.report import Report, StepTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from mlp.steps.layout import Layout

__all__ = ["STEPS", "run_steps"]

STEPS: Final[Mapping[str, Callable[[Plan, Layout], str]]] = {"clone": clone}

_COMPLETED: Final = "Completed"
_INTERNAL: Final = 70


class _Terminated(BaseException):
    """SIGTERM came: the pod is being deleted."""


def run_steps(names: Sequence[str], layout: Layout) -> int:
    """Run steps and write the report.

    Args:
        names: Which, in this order.
        layout: Where everything lies.

    Returns:
        The exit code: 0, or that of the error that ended the steps.
    """
    times: list[StepTimes] = []
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        message = _run(names, layout, times)
        report, code = Report(_COMPLETED, message, tuple(times)), 0
    except MlpError as error:
        _say(f"{error.reason}: {error}")
        report, code = Report(error.reason, str(error), tuple(times)), error.exit_code
    except _Terminated:
        report, code = Report("Terminated", "The pod was ended by SIGTERM.", tuple(times)), 128 + signal.SIGTERM
    except Exception as error:  # noqa: BLE001 -- the last place that can still tell the operator
        traceback.print_exc()
        described = f"An error in mlp itself: {type(error).__name__}: {error}"
        report, code = Report("InternalError", described, tuple(times)), _INTERNAL
    finally:
        # What is left takes no time; a second SIGTERM must not cut the report.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write(report, layout)
    signal.signal(signal.SIGTERM, previous)
    return code


def _run(names: Sequence[str], layout: Layout, times: list[StepTimes]) -> str:
    unknown = [name for name in names if name not in STEPS]
    if unknown or not names:
        raise UsageError(f"There is no step {', '.join(unknown) or 'named'}. Steps: {', '.join(STEPS)}.")
    plan = _read_plan(layout)
    messages = []
    for name in names:
        started = _now()
        _say(f"=== Step {name} ===")
        try:
            messages.append(STEPS[name](plan, layout))
        finally:
            times.append(StepTimes(name, started, _now()))
        _say(f"{messages[-1]} in {(times[-1].completed - started).total_seconds():.1f} s")
    return "; ".join(messages)


def _read_plan(layout: Layout) -> Plan:
    try:
        return Plan.from_json(layout.plan.read_bytes())
    except OSError as error:
        raise UsageError(f"The pod's plan cannot be read: {layout.plan}: {error.strerror}.") from error
    except ValidationError as error:
        raise UsageError(
            f"The pod's plan is not one ({error.error_count()} errors, the first: {error.errors()[0]['msg']}). "
            "The operator and the image that prepares runs may be of different versions."
        ) from error


def _write(report: Report, layout: Layout) -> None:
    try:
        layout.termination_log.write_text(report.to_json(), encoding="utf-8")
    except OSError as error:
        _say(f"The termination message cannot be written: {error}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _now() -> datetime:
    return datetime.now(UTC)
