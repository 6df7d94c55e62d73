"""The life of one project run in a tracking store: begun before the command, ended whatever happens.

Knows what MLflow's users expect to find (raw parameters, a state that is true), and nothing of how a project is run.
"""

from __future__ import annotations

import getpass
import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from mlp.errors import TrackingError, TrackingNotFound, UsageError
from mlp.tracking.entities import FAILED, KILLED, RUNNING, TERMINAL
from mlp.tracking.names import ENV_EXPERIMENT_ID, ENV_RUN_ID
from mlp.tracking.texts import LONGEST_PARAMETER, LONGEST_TAG, cut, mask, storable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mlp.tracking.entities import Run
    from mlp.tracking.store import Tracking

__all__ = ["RunRecord", "default_user"]

_log: Final = logging.getLogger(__name__)


class RunRecord:
    """A run in a tracking store that is ours to end. Safe for use by many threads.

    Attributes:
        run_id: The run's id.
        experiment_id: The experiment that it belongs to.
        run_name: Its name: the one that was given, or the one that MLflow made up.
        artifact_uri: Where its artifacts go.
        tracking: The store.
    """

    def __init__(self, tracking: Tracking, run: Run, secrets: Collection[str]) -> None:
        """Take over a run that is there and RUNNING; `begin` makes one."""
        self.tracking = tracking
        self.run_id = run.info.run_id
        self.experiment_id = run.info.experiment_id
        self.run_name = run.info.run_name
        self.artifact_uri: str | None = run.info.artifact_uri
        self._secrets = tuple(secrets)
        self._lock = threading.Lock()
        self._ended: str | None = None

    @classmethod
    def begin(
        cls,
        tracking: Tracking,
        *,
        experiment_id: str | None = None,
        run_id: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        secrets: Collection[str] = (),
    ) -> RunRecord:
        """Create a run, or resume one, and log what is known before the command starts.

        Args:
            tracking: The store.
            experiment_id: Where a new run goes; None is the default experiment. A resumed run stays where it is.
            run_id: A run to resume. Its state becomes RUNNING again.
            run_name: None: MLflow makes one up, or the resumed run keeps its own.
            tags: Tags; see `mlp.tracking.names`.
            parameters: The values as the user gave them. What the store does not take is left out with a warning.
            secrets: Texts to replace by three asterisks wherever they occur in names, tags and parameters.

        Raises:
            TrackingError: The store cannot be used. No run is left RUNNING, as far as the store lets us.
        """
        run_name = mask(storable(run_name), secrets) if run_name else None
        tags = {key: _tag(value, secrets) for key, value in (tags or {}).items()}
        if run_id is not None:
            run = _resume(tracking, run_id, run_name)
        else:
            now = _now()
            experiment_id = experiment_id if experiment_id is not None else tracking.experiment()
            run = tracking.create_run(experiment_id, run_name=run_name, tags=tags, start_time=now)
        record = cls(tracking, run, secrets)
        try:
            if run_id is not None and tags:
                tracking.set_tags(run_id, tags)
            record._log_parameters(parameters or {})
        except BaseException as error:
            record.finish(FAILED if isinstance(error, Exception) else KILLED)
            raise
        return record

    def environment(self) -> dict[str, str]:
        """The variables by which ``mlflow.start_run()`` in the project's code resumes this run."""
        return {
            **self.tracking.environment(),
            ENV_RUN_ID: self.run_id,
            ENV_EXPERIMENT_ID: self.experiment_id,
        }

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; those of the same names are replaced."""
        self.tracking.set_tags(self.run_id, {key: _tag(value, self._secrets) for key, value in tags.items()})

    def finish(self, status: str, *, told_to_end: int | None = None) -> str:
        """Write a terminal state and the time, unless the project's own code has set such a state.

        Never fails: a run's own outcome must not be hidden by that of its record. A store that cannot be reached is
        asked for half a minute; then an error is logged that names the run. A second call does nothing.

        Args:
            status: FINISHED, FAILED or KILLED.
            told_to_end: When the command was told to end, in milliseconds since 1970. A state that was written since
                then is no verdict of the project's code but its answer to our signal, and is replaced.

        Returns:
            The state that the run has now; the given one where the store cannot tell.
        """
        if status not in TERMINAL:
            raise UsageError(f"A run cannot end as '{status}': {', '.join(sorted(TERMINAL))} are possible.")
        with self._lock:
            if self._ended is None:
                self._ended = self._end(status, told_to_end)
            return self._ended

    def _end(self, status: str, told_to_end: int | None) -> str:
        try:
            info = self.tracking.get_run(self.run_id).info
            if info.status in TERMINAL and not _since(info.end_time, told_to_end):
                status = info.status
                if info.end_time is not None:
                    return status
            self.tracking.update_run(self.run_id, status=status, end_time=_now())
        except TrackingNotFound as error:
            _log.warning("The run %s has vanished from %s while it ran: %s", self.run_id, self.tracking.shown, error)
        except TrackingError as error:
            _log.error(
                "The end of run %s (%s) could not be written, and %s will show it as running until somebody writes it, "
                "for example with mlflow.MlflowClient().set_terminated('%s', '%s'). %s",
                self.run_id,
                status,
                self.tracking.shown,
                self.run_id,
                status,
                error,
            )
        return status

    def _log_parameters(self, parameters: Mapping[str, str]) -> None:
        values = {storable(name): mask(storable(value), self._secrets) for name, value in parameters.items()}
        for name, value in values.items():
            if len(value) > LONGEST_PARAMETER:
                _log.warning(
                    "The value of parameter '%s' has %s characters; tracking gets the first %s. The command gets all.",
                    name,
                    f"{len(value):,}",
                    f"{LONGEST_PARAMETER:,}",
                )
        fitting = {name: cut(value, LONGEST_PARAMETER) for name, value in values.items()}
        for name, reason in self.tracking.log_parameters(self.run_id, fitting).items():
            _log.warning("The parameter '%s' is not recorded; the command gets it. %s", name, reason)


def default_user() -> str:
    """Who runs this, as MLflow finds it; a pod's user id may have no name."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return "unknown"


def _resume(tracking: Tracking, run_id: str, run_name: str | None) -> Run:
    run = tracking.get_run(run_id)
    if run.info.lifecycle_stage == "deleted":
        raise TrackingNotFound(
            f"The run {run_id} is deleted. Restore it with `mlflow runs restore --run-id {run_id}`, or begin a new one."
        )
    tracking.update_run(run_id, status=RUNNING, run_name=run_name)
    return run


def _tag(value: str, secrets: Collection[str]) -> str:
    return cut(mask(storable(value), secrets), LONGEST_TAG)


def _since(end_time: int | None, told_to_end: int | None) -> bool:
    return told_to_end is not None and end_time is not None and end_time >= told_to_end


def _now() -> int:
    return time.time_ns() // 1_000_000
