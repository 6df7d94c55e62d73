"""The MLflow run of a project on the driver: begun by whoever submitted it, taken up and ended here.

The tracking server may be out of the cluster's reach, or want credentials that only the project's own code has there.
That is said, and changes nothing: a run's outcome is not that of its record.
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from mlp.errors import MlpError
from mlp.tracking.names import ENV_EXPERIMENT_ID, ENV_RUN_ID, ENV_TRACKING_URI

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.backends.databricks.task import Assignment
    from mlp.tracking import RunRecord

__all__ = ["RemoteRecord", "tracking_uri"]

_log = logging.getLogger(__name__)


class RemoteRecord:
    """What a run on the driver needs of its record.

    Args:
        assignment: Names the server and the run.
    """

    def __init__(self, assignment: Assignment) -> None:
        self.run_id = assignment.run_id or assignment.known_as or uuid.uuid4().hex
        self.artifact_uri: str | None = None
        self._variables = _variables(assignment)
        self._record = self._begin(assignment)

    def environment(self) -> dict[str, str]:
        """The variables by which the project's own code finds the record: also where we did not find it."""
        found = self._record.environment() if self._record is not None else {}
        return {**self._variables, **found}

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Does nothing: whoever submitted the run has tagged it."""

    def finish(self, status: str, *, told_to_end: int | None = None) -> str:
        """Write how the run ended; what stands there in the end."""
        return status if self._record is None else self._record.finish(status, told_to_end=told_to_end)

    def _begin(self, assignment: Assignment) -> RunRecord | None:
        uri = tracking_uri(assignment)
        if uri is None or assignment.run_id is None:
            return None
        from mlp.tracking import RunRecord, connect  # noqa: PLC0415 -- not needed without a store

        try:
            tracking = connect(uri)
            return None if tracking is None else RunRecord.begin(tracking, run_id=assignment.run_id)
        except MlpError as error:
            _log.warning(
                "The MLflow run %s cannot be reached from here, so whoever submitted it will write how it ended. %s",
                assignment.run_id,
                error,
            )
            return None


def tracking_uri(assignment: Assignment) -> str | None:
    """The tracking server as it is named on the driver: profiles are files of the machine that submitted the run."""
    uri = assignment.tracking_uri
    return "databricks" if uri is not None and uri.startswith("databricks:") else uri


def _variables(assignment: Assignment) -> dict[str, str]:
    named = {
        ENV_TRACKING_URI: tracking_uri(assignment),
        ENV_RUN_ID: assignment.run_id,
        ENV_EXPERIMENT_ID: assignment.experiment_id,
    }
    return {**assignment.variables, **{name: value for name, value in named.items() if value}}
