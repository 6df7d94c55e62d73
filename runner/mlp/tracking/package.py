"""A tracking store that only the mlflow package can reach: files, databases, plugins' own.

The package is imported when the store is first used: that takes seconds, and a program may never come to it. Nothing
here knows HTTP.
"""

# ruff: noqa: D102 -- `Tracking` says what its methods do

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from mlp.errors import TrackingDenied, TrackingError, TrackingNotFound
from mlp.tracking.entities import FileInfo, Metric, Run, RunData, RunInfo
from mlp.tracking.names import UID
from mlp.tracking.retrying import Patience, Unanswered, persist
from mlp.tracking.store import SEARCH_RESULTS, Experiment, Refused, Tracking

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["PackageTracking", "has_mlflow"]

_Result = TypeVar("_Result")

PATIENCE = Patience(attempts=100, seconds=30.0)


def has_mlflow(*, with_databases: bool = False) -> bool:
    """Is the mlflow package installed (mlflow-skinny is, without databases). Imports nothing of it."""
    wanted = ("mlflow", "sqlalchemy", "alembic") if with_databases else ("mlflow",)
    # A directory named mlflow where Python looks for packages has a spec too, without an origin.
    return all((spec := importlib.util.find_spec(name)) is not None and spec.origin is not None for name in wanted)


