"""One tree of errors for the whole of mlp.

    MlpError
    ├── UsageError                     the call itself is wrong (a flag, a field, a name)
    │   └── FieldNotSupported          a field of the API that this version does not act on yet
    ├── ExecutionException             MLflow's name for all that keeps a project from running well
    │   ├── ProjectError
    │   │   ├── ProjectInvalid         the MLproject file cannot be understood
    │   │   ├── EntryPointNotFound
    │   │   ├── ParameterMissing
    │   │   ├── ParameterInvalid
    │   │   └── ParameterPending       temporary: the Secret or ConfigMap with its value is not there yet
    │   ├── SourceError
    │   │   ├── SourceNotFound         no such repository, branch, commit or directory
    │   │   ├── AuthenticationFailed
    │   │   ├── SourceUnavailable      temporary: the network, or the server
    │   │   └── SourceInvalid          a URI that cannot name a project
    │   ├── DataError
    │   │   ├── DataNotFound           no such object, file, run or artifact
    │   │   ├── DataAccessDenied       credentials are wanted, or not enough
    │   │   ├── DataUnavailable        temporary: the network, or the server
    │   │   ├── DataCorrupt            temporary: what arrived is not what is stored
    │   │   └── DataInvalid            an address or a name that cannot be downloaded
    │   ├── PreparationError           a project's environment: EnvironmentError is taken by Python
    │   │   ├── EnvironmentInvalid     the environment file cannot be understood
    │   │   ├── EnvironmentUnsolvable  no such package, or no versions that fit together
    │   │   ├── EnvironmentUnavailable temporary: a channel or an index does not answer
    │   │   ├── EnvironmentAccessDenied a channel or an index wants credentials, or others
    │   │   ├── VolumeFull             temporary: no room where environments are kept
    │   │   ├── VolumeWithoutLocks     two runs there could build one environment at once
    │   │   ├── VolumeNotWritable      environments are kept where nothing can be written
    │   │   └── EngineUnavailable      there is no container engine for docker_env
    │   ├── TrackingError
    │   │   ├── TrackingNotFound       no such experiment or run
    │   │   ├── TrackingDenied         credentials are wanted, or not enough
    │   │   └── TrackingUnavailable    temporary: the network, or the server
    │   ├── WorkspaceError             a Databricks workspace did not do what it was asked
    │   │   ├── WorkspaceDenied        credentials are wanted, or not enough
    │   │   ├── WorkspaceRefused       the request is wrong: a cluster, a library, a path
    │   │   ├── WorkspaceNotFound      no such run, file or cluster
    │   │   └── WorkspaceUnavailable   temporary: the network, a limit of requests, or the workspace
    │   └── RunError                   a run ended otherwise than well
    │       ├── RunFailed              the project's own command ended with another code than 0
    │       ├── RunCancelled
    │       └── WaitTimedOut           the run goes on; only the waiting has ended
    └── ClusterError                   the Kubernetes API did not do what it was asked
        ├── ClusterUnreachable         temporary
        └── RunNotFound                there is no ProjectRun of that name, or no longer

Each class has a ``reason``, the CamelCase word that stands in a status condition and in an event, and an
``exit_code`` from sysexits.h that a step in a pod ends with, so that the Job's podFailurePolicy can tell a mistake
of the user (do not retry) from an accident (retry). The command line has its own, smaller set: see mlp.cli.
"""

# ruff: noqa: N818 -- each is named for what happened, as the reason of a condition is

from __future__ import annotations

__all__ = [
    "AuthenticationFailed",
    "ClusterError",
    "ClusterUnreachable",
    "DataAccessDenied",
    "DataCorrupt",
    "DataError",
    "DataInvalid",
    "DataNotFound",
    "DataUnavailable",
    "EngineUnavailable",
    "EntryPointNotFound",
    "EnvironmentAccessDenied",
    "EnvironmentInvalid",
    "EnvironmentUnavailable",
    "EnvironmentUnsolvable",
    "ExecutionException",
    "FieldNotSupported",
    "MlpError",
    "ParameterInvalid",
    "ParameterMissing",
    "ParameterPending",
    "PreparationError",
    "ProjectError",
    "ProjectInvalid",
    "RunCancelled",
    "RunError",
    "RunFailed",
    "RunNotFound",
    "SourceError",
    "SourceInvalid",
    "SourceNotFound",
    "SourceUnavailable",
    "TrackingDenied",
    "TrackingError",
    "TrackingNotFound",
    "TrackingUnavailable",
    "UsageError",
    "VolumeFull",
    "VolumeNotWritable",
    "VolumeWithoutLocks",
    "WaitTimedOut",
    "WorkspaceDenied",
    "WorkspaceError",
    "WorkspaceNotFound",
    "WorkspaceRefused",
    "WorkspaceUnavailable",
]


