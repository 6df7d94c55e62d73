"""A run's record in the tracking store: what goes in when it begins. How it is kept there is mlp.tracking's business.

Without a store there is no record: the run has an ID of its own then, and everything else works.
"""

from __future__ import annotations

import logging
import os
import sys
import uuid
from typing import TYPE_CHECKING, Final, Protocol

from mlp.source import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.backends.local.preparation import Known
    from mlp.backends.local.request import Request

__all__ = ["PARENT", "Record", "begin", "parent_run"]

PARENT: Final = "MLP_RUN_ID"
"""The variable by which a run that a project starts finds its parent. MLflow's own is gone once it was resumed."""

_log = logging.getLogger(__name__)


class Record(Protocol):
    """What a run needs of its record."""

    @property
    def run_id(self) -> str:
        """The run's ID."""

    @property
    def artifact_uri(self) -> str | None:
        """Where its artifacts go."""

    def environment(self) -> dict[str, str]:
        """The variables by which the project's own code finds the record."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add tags, or change them."""

    def finish(self, status: str, *, told_to_end: int | None = None) -> str:
        """Write how the run ended; returns what stands there in the end."""


class _NoRecord:
    """A run that nobody records."""

    def __init__(self, run_id: str | None) -> None:
        self.run_id: str = run_id or uuid.uuid4().hex
        self.artifact_uri: str | None = None

    def environment(self) -> dict[str, str]:
        return {}

    def set_tags(self, tags: Mapping[str, str]) -> None:
        pass

    def finish(self, status: str, *, told_to_end: int | None = None) -> str:  # noqa: ARG002 -- nothing is kept
        return status


def begin(request: Request, known: Known) -> Record:
    """Create the run's record, or take up the one that was asked for.

    Raises:
        TrackingError: The store does not do it.
        UsageError: The tracking URI cannot be one.
    """
    from mlp.tracking import connect  # noqa: PLC0415 -- not needed before the project is known

    tracking = connect(request.tracking_uri)
    if tracking is None:
        _log.info("Tracking is off: nothing is recorded. Set MLFLOW_TRACKING_URI to record runs.")
        return _NoRecord(request.run_id)
    from mlp.tracking import RunRecord, wanted_experiment  # noqa: PLC0415 -- nor these without a store

    wanted = wanted_experiment(os.environ, name=request.experiment_name, experiment_id=request.experiment_id)
    # Addresses may have credentials in them, which are nobody's parameter.
    parameters = {parameter.name: redact(parameter.raw) for parameter in known.invocation.parameters}
    secrets = [each.raw for each in known.invocation.parameters if each.name in request.secrets]
    return RunRecord.begin(
        tracking,
        experiment_id=tracking.experiment(**wanted),
        run_id=request.run_id,
        run_name=request.run_name,
        tags={**_tags(request, known), **request.tags},
        parameters=parameters,
        secrets=secrets,
    )


def _tags(request: Request, known: Known) -> dict[str, str]:
    """MLflow's tags of a project's run, and the project's name, which MLflow does not keep."""
    from mlp.source import provenance  # noqa: PLC0415
    from mlp.tracking import default_user, project_tags  # noqa: PLC0415

    origin = provenance(known.location, known.resolution, known.directory)
    return project_tags(
        user=default_user(),
        source=origin.name,
        entry_point=request.entry_point,
        backend="local",
        project=known.invocation.project_name,
        commit=origin.commit,
        repository=origin.repository,
        branch=origin.branch,
        parent=parent_run(),
    )


def parent_run() -> str | None:
    """The run that this one is started in: of the program that calls us, or of the project whose code that is."""
    if (mlflow := sys.modules.get("mlflow")) is not None and (active := mlflow.active_run()) is not None:
        return str(active.info.run_id)
    return os.environ.get(PARENT) or os.environ.get("MLFLOW_RUN_ID") or None
