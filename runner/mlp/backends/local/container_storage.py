"""What a container needs to log to the stores that its run is recorded in.

As MLflow does: a store that is a file or directory of this machine is mounted, and the credentials of an object store
are handed on. Beyond MLflow, a database comes with its directory (its journal is a file beside it: a run that is killed
must not take the database with it), temporary AWS credentials work, and so do tracking servers that want a login.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mlp.backends.local.mounts import Mount

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Storage", "storage"]

_TRACKING_DIRECTORY: Final = "/mlflow/tmp/mlruns"
_AWS_DIRECTORY: Final = "/.aws"
_GOOGLE_FILE: Final = "/.gcs"

_TRACKING_LOGIN: Final = (
    *("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_AUTH"),
    *("MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_INSECURE_TLS"),
)
_AWS: Final = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"),
    *(
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_S3_IGNORE_TLS",
    ),
)
_AZURE: Final = ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCESS_KEY")
_KERBEROS: Final = ("MLFLOW_KERBEROS_TICKET_CACHE", "MLFLOW_KERBEROS_USER", "MLFLOW_PYARROW_EXTRA_CONF")


@dataclass(frozen=True, slots=True)
class Storage:
    """What a container gets for its stores.

    Attributes:
        mounts: What it sees of this machine.
        variables: Its environment variables.
        directories: Directories that have to exist here before.
    """

    mounts: tuple[Mount, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    directories: tuple[Path, ...] = ()

    def __add__(self, other: Storage) -> Storage:
        return Storage(
            self.mounts + other.mounts,
            {**self.variables, **other.variables},
            self.directories + other.directories,
        )


def storage(tracking_uri: str | None, artifact_uri: str | None, *, environ: Mapping[str, str], base: Path) -> Storage:
    """What a container needs for a run in these stores.

    Args:
        tracking_uri: The tracking store; None for none.
        artifact_uri: Where the run's artifacts go; None if nowhere.
        environ: The caller's variables.
        base: What a relative path is meant from, absolute.
    """
    return _tracking(tracking_uri, environ, base) + _artifacts(artifact_uri, environ, base)


def _tracking(uri: str | None, environ: Mapping[str, str], base: Path) -> Storage:
    parts = urlsplit(uri or "")
    if uri is None or uri == "databricks":
        return Storage()
    if parts.scheme in {"http", "https"}:
        return Storage(variables=_given(_TRACKING_LOGIN, environ))
    if parts.netloc:
        return Storage()
    query = f"?{parts.query}" if parts.query else ""
    if parts.scheme == "sqlite" and parts.path.strip("/"):
        # Three slashes are a relative path, four an absolute one.
        database = base / parts.path.removeprefix("/")
        inside = f"sqlite:///{_TRACKING_DIRECTORY}/{database.name}{query}"
        return _at_the_tracking_directory(database.parent, inside)
    if parts.scheme in {"", "file"}:
        with_setting = Storage(variables=_given(("MLFLOW_ALLOW_FILE_STORE",), environ))
        directory = base / (unquote(parts.path) if parts.scheme else uri)
        return _at_the_tracking_directory(directory, f"file://{_TRACKING_DIRECTORY}") + with_setting
    return Storage()


def _at_the_tracking_directory(directory: Path, uri: str) -> Storage:
    mount = Mount(directory, _TRACKING_DIRECTORY, read_only=False)
    return Storage((mount,), {"MLFLOW_TRACKING_URI": uri}, (directory,))


def _artifacts(uri: str | None, environ: Mapping[str, str], base: Path) -> Storage:
    if uri is None:
        return Storage()
    parts = urlsplit(uri)
    match parts.scheme:
        case "" | "file" if not parts.netloc:
            directory = base / (unquote(parts.path) if parts.scheme else uri)
            # At the same place as here, because the run's record names that one.
            return Storage((Mount(directory, str(directory), read_only=False),), directories=(directory,))
        case "s3":
            return _s3(environ)
        case "wasbs":
            return Storage(variables=_given(_AZURE, environ))
        case "gs":
            return _file("GOOGLE_APPLICATION_CREDENTIALS", environ, base, target=_GOOGLE_FILE)
        case "hdfs" | "viewfs":
            found = Storage(variables=_given(_KERBEROS, environ))
            return found + _file("MLFLOW_KERBEROS_TICKET_CACHE", environ, base)
    return Storage()


def _s3(environ: Mapping[str, str]) -> Storage:
    found = Storage(variables=_given(_AWS, environ))
    home = Path(environ["HOME"]) / ".aws" if environ.get("HOME") else None
    if home is None or not home.is_dir():
        return found
    # MLflow mounts the directory where only a user whose home is / looks for it; the variables say where it is.
    files = {
        "AWS_SHARED_CREDENTIALS_FILE": f"{_AWS_DIRECTORY}/credentials",
        "AWS_CONFIG_FILE": f"{_AWS_DIRECTORY}/config",
    }
    return found + Storage((Mount(home, _AWS_DIRECTORY, read_only=True),), files)


def _file(variable: str, environ: Mapping[str, str], base: Path, *, target: str | None = None) -> Storage:
    """A file that a variable names."""
    if not environ.get(variable):
        return Storage()
    source = base / environ[variable]
    place = target or str(source)
    return Storage((Mount(source, place, read_only=True),), {variable: place})


def _given(names: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in names if name in environ}