class PackageTracking(Tracking):
    """A store that is reached through MLflow's own client."""

    def __init__(self, uri: str, shown: str) -> None:
        super().__init__(uri, shown)
        self._lock = threading.Lock()
        self._opened: Any = None
        # SQLite has one writer at a time, and SQLAlchemy's pool few connections: many threads would starve there.
        self._turn = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._opened = None

    def create_run(
        self,
        experiment_id: str,
        *,
        run_name: str | None,
        tags: Mapping[str, str],
        start_time: int,
        unique: str = UID,
    ) -> Run:
        uid = tags.get(unique) or uuid.uuid4().hex
        tags = {**tags, unique: uid}

        def create(client: Any) -> Run:  # noqa: ANN401 -- mlflow is not imported for its types
            found = client.search_runs([experiment_id], f"tags.`{unique}` = '{uid}'", max_results=1)
            if not found:
                found = [client.create_run(experiment_id, start_time=start_time, tags=tags, run_name=run_name)]
            return _run(found[0])

        return self._do(create)

    def get_run(self, run_id: str) -> Run:
        return self._do(lambda client: _run(client.get_run(run_id)))

    def update_run(
        self, run_id: str, *, status: str | None = None, end_time: int | None = None, run_name: str | None = None
    ) -> None:
        if end_time is not None:
            self._do(lambda client: client.set_terminated(run_id, status=status, end_time=end_time))
            status = None
        if status is not None or run_name is not None:
            self._do(lambda client: client.update_run(run_id, status=status, name=run_name))

    def delete_tag(self, run_id: str, name: str) -> None:
        self._do(lambda client: client.delete_tag(run_id, name))

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        found = self._do(lambda client: client.get_metric_history(run_id, key))
        return [Metric(metric.key, metric.value, metric.timestamp, metric.step) for metric in found]

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        max_results: int = SEARCH_RESULTS,
        order_by: Sequence[str] = (),
    ) -> list[Run]:
        found = self._do(
            lambda client: client.search_runs(
                list(experiment_ids), filter_string, max_results=max_results, order_by=list(order_by)
            )
        )
        return [_run(run) for run in found]

    def list_artifacts(self, run_id: str, path: str = "") -> list[FileInfo]:
        found = self._do(lambda client: client.list_artifacts(run_id, path or None))
        return [FileInfo(file.path, file.is_dir, file.file_size) for file in found]

    def _experiment_by_name(self, name: str) -> Experiment | None:
        found = self._do(lambda client: client.get_experiment_by_name(name))
        return None if found is None else _experiment(found)

    def _experiment_by_id(self, experiment_id: str) -> Experiment:
        return _experiment(self._do(lambda client: client.get_experiment(experiment_id)))

    def _create_experiment(self, name: str) -> Experiment:
        try:
            return Experiment(self._do(lambda client: client.create_experiment(name)), name, "active")
        except TrackingError:
            # Somebody else was faster.
            if found := self._experiment_by_name(name):
                return found
            raise

    def _log_batch(
        self,
        run_id: str,
        *,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Sequence[Metric] = (),
    ) -> None:
        def log(client: Any) -> None:  # noqa: ANN401 -- mlflow is not imported for its types
            entities = importlib.import_module("mlflow.entities")
            client.log_batch(
                run_id,
                params=[entities.Param(key, value) for key, value in (parameters or {}).items()],
                tags=[entities.RunTag(key, value) for key, value in (tags or {}).items()],
                metrics=[entities.Metric(each.key, each.value, each.timestamp, each.step) for each in metrics],
            )

        self._do(log)

    def _do(self, work: Callable[[Any], _Result]) -> _Result:
        def attempt() -> _Result:
            client = self._client()
            exceptions = importlib.import_module("mlflow.exceptions")
            try:
                with self._turn:
                    return work(client)
            except exceptions.MlflowException as error:
                raise self._meaning(error) from None
            except Exception as error:
                # SQLAlchemy's, and those of the drivers below it.
                raise TrackingError(f"The tracking store {self.shown} fails: {self._clean(error)}") from error

        return persist(attempt, PATIENCE)

    def _client(self) -> Any:  # noqa: ANN401 -- mlflow is not imported for its types
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> Any:  # noqa: ANN401 -- mlflow is not imported for its types
        self._make_database()
        try:
            mlflow = importlib.import_module("mlflow")
            exceptions = importlib.import_module("mlflow.exceptions")
        except ImportError as error:
            raise TrackingError(
                f"The tracking store {self.shown} needs the mlflow package ({error}): pip install mlflow. Servers "
                "(http://, https://, databricks) need nothing."
            ) from None
        # Making a database takes thirty steps, each of which would be a line on the user's screen.
        for noisy in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        try:
            return mlflow.MlflowClient(tracking_uri=self.uri)
        except exceptions.MlflowException as error:
            raise self._meaning(error) from None
        except Exception as error:  # noqa: BLE001 -- SQLAlchemy's and the drivers'
            raise TrackingError(f"The tracking store {self.shown} cannot be opened: {self._clean(error)}") from None

    def _make_database(self) -> None:
        """Make a file for SQLite. MLflow would try for two minutes to, with an error each time, where nobody can.

        Raises:
            TrackingError: Nobody can, as in the directory of a pod's image.
        """
        parts = urlsplit(self.uri)
        # Releases of SQLAlchemy do not agree on what escapes mean.
        if parts.scheme != "sqlite" or not parts.path.startswith("//") or "%" in parts.path:
            return
        file = Path(parts.path[1:])
        try:
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        except OSError as error:
            raise TrackingError(
                f"The tracking store {self.shown} cannot be made: {error.strerror}. Name another one in "
                "MLFLOW_TRACKING_URI; MLP_TRACKING=off runs without tracking."
            ) from None

    def _meaning(self, error: Any) -> TrackingError:  # noqa: ANN401 -- mlflow is not imported for its types
        code = getattr(error, "error_code", "")
        said = self._clean(getattr(error, "message", error))
        if "MLFLOW_ALLOW_FILE_STORE" in said:
            return TrackingError(
                f"MLflow no longer writes to directories of files such as {self.shown}. Set MLFLOW_TRACKING_URI to a "
                "database (sqlite:///mlflow.db; `mlflow migrate-filestore` takes the runs along) or to a server, or "
                "allow it once more with MLFLOW_ALLOW_FILE_STORE=true."
            )
        kinds: dict[str, type[TrackingError]] = {
            "RESOURCE_DOES_NOT_EXIST": TrackingNotFound,
            "PERMISSION_DENIED": TrackingDenied,
            "UNAUTHENTICATED": TrackingDenied,
            "INVALID_PARAMETER_VALUE": Refused,
            "BAD_REQUEST": Refused,
            "TEMPORARILY_UNAVAILABLE": Unanswered,
            "RESOURCE_EXHAUSTED": Unanswered,
            "REQUEST_LIMIT_EXCEEDED": Unanswered,
        }
        # A database that another process has locked is reported as an internal error, or as a bad request.
        kind = Unanswered if "database is locked" in said else kinds.get(code, TrackingError)
        return kind(f"The tracking store {self.shown}: {said}")

    def _clean(self, text: object) -> str:
        """SQLAlchemy masks passwords; a driver may show the whole address."""
        return str(text).replace(self.uri, self.shown)


def _experiment(found: Any) -> Experiment:  # noqa: ANN401 -- mlflow is not imported for its types
    return Experiment(found.experiment_id, found.name, found.lifecycle_stage)


def _run(found: Any) -> Run:  # noqa: ANN401 -- mlflow is not imported for its types
    info = found.info
    return Run(
        info=RunInfo(
            run_id=info.run_id,
            run_name=info.run_name or "",
            experiment_id=str(info.experiment_id),
            status=info.status,
            start_time=info.start_time,
            end_time=info.end_time or None,
            artifact_uri=info.artifact_uri or "",
            lifecycle_stage=info.lifecycle_stage,
        ),
        data=RunData(metrics=dict(found.data.metrics), params=dict(found.data.params), tags=dict(found.data.tags)),
    )
