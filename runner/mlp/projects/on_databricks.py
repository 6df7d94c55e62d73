"""A call of `run` as a run on Databricks: checked and packed here, recorded in MLflow, and submitted.

The project is read on this machine, with its user's own Git credentials, and none of them leaves it. The run's record
is made before it is submitted, so that it finds it; and however the submission ends, the record is true.
"""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlp.backends.configuration import read_backend_config
from mlp.errors import MlpError, TrackingNotFound, UsageError, WorkspaceUnavailable
from mlp.projects.staying import ways_on
from mlp.tracking import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlp.backends.databricks.configuration import Configuration as Settings
    from mlp.backends.databricks.connections import Connection
    from mlp.backends.databricks.preparing import Prepared
    from mlp.backends.databricks.submitted import DatabricksRun
    from mlp.backends.databricks.task import RemoteTask
    from mlp.backends.databricks.workspace import Workspace
    from mlp.backends.local import Request
    from mlp.projects.choice import Configuration
    from mlp.tracking import RunRecord, Tracking

__all__ = ["submit_to_databricks", "take_up"]

_LOCAL_TRACKING: Final = (
    "When running on Databricks, the MLflow tracking URI must be of the form 'databricks' or 'databricks://profile', "
    "or a remote HTTP URI accessible to both the current client and code running on Databricks. Got local tracking URI "
    "{}. Please specify a valid tracking URI via mlflow.set_tracking_uri or by setting the MLFLOW_TRACKING_URI "
    "environment variable."
)
"""MLflow's words, which scripts look for."""
_CREDENTIALS: Final = (names.ENV_USERNAME, names.ENV_PASSWORD, "MLFLOW_TRACKING_TOKEN")
_FIRST: Final = 1
"""The number of the submission: a call submits its run once."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Recording:
    """Where a run is recorded.

    Attributes:
        tracking: The store as it is reached from here; None for nowhere.
        uri: Its address as the cluster reaches it.
        profile: The profile of ~/.databrickscfg that the tracking URI names.
    """

    tracking: Tracking | None = None
    uri: str | None = None
    profile: str | None = None


def submit_to_databricks(request: Request, configuration: Configuration | None) -> DatabricksRun:
    """Submit to Databricks what was asked for.

    Args:
        request: What is asked for.
        configuration: The backend's configuration, as for `run`.

    Raises:
        UsageError: The configuration has something unknown, or a value that cannot be one; the tracking store is one
            of this machine.
        FieldNotSupported: The request has something that does not exist on Databricks.
        MlpError: The source, the project or a parameter is wrong, or the workspace does not do it. The run's record
            says that it failed, and nothing runs.
    """
    from mlp.backends.databricks.configuration import read_configuration  # noqa: PLC0415
    from mlp.backends.databricks.preparing import prepare, refuse  # noqa: PLC0415

    settings = read_configuration(read_backend_config(configuration))
    refuse(request)
    recording = _recording(request, settings)
    connection = _connection(settings, recording)
    with contextlib.ExitStack() as cleaning:
        prepared = prepare(request, settings, cleaning)
        if recording.tracking is not None:
            _log.info("Beginning the run in MLflow…", extra={"transient": True})
        record = _begin(request, prepared, recording)
        uid = uuid.uuid4().hex
        run_id = record.run_id if record is not None else request.run_id or uid
        task = _task(request, settings, prepared, recording, record, run_id, uid)
        try:
            _log.info("Asking the workspace %s…", connection.workspace.host, extra={"transient": True})
            number = _submit(connection.workspace, task, prepared)
        except BaseException as error:
            if record is not None:
                _end(record, error)
            raise
    run = _run(connection, number, run_id, record, settings)
    try:
        _tell_where(run, record)
    except KeyboardInterrupt:
        _log.warning("Run %s on Databricks goes on.\n%s", number, "\n".join(ways_on(run)))
        raise
    return run


def take_up(
    run_id: str, configuration: Configuration | None = None, *, tracking_uri: str | None = None
) -> DatabricksRun:
    """A run that another process has submitted, by its run in MLflow.

    Args:
        run_id: The run's ID in MLflow.
        configuration: As for `run`; only the workspace and the times count.
        tracking_uri: The tracking store; None for MLFLOW_TRACKING_URI.

    Raises:
        TrackingNotFound: There is no such run, or it is none on Databricks.
    """
    from mlp.backends.databricks.configuration import Configuration as Settings  # noqa: PLC0415
    from mlp.backends.databricks.configuration import read_configuration  # noqa: PLC0415
    from mlp.backends.databricks.task import Compute  # noqa: PLC0415
    from mlp.tracking import RunRecord, connect  # noqa: PLC0415

    given = read_backend_config(configuration)
    settings = read_configuration(given) if given else Settings(compute=Compute(serverless=True))
    tracking = connect(tracking_uri)
    if tracking is None:
        raise TrackingNotFound(f"There is no tracking store to find run {run_id} in: set MLFLOW_TRACKING_URI.")
    found = tracking.get_run(run_id)
    number = found.data.tags.get(names.DATABRICKS_SHELL_JOB_RUN_ID, "")
    if not number.isdecimal():
        raise TrackingNotFound(f"Run {run_id} says of no run on Databricks that it was.")
    uri = tracking_uri or os.environ.get(names.ENV_TRACKING_URI, "")
    connection = _connection(settings, _Recording(tracking, None, _profile(uri)))
    return _run(connection, int(number), run_id, RunRecord(tracking, found, ()), settings)


def _recording(request: Request, settings: Settings) -> _Recording:
    """Where the run is to be recorded, for which its user has to have said so.

    Raises:
        UsageError: In a store of this machine, which a cluster does not reach.
    """
    from mlp.projects.recording import reachable  # noqa: PLC0415
    from mlp.tracking import connect  # noqa: PLC0415
    from mlp.tracking.credentials import without_user  # noqa: PLC0415
    from mlp.tracking.databricks import is_databricks  # noqa: PLC0415

    uri = request.tracking_uri or os.environ.get(names.ENV_TRACKING_URI)
    if not uri or (not request.tracking_uri and connect() is None):
        _log.info("Nothing is recorded in MLflow: set MLFLOW_TRACKING_URI to 'databricks' or to a server's address.")
        return _Recording()
    shown = without_user(uri)[0] if "://" in uri else uri
    if is_databricks(uri):
        return _Recording(connect(uri), settings.tracking_uri or "databricks", _profile(uri))
    if not uri.lower().startswith(("http://", "https://")):
        raise UsageError(_LOCAL_TRACKING.format(shown))
    if settings.tracking_uri is None and not reachable(uri):
        _log.warning(
            "The cluster does not reach the tracking server %s of this machine: what the project logs is lost there. "
            "Name a server that it reaches, or this one's other address as 'tracking_uri' in the backend's "
            "configuration.",
            shown,
        )
    if shown != uri or any(os.environ.get(name) for name in _CREDENTIALS):
        _log.info(
            "Your credentials for the tracking server stay on this machine. A cluster has its own by spark_env_vars, "
            "from a secret scope: {{secrets/SCOPE/KEY}}."
        )
    return _Recording(connect(uri), settings.tracking_uri or shown)


def _profile(uri: str) -> str | None:
    scheme, _, profile = uri.partition("://")
    return profile.partition("/")[0] or None if scheme == "databricks" else None


def _connection(settings: Settings, recording: _Recording) -> Connection:
    from mlp.backends.databricks.connections import connection  # noqa: PLC0415 -- only runs there need it

    profile = settings.profile or recording.profile
    return connection(profile=profile, host=settings.host, poll_interval=settings.poll_interval)


def _begin(request: Request, prepared: Prepared, recording: _Recording) -> RunRecord | None:
    """Create the run's record, or take up the one that was asked for.

    Raises:
        TrackingError: The store does not do it.
    """
    tracking = recording.tracking
    if tracking is None:
        return None
    from mlp.tracking import RunRecord, wanted_experiment  # noqa: PLC0415 -- not needed without a store

    wanted = wanted_experiment(os.environ, name=request.experiment_name, experiment_id=request.experiment_id)
    return RunRecord.begin(
        tracking,
        experiment_id=tracking.experiment(**wanted),
        run_id=request.run_id,
        run_name=request.run_name,
        tags={**_tags(request, prepared), **request.tags},
        parameters=prepared.parameters,
    )


def _tags(request: Request, prepared: Prepared) -> Mapping[str, str]:
    from mlp.backends.local.recording import parent_run  # noqa: PLC0415
    from mlp.source import provenance  # noqa: PLC0415
    from mlp.tracking import default_user, project_tags  # noqa: PLC0415

    brought = prepared.brought
    origin = provenance(brought.location, brought.resolution, brought.directory)
    tags = project_tags(
        user=default_user(),
        source=origin.name,
        entry_point=request.entry_point,
        backend="databricks",
        project=prepared.project_name,
        commit=origin.commit,
        repository=origin.repository,
        branch=origin.branch,
        parent=parent_run(),
    )
    return {**tags, **prepared.tags}


def _task(
    request: Request,
    settings: Settings,
    prepared: Prepared,
    recording: _Recording,
    record: RunRecord | None,
    run_id: str,
    uid: str,
) -> RemoteTask:
    from mlp.backends.databricks.task import Assignment, RemoteTask, token_of  # noqa: PLC0415
    from mlp.source import redact  # noqa: PLC0415

    return RemoteTask(
        name=f"MLflow Run for {redact(request.uri)}",
        token=token_of(uid, _FIRST),
        compute=prepared.compute,
        project=prepared.project,
        assignment=Assignment(
            directory=f"/tmp/mlp-{uid}",  # noqa: S108 -- on a cluster, made anew by the run, for its user alone
            subdirectory=prepared.project.subdirectory,
            entry_point=request.entry_point,
            parameters=prepared.given,
            manager=prepared.manager,
            validate=request.validate,
            tracking_uri=recording.uri,
            run_id=None if record is None else run_id,
            known_as=run_id if record is None else None,
            experiment_id=None if record is None else record.experiment_id,
        ),
        upload_to=settings.upload_to,
        timeout_seconds=settings.timeout_seconds,
        run_as=settings.run_as,
        tags=settings.tags,
    )


def _end(record: RunRecord, error: BaseException) -> None:
    """Record that a run was not submitted, and why."""
    status = "FAILED" if isinstance(error, Exception) else "KILLED"
    if record.finish(status) == status and isinstance(error, MlpError):
        with contextlib.suppress(MlpError):
            record.set_tags({names.REASON: error.reason, names.MESSAGE: str(error)})


def _submit(workspace: Workspace, task: RemoteTask, prepared: Prepared) -> int:
    """Submit, so that whatever interrupts it leaves nothing behind that runs.

    Raises:
        MlpError: The workspace did not do it. Whether it has begun a run nevertheless, the message says.
    """
    from mlp.backends.databricks.submitting import submit  # noqa: PLC0415

    began = False

    def begin() -> None:
        nonlocal began
        began = True

    try:
        return submit(
            workspace,
            task,
            lambda: prepared.archive,
            before_project=lambda: _log.info("%s", prepared.said),
            before_sending=begin,
        )
    except (WorkspaceUnavailable, KeyboardInterrupt, SystemExit) as error:
        # What was not answered may have been done. The same call finds out: the token makes it the same run.
        if not began:
            raise
        _log.info("The submission was not answered. Seeing to it that nothing of it runs…")
        if _undone(workspace, task, prepared.archive):
            raise
        unknown = (
            "Nobody knows whether the workspace has begun a run: before you submit it again, look there for one that "
            f"is called '{task.name}'."
        )
        if isinstance(error, WorkspaceUnavailable):
            raise WorkspaceUnavailable(f"{error} {unknown}", after=error.after) from None
        _log.warning("%s", unknown)
        raise


def _undone(workspace: Workspace, task: RemoteTask, archive: bytes) -> bool:
    """See to it that nothing runs of a submission that was not answered; whether that is certain."""
    from mlp.backends.databricks.submitting import submit  # noqa: PLC0415

    try:
        workspace.cancel(submit(workspace, task, lambda: archive))
    except (MlpError, KeyboardInterrupt):  # whoever cannot wait for that is told, too, that it is not certain
        return False
    return True


def _run(
    connection: Connection, number: int, run_id: str, record: RunRecord | None, settings: Settings
) -> DatabricksRun:
    from mlp.backends.databricks.submitted import DatabricksRun  # noqa: PLC0415

    return DatabricksRun(
        connection.workspace,
        connection.poller,
        number,
        run_id=run_id,
        record=record,
        status_check_timeout=settings.status_check_timeout,
    )


def _tell_where(run: DatabricksRun, record: RunRecord | None) -> None:
    """Say at once where the run is to be found, here and in its record. It goes on, whatever comes of that."""
    number = run.databricks_run_id
    _log.info("=== Launched MLflow run as Databricks job run with ID %s. Getting run status page URL... ===", number)
    tags: dict[str, Any] = {
        names.DATABRICKS_SHELL_JOB_RUN_ID: str(number),
        names.DATABRICKS_WEBAPP_URL: run.workspace.host,
    }
    try:
        run.state()
        if run.url:
            _log.info("=== Check the run's status at %s ===", run.url)
            tags[names.DATABRICKS_RUN_URL] = run.url
        if record is not None:
            record.set_tags(tags)
    except MlpError as error:
        _log.warning("The run was submitted, but not all of that could be looked up or recorded: %s", error)
