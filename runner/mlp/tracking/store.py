"""One open connection to a tracking store: what every kind of store can do for us.

Here is what does not depend on how a store is reached: which experiment is meant, and how many parameters and tags go
into one request. The subclasses know HTTP (`rest`) or the mlflow package (`package`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Final

from mlp.errors import TrackingError, TrackingNotFound, UsageError
from mlp.tracking.names import ENV_TRACKING_URI, UID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlp.tracking.credentials import ServerAccess
    from mlp.tracking.entities import FileInfo, Metric, Run

__all__ = ["Experiment", "Refused", "Tracking"]

BATCH: Final = 100
"""How many parameters or tags MLflow takes in one request; of metrics it would take more."""
DEFAULT_EXPERIMENT: Final = "0"
SEARCH_RESULTS: Final = 1000


class Refused(TrackingError):  # noqa: N818 -- named for what happened, as all of mlp.errors
    """The store was reached, and does not accept a value: a name with odd characters, a text that is too long."""


class Experiment:
    """An experiment: its id and name, and whether it is deleted (MLflow keeps those, and takes no runs for them)."""

    __slots__ = ("deleted", "experiment_id", "name")

    def __init__(self, experiment_id: str, name: str, lifecycle_stage: str) -> None:
        self.experiment_id = experiment_id
        self.name = name
        self.deleted = lifecycle_stage == "deleted"


class Tracking(ABC):
    """A tracking store. Safe for use by many threads.

    Attributes:
        uri: The address as a project's command gets it. It may hold the password of a database.
        shown: The address for messages and logs: never a password.
        default_experiment: The experiment of runs that name none, if the store has such a one.
    """

    default_experiment: str | None = DEFAULT_EXPERIMENT

    def __init__(self, uri: str, shown: str) -> None:
        self.uri = uri
        self.shown = shown

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shown!r})"

    def experiment(self, *, name: str | None = None, experiment_id: str | None = None) -> str:
        """The id of the experiment that is meant; one that is named and absent is created.

        Raises:
            UsageError: Both a name and an id were given, or none where the store has no default experiment.
            TrackingNotFound: There is no experiment of that id, or it is deleted.
        """
        if name is not None and experiment_id is not None:
            raise UsageError("Specify only one of 'experiment_name' or 'experiment_id'.")
        if name is not None:
            found = self._experiment_by_name(name) or self._create_experiment(name)
        elif experiment_id is not None:
            found = self._experiment_by_id(experiment_id)
        elif self.default_experiment is not None:
            return self.default_experiment
        else:
            raise UsageError(
                f"{self.shown} has no default experiment: name one, on Databricks by its path in the workspace "
                "(--experiment-name /Users/you@example.com/my-experiment, or MLFLOW_EXPERIMENT_NAME)."
            )
        if found.deleted:
            raise TrackingNotFound(
                f"The experiment '{found.name}' (id {found.experiment_id}) is deleted. Restore it with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`, or take another name."
            )
        return found.experiment_id

    def experiment_name(self, experiment_id: str) -> str:
        """The name of the experiment of an id.

        Raises:
            TrackingNotFound: There is none.
        """
        return self._experiment_by_id(experiment_id).name

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> dict[str, str]:
        """Log parameters, as many as the store accepts.

        Returns:
            The parameters that were refused, and the store's reasons.
        """
        refused: dict[str, str] = {}
        for batch in _batches(parameters):
            self._log_or_halve(run_id, batch, refused)
        return refused

    def _log_or_halve(self, run_id: str, parameters: Mapping[str, str], refused: dict[str, str]) -> None:
        """One bad parameter makes MLflow refuse a whole batch, and the server alone knows its rules."""
        try:
            self._log_batch(run_id, parameters=parameters)
        except Refused as refusal:
            if len(parameters) == 1:
                refused[next(iter(parameters))] = str(refusal)
                return
            names = iter(parameters)
            for half in (list(islice(names, len(parameters) // 2)), list(names)):
                self._log_or_halve(run_id, {name: parameters[name] for name in half}, refused)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run; those of the same names are replaced."""
        for batch in _batches(tags):
            self._log_batch(run_id, tags=batch)

    def log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        """Log values of metrics."""
        for start in range(0, len(metrics), BATCH):
            self._log_batch(run_id, metrics=metrics[start : start + BATCH])

    def environment(self) -> dict[str, str]:
        """The variables by which a project's command reaches the same store."""
        return {ENV_TRACKING_URI: self.uri}

    @property
    def access(self) -> ServerAccess | None:
        """How to ask the server for what this class does not know, such as artifacts. None: there is no server."""
        return None

    def abort(self) -> None:  # noqa: B027 -- not every store can
        """End what other threads have under way here, as far as the store can; it may be of no use afterwards."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections. The store may be used afterwards; it opens new ones."""

    @abstractmethod
    def create_run(
        self,
        experiment_id: str,
        *,
        run_name: str | None,
        tags: Mapping[str, str],
        start_time: int,
        unique: str = UID,
    ) -> Run:
        """Create a run, exactly one: a tag finds it again if the answer was lost.

        Args:
            run_name: None: MLflow makes one up.
            tags: If the unique one is among them and a run of the experiment has it, that run is given.
            start_time: Milliseconds since 1970.
            unique: The name of the tag that no other run has.
        """

    @abstractmethod
    def get_run(self, run_id: str) -> Run:
        """Look a run up.

        Raises:
            TrackingNotFound: There is none of that id.
        """

    @abstractmethod
    def update_run(
        self, run_id: str, *, status: str | None = None, end_time: int | None = None, run_name: str | None = None
    ) -> None:
        """Change what is given of a run. An end at 0 is none: the run goes on."""

    @abstractmethod
    def delete_tag(self, run_id: str, name: str) -> None:
        """Remove a tag of a run."""

    @abstractmethod
    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """All values of a metric, in the order in which they were logged."""

    @abstractmethod
    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        max_results: int = SEARCH_RESULTS,
        order_by: Sequence[str] = (),
    ) -> list[Run]:
        """Runs of experiments, by MLflow's filter language, at most so many."""

    @abstractmethod
    def list_artifacts(self, run_id: str, path: str = "") -> list[FileInfo]:
        """What lies directly in a directory of a run's artifacts."""

    @abstractmethod
    def _experiment_by_name(self, name: str) -> Experiment | None: ...

    @abstractmethod
    def _experiment_by_id(self, experiment_id: str) -> Experiment: ...

    @abstractmethod
    def _create_experiment(self, name: str) -> Experiment: ...

    @abstractmethod
    def _log_batch(
        self,
        run_id: str,
        *,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Sequence[Metric] = (),
    ) -> None:
        """Log at most BATCH of each.

        Raises:
            Refused: One of them is not acceptable; none was logged.
        """


def _batches(texts: Mapping[str, str]) -> Iterator[dict[str, str]]:
    entries = iter(texts.items())
    while batch := dict(islice(entries, BATCH)):
        yield batch
