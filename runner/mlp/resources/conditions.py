"""The words of a ProjectRun's status: condition types, reasons, phases and the reasons of its events.

Conditions are the truth about a run. ``Succeeded`` tells the outcome (True, False, or Unknown while it goes on);
``Ready``, ``Reconciling`` and ``Stalled`` say the same in the terms of kstatus, for GitOps tools; the rest tell how
far the run has come. A phase is the summary in one word for people and is derived from the conditions, never read.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ConditionType", "EventReason", "Phase", "Reason"]


class ConditionType(StrEnum):
    """Types of a ProjectRun's conditions."""

    SUCCEEDED = "Succeeded"
    """The outcome: True, False, or Unknown as long as the run goes on."""
    READY = "Ready"
    """True once the run has succeeded (kstatus: Current)."""
    RECONCILING = "Reconciling"
    """True while the operator or the cluster works on the run (kstatus: InProgress). Absent otherwise."""
    STALLED = "Stalled"
    """True when the run has failed and nothing more will happen (kstatus: Failed). Absent otherwise."""
    RESOLVED = "Resolved"
    """The version is a commit, the entry point is known, the parameters fit."""
    SUBMITTED = "Submitted"
    """The Job (or the Databricks run) exists."""
    ADMITTED = "Admitted"
    """The queue has granted quota. Absent without a queue."""
    INITIALIZED = "Initialized"
    """The project, its data and its environment are in place; the command can start."""
    SUSPENDED = "Suspended"
    """True while the user has suspended the run, False afterwards. Absent if that never was."""
    TRACKED = "Tracked"
    """Whether the MLflow run says what this one does. Absent without a tracking server."""


class Reason(StrEnum):
    """Reasons of the conditions, in the order of a run's life."""

    PENDING = "Pending"
    RESOLVING = "Resolving"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    RESOLVED = "Resolved"

    FIELD_NOT_SUPPORTED = "FieldNotSupported"
    INVALID_SPEC = "InvalidSpec"
    ENTRY_POINT_NOT_FOUND = "EntryPointNotFound"
    PARAMETER_MISSING = "ParameterMissing"
    PARAMETER_INVALID = "ParameterInvalid"
    PROJECT_INVALID = "ProjectInvalid"
    SOURCE_INVALID = "SourceInvalid"
    SOURCE_NOT_FOUND = "SourceNotFound"
    AUTHENTICATION_FAILED = "AuthenticationFailed"

    SUBMITTED = "Submitted"
    WAITING_FOR_QUOTA = "WaitingForQuota"
    ADMITTED = "Admitted"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"

    POD_REFUSED = "PodRefused"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    VOLUME_PENDING = "VolumePending"
    VOLUME_MOUNT_FAILED = "VolumeMountFailed"
    PARAMETER_SOURCE_PENDING = "ParameterSourcePending"
    FETCHING = "Fetching"
    BUILDING_ENVIRONMENT = "BuildingEnvironment"
    INITIALIZED = "Initialized"
    WORKSPACE_UNAVAILABLE = "WorkspaceUnavailable"
    WAITING_FOR_COMPUTE = "WaitingForCompute"
    RUNNING = "Running"
    ENDING = "Ending"
    RETRYING = "Retrying"

    SUCCEEDED = "Succeeded"
    ENTRY_POINT_FAILED = "EntryPointFailed"
    RECORDED = "Recorded"
    TRACKING_UNAVAILABLE = "TrackingUnavailable"
    TRACKING_DENIED = "TrackingDenied"
    TRACKING_NOT_FOUND = "TrackingNotFound"

    PREPARATION_FAILED = "PreparationFailed"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    OOM_KILLED = "OOMKilled"
    EVICTED = "Evicted"
    NODE_LOST = "NodeLost"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    PENDING_DEADLINE_EXCEEDED = "PendingDeadlineExceeded"
    CANCELLED = "Cancelled"
    JOB_DELETED = "JobDeleted"
    JOB_CONFLICT = "JobConflict"
    JOB_REFUSED = "JobRefused"
    WORKSPACE_DENIED = "WorkspaceDenied"
    WORKSPACE_REFUSED = "WorkspaceRefused"
    WORKSPACE_FAILED = "WorkspaceFailed"
    RUN_SKIPPED = "RunSkipped"
    RUN_LOST = "RunLost"
    STATUS_CHECK_TIMEOUT = "StatusCheckTimeout"


class Phase(StrEnum):
    """A run's state in one word, for people. More may come: nothing may depend on the set being complete."""

    PENDING = "Pending"
    RESOLVING = "Resolving"
    QUEUED = "Queued"
    SUSPENDED = "Suspended"
    PREPARING = "Preparing"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class EventReason(StrEnum):
    """Reasons of the events on a ProjectRun, one for each transition."""

    PROJECT_RESOLVED = "ProjectResolved"
    PROJECT_RESOLUTION_FAILED = "ProjectResolutionFailed"
    JOB_CREATED = "JobCreated"
    JOB_ADOPTED = "JobAdopted"
    JOB_DELETED = "JobDeleted"
    RUN_QUEUED = "RunQueued"
    RUN_ADMITTED = "RunAdmitted"
    RUN_STARTED = "RunStarted"
    RUN_SUCCEEDED = "RunSucceeded"
    RUN_FAILED = "RunFailed"
    RUN_RETRYING = "RunRetrying"
    RUN_SUSPENDED = "RunSuspended"
    RUN_RESUMED = "RunResumed"
    RUN_CANCELLED = "RunCancelled"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    DATABRICKS_RUN_SUBMITTED = "DatabricksRunSubmitted"
    DATABRICKS_RUN_CANCELLED = "DatabricksRunCancelled"
    DATABRICKS_RUN_ABANDONED = "DatabricksRunAbandoned"