class MlpError(Exception):
    """Anything that mlp tells a user. The message names the offending thing and the way out.

    Attributes:
        reason: CamelCase word for a condition or an event.
        exit_code: Exit status of a step in a pod (sysexits.h).
        temporary: Whether the same call may succeed later without a change by the user.
    """

    reason = "Error"
    exit_code = 70
    temporary = False


class UsageError(MlpError):
    """The call is wrong: an unknown flag, a malformed value, two things that exclude each other."""

    reason = "InvalidSpec"
    exit_code = 64


class FieldNotSupported(UsageError):
    """A field of the API that this version knows and does not act on. Refused, never ignored."""

    reason = "FieldNotSupported"


class ExecutionException(MlpError):
    """A project could not be run, or its run did not end well. Named as MLflow names it, for programs that catch it."""


class ProjectError(ExecutionException):
    """What the project says, or what was asked of it, does not fit together."""

    reason = "ProjectInvalid"
    exit_code = 65


class ProjectInvalid(ProjectError):
    """The MLproject file, or a file that it names, cannot be understood.

    Attributes:
        explanation: The message without the place that it begins with.
        file: The file; None where the mistake has no place.
        line: The line, from 1.
        column: The column, from 1.
    """

    def __init__(
        self, explanation: str, *, file: str | None = None, line: int | None = None, column: int | None = None
    ) -> None:
        super().__init__(explanation if file is None else f"{file}:{line}:{column}: {explanation}")
        self.explanation = explanation
        self.file = file
        self.line = line
        self.column = column


class EntryPointNotFound(ProjectError):
    """Neither an entry point of the MLproject file nor a script of the project has that name."""

    reason = "EntryPointNotFound"
    exit_code = 64


class ParameterMissing(ProjectError):
    """A parameter without a default was not given."""

    reason = "ParameterMissing"
    exit_code = 64


class ParameterInvalid(ProjectError):
    """A value does not fit its parameter's type."""

    reason = "ParameterInvalid"
    exit_code = 64


class ParameterPending(ProjectError):
    """The Secret or ConfigMap that a parameter's value comes from is not there yet, or not to be read."""

    reason = "ParameterSourcePending"
    exit_code = 75
    temporary = True


class SourceError(ExecutionException):
    """The project could not be brought from where it lies."""

    reason = "SourceNotFound"
    exit_code = 66


class SourceInvalid(SourceError):
    """The URI cannot name a project: a forbidden scheme, an escape from the repository, credentials inside."""

    reason = "SourceInvalid"
    exit_code = 64


class SourceNotFound(SourceError):
    """There is no such repository, version, commit or directory."""


class AuthenticationFailed(SourceError):
    """The server wants credentials, or refuses those that it was given."""

    reason = "AuthenticationFailed"
    exit_code = 67


class SourceUnavailable(SourceError):
    """The server could not be reached, was too slow, or failed. Trying again later is right."""

    reason = "SourceUnavailable"
    exit_code = 75
    temporary = True


class DataError(ExecutionException):
    """Data that a run needs could not be brought."""

    reason = "DataNotFound"
    exit_code = 68


class DataNotFound(DataError):
    """There is no such object, file, run or artifact."""


class DataAccessDenied(DataError):
    """The server wants credentials, or those that it got do not allow this."""

    reason = "DataAccessDenied"
    exit_code = 67


class DataUnavailable(DataError):
    """The server could not be reached, was too slow, or failed. Trying again later is right."""

    reason = "DataUnavailable"
    exit_code = 75
    temporary = True


class DataCorrupt(DataError):
    """What arrived is not what is stored, again and again."""

    reason = "DataCorrupt"
    exit_code = 75
    temporary = True


class DataInvalid(DataError):
    """The address cannot be downloaded: an unknown scheme, a malformed URI, names that no file system can hold."""

    reason = "DataInvalid"
    exit_code = 64


