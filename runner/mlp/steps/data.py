"""The step ``data``: bring what parameters of type path name elsewhere to where the command will look for it.

Where that is, was decided with the command, by the same functions of mlp.data. Credentials are in this process'
environment for as long as it downloads.
"""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Final

from mlp.data import destination, directory_name, download
from mlp.errors import UsageError
from mlp.steps.credentials import for_data, for_tracking, is_tracked
from mlp.steps.progress import Progress, say
from mlp.steps.together import together
from mlp.steps.variables import lent

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from mlp.resources.plan import Plan, PlannedDownload
    from mlp.steps.layout import Layout

__all__ = ["data"]

_AT_ONCE: Final = 4
"""Downloads at the same time; each has several streams of its own."""


def data(plan: Plan, layout: Layout, stop: threading.Event) -> str:
    """Carry the step out.

    Args:
        plan: What to bring.
        layout: Where to.
        stop: Set when it is not wanted any more.

    Returns:
        What was done, for people.

    Raises:
        DataError: Something cannot be brought.
        RunCancelled: The event was set.
        UsageError: The plan is not of this version, or a Secret has a key that cannot be a variable.
    """
    tracked = [planned for planned in plan.downloads if is_tracked(planned.uri)]
    others = [planned for planned in plan.downloads if not is_tracked(planned.uri)]
    if others:
        with lent(for_data(layout)):
            _bring(others, plan, layout, stop)
    if tracked:
        with lent(for_tracking(layout)):
            _bring(tracked, plan, layout, stop)
    names = ", ".join(planned.parameter for planned in plan.downloads)
    return f"Downloaded the data of {names}" if names else "There was nothing to download"


def _bring(downloads: Sequence[PlannedDownload], plan: Plan, layout: Layout, stop: threading.Event) -> None:
    tasks = [partial(_bring_one, planned, plan.tracking_uri, layout, stop) for planned in downloads]
    together(tasks, stop, at_once=_AT_ONCE)


def _bring_one(planned: PlannedDownload, tracking_uri: str | None, layout: Layout, stop: threading.Event) -> None:
    into = layout.data / directory_name(planned.parameter)
    if destination(planned.uri, into) != layout.inside(planned.path):
        raise UsageError(
            f"The plan wants the data of parameter {planned.parameter} at {planned.path}, where this version does not "
            "put it. The operator and the image that prepares runs may be of different versions."
        )
    # Of an earlier attempt, whole or not.
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    progress = Progress(f"Downloading data for parameter {planned.parameter}")
    download(planned.uri, into, tracking_uri=tracking_uri, cancelled=stop, progress=progress.transfer)
    say(f"Downloaded data for parameter {planned.parameter}")
