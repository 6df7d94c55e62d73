"""A tracking store behind MLflow's REST API: an MLflow server, or Databricks.

Translates between our words and the API's JSON. How requests are sent, and what failures mean, is `connection`'s.
"""

# ruff: noqa: D102 -- `Tracking` says what its methods do

from __future__ import annotations

import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any, Final

from mlp.errors import TrackingError, TrackingNotFound
from mlp.tracking.entities import KILLED, FileInfo, Metric, Run, metric_from_json, metric_to_json
from mlp.tracking.names import UID, USER
from mlp.tracking.retrying import Patience, persist
from mlp.tracking.store import SEARCH_RESULTS, Experiment, Tracking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlp.tracking.connection import Connection
    from mlp.tracking.credentials import ServerAccess

__all__ = ["RestTracking"]

PAGE_OF_RUNS: Final = 1000
PAGE_OF_METRICS: Final = 25000
# The server asks another one for them, and says "internal error" to whatever that one refuses: no use insisting.
OF_ARTIFACTS: Final = Patience(attempts=3, seconds=15.0)


class RestTracking(Tracking):
    """A store that is reached by HTTP."""

    def __init__(self, uri: str, shown: str, connection: Connection, variables: Mapping[str, str]) -> None:
        """Take a connection over.

        Args:
            variables: What a project's command needs to reach the same store.
        """
        super().__init__(uri, shown)
        self._connection = connection
        self._variables = dict(variables)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self._variables}

    @property
    def access(self) -> ServerAccess:
        return self._connection.access

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._connection.abort()

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
        body: dict[str, Any] = {
            "experiment_id": experiment_id,
            "start_time": start_time,
            "tags": _pairs({**tags, unique: uid}),
        }
        if run_name:
            body["run_name"] = run_name
        if user := tags.get(USER):
            body["user_id"] = user
        may_exist = unique in tags

        def create() -> Run:
            nonlocal may_exist
            # The API cannot tell a repeated request from a second run. A run that is there is the answer that we lost.
            if may_exist and (found := self._find(experiment_id, unique, uid)):
                return found
            may_exist = True
            return Run.from_json(
                self._connection.part("run", "runs/create", self._connection.once("POST", "runs/create", body=body))
            )

        try:
            return persist(create, self._connection.patience)
        except (KeyboardInterrupt, SystemExit):
            # It may be there although its answer never came, and nobody else would end it.
            with contextlib.suppress(TrackingError):
                if found := self._find(experiment_id, unique, uid):
                    self.update_run(found.info.run_id, status=KILLED, end_time=time.time_ns() // 1_000_000)
            raise

    def get_run(self, run_id: str) -> Run:
        return Run.from_json(
            self._connection.part("run", "runs/get", self._connection.get("runs/get", {"run_id": run_id}))
        )

    def update_run(
        self, run_id: str, *, status: str | None = None, end_time: int | None = None, run_name: str | None = None
    ) -> None:
        changes = {"status": status, "end_time": end_time, "run_name": run_name}
        given = {name: value for name, value in changes.items() if value is not None}
        self._connection.post("runs/update", {"run_id": run_id, **given})

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        query: dict[str, str | int] = {"run_id": run_id, "metric_key": key, "max_results": PAGE_OF_METRICS}
        pages = self._pages("metrics/get-history", query)
        return [metric_from_json(metric) for page in pages for metric in page.get("metrics", ())]

    def search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str = "",
        max_results: int = SEARCH_RESULTS,
        order_by: Sequence[str] = (),
    ) -> list[Run]:
        body: dict[str, Any] = {
            "experiment_ids": list(experiment_ids),
            "filter": filter_string,
            "order_by": list(order_by),
            "run_view_type": "ACTIVE_ONLY",
        }
        runs: list[Run] = []
        while len(runs) < max_results:
            body["max_results"] = min(PAGE_OF_RUNS, max_results - len(runs))
            page = self._connection.post("runs/search", body)
            runs += [Run.from_json(run) for run in page.get("runs", ())]
            body["page_token"] = page.get("next_page_token")
            if not body["page_token"]:
                break
        return runs

    def list_artifacts(self, run_id: str, path: str = "") -> list[FileInfo]:
        query: dict[str, str | int] = {"run_id": run_id, **({"path": path} if path else {})}
        files = [file for page in self._pages("artifacts/list", query, OF_ARTIFACTS) for file in page.get("files", ())]
        return [
            FileInfo(
                path=file["path"],
                is_dir=bool(file.get("is_dir")),
                file_size=int(file["file_size"]) if file.get("file_size") is not None else None,
            )
            for file in files
        ]

    def delete_tag(self, run_id: str, name: str) -> None:
        try:
            self._connection.post("runs/delete-tag", {"run_id": run_id, "key": name})
        except TrackingNotFound:
            # It is gone: somebody was faster, or an earlier attempt of ours whose answer was lost. Else the run is.
            self.get_run(run_id)

    def _find(self, experiment_id: str, name: str, uid: str) -> Run | None:
        body = {
            "experiment_ids": [experiment_id],
            "filter": f"tags.`{name}` = '{uid}'",
            "order_by": ["attributes.start_time ASC"],
            "max_results": 1,
        }
        runs = self._connection.once("POST", "runs/search", body=body).get("runs", ())
        return Run.from_json(runs[0]) if runs else None

    def _pages(
        self, path: str, query: Mapping[str, str | int], patience: Patience | None = None
    ) -> Iterator[dict[str, Any]]:
        page = self._connection.get(path, query, patience=patience)
        yield page
        while token := page.get("next_page_token"):
            page = self._connection.get(path, {**query, "page_token": token}, patience=patience)
            yield page

    def _experiment_by_name(self, name: str) -> Experiment | None:
        try:
            answer = self._connection.get("experiments/get-by-name", {"experiment_name": name})
        except TrackingNotFound:
            return None
        return _experiment(self._connection.part("experiment", "experiments/get-by-name", answer))

    def _experiment_by_id(self, experiment_id: str) -> Experiment:
        answer = self._connection.get("experiments/get", {"experiment_id": experiment_id})
        return _experiment(self._connection.part("experiment", "experiments/get", answer))

    def _create_experiment(self, name: str) -> Experiment:
        try:
            answer = self._connection.post("experiments/create", {"name": name})
        except TrackingError:
            # Somebody else was faster, or an earlier attempt of ours whose answer was lost.
            if found := self._experiment_by_name(name):
                return found
            raise
        return Experiment(str(answer["experiment_id"]), name, "active")

    def _log_batch(
        self,
        run_id: str,
        *,
        parameters: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Sequence[Metric] = (),
    ) -> None:
        body: dict[str, Any] = {"run_id": run_id, "params": _pairs(parameters or {}), "tags": _pairs(tags or {})}
        if metrics:
            body["metrics"] = [metric_to_json(metric) for metric in metrics]
        self._connection.post("runs/log-batch", body)


def _pairs(texts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in texts.items()]


def _experiment(answer: Mapping[str, Any]) -> Experiment:
    return Experiment(str(answer["experiment_id"]), answer.get("name", ""), answer.get("lifecycle_stage", "active"))