class PreparationError(ExecutionException):
    """The environment that a project declares could not be made."""

    reason = "EnvironmentFailed"
    exit_code = 69


class EnvironmentInvalid(PreparationError):
    """The environment file cannot be understood."""

    reason = "EnvironmentInvalid"
    exit_code = 65


class EnvironmentUnsolvable(PreparationError):
    """A package does not exist, or no versions fit together. The message is the solver's own."""

    reason = "EnvironmentUnsolvable"


class EnvironmentUnavailable(PreparationError):
    """A channel or an index could not be read."""

    reason = "EnvironmentUnavailable"
    exit_code = 75
    temporary = True


class EnvironmentAccessDenied(PreparationError):
    """A channel or an index wants credentials, or others."""

    reason = "EnvironmentAccessDenied"
    exit_code = 67


class VolumeFull(PreparationError):
    """There is no room left where environments are kept. Other runs' environments may go meanwhile."""

    reason = "VolumeFull"
    exit_code = 75
    temporary = True


class VolumeWithoutLocks(PreparationError):
    """The file system that environments are kept on has no locks, so that two runs could build one at once."""

    reason = "VolumeWithoutLocks"


class VolumeNotWritable(PreparationError):
    """Environments are kept where nothing can be written."""

    reason = "VolumeNotWritable"


class EngineUnavailable(PreparationError):
    """The project runs in a container, and there is no engine to run one."""

    reason = "EngineUnavailable"


class TrackingError(ExecutionException):
    """The tracking server did not do what it was asked."""

    reason = "TrackingFailed"
    exit_code = 69


class TrackingNotFound(TrackingError):
    """There is no such experiment or run."""

    reason = "TrackingNotFound"


class TrackingDenied(TrackingError):
    """The tracking server wants credentials, or those that it got do not allow this."""

    reason = "TrackingDenied"
    exit_code = 67


class TrackingUnavailable(TrackingError):
    """The tracking server could not be reached, was too slow, or failed. Trying again later is right."""

    reason = "TrackingUnavailable"
    exit_code = 75
    temporary = True


class WorkspaceError(ExecutionException):
    """A Databricks workspace did not do what it was asked, and nobody knows better why."""

    reason = "WorkspaceError"
    exit_code = 69


class WorkspaceDenied(WorkspaceError):
    """The workspace wants credentials, or those that it got do not allow this."""

    reason = "WorkspaceDenied"
    exit_code = 67


class WorkspaceRefused(WorkspaceError):
    """The workspace does not take what was asked: a cluster, a library or a path that is none."""

    reason = "WorkspaceRefused"
    exit_code = 64


class WorkspaceNotFound(WorkspaceError):
    """There is no such thing in the workspace: a run, whose history may have expired, a file, a cluster."""

    reason = "WorkspaceNotFound"
    exit_code = 66


class WorkspaceUnavailable(WorkspaceError):
    """The workspace could not be reached, was too slow, had too many requests, or failed. Later is right.

    Attributes:
        after: Seconds for which the workspace asks to be left alone (Retry-After); 0 if it does not say.
    """

    reason = "WorkspaceUnavailable"
    exit_code = 75
    temporary = True

    def __init__(self, message: str, *, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


class ClusterError(MlpError):
    """The Kubernetes API refused what it was asked, or could not do it."""

    reason = "ClusterError"
    exit_code = 69


class ClusterUnreachable(ClusterError):
    """The API server did not answer, or not for now. Trying again later is right."""

    reason = "ClusterUnreachable"
    exit_code = 75
    temporary = True


class RunNotFound(ClusterError):
    """There is no ProjectRun of that name, or it was deleted in the meantime."""

    reason = "RunNotFound"


class RunError(ExecutionException):
    """A run that was started did not end well."""

    reason = "RunFailed"
    exit_code = 1


class RunFailed(RunError):
    """The project's command ended with another code than 0.

    Attributes:
        status: The command's exit status, 1 to 255 (128 + n for a command that signal n ended).
        last_lines: The last lines that the command wrote, where they passed through our hands.
    """

    reason = "EntryPointFailed"

    def __init__(self, message: str, *, status: int, last_lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.last_lines = last_lines


class RunCancelled(RunError):
    """Someone has ended the run."""

    reason = "Cancelled"


class WaitTimedOut(RunError):
    """The time for waiting is over. The run itself goes on."""

    reason = "WaitTimedOut"
