"""Bringing one file from a store for a user: a program of its own, and an environment that is the user's alone.

The program (mlp.data.fetching) gets what the user's Secret says and nothing of the operator's: neither its identity nor
its files, nor the way to the node's metadata service. It is ended at the deadline. Synchronous: for a thread.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlp.errors import AuthenticationFailed, SourceError, SourceInvalid, SourceNotFound, SourceUnavailable
from mlp.source import program
from mlp.source.network import authorities, network_variables

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["SCHEMES", "TAKEN", "bring", "store_of"]

SCHEMES: Final = ("s3", "s3a", "s3n", "https", "dbfs")

TAKEN: Final = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
        "AWS_REQUEST_PAYER",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_USE_FIPS_ENDPOINT",
        "DATABRICKS_CLIENT_ID",
        "DATABRICKS_CLIENT_SECRET",
        "DATABRICKS_HOST",
        "DATABRICKS_PASSWORD",
        "DATABRICKS_TOKEN",
        "DATABRICKS_USERNAME",
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_S3_IGNORE_TLS",
        "MLP_S3_ETAG_IS_MD5",
    }
)
"""What a user's Secret may set. Not all of AWS_* and DATABRICKS_*: some name files to be read, programs to be run, or
places to which the token of the operator's own service account would be sent."""

_FIELD: Final = "spec.project.bundle.uri"

_MEANING: Final[dict[str, type[SourceError]]] = {
    "DataNotFound": SourceNotFound,
    "DataAccessDenied": AuthenticationFailed,
    "DataInvalid": SourceInvalid,
}
"""What an error of a download means for a project. All others may pass."""


def store_of(uri: str, *, schemes: Collection[str]) -> tuple[str, str]:
    """Scheme and host of a URI that may be asked for from here.

    Raises:
        SourceInvalid: The scheme is not allowed, or the URI has credentials in it.
    """
    scheme, _, rest = uri.partition("://")
    host = rest.partition("/")[0]
    if scheme not in schemes:
        raise SourceInvalid(f"{_FIELD}: the operator brings archives by {', '.join(schemes)}, not by {scheme}.")
    if "@" in host and scheme != "dbfs":  # dbfs://PROFILE@WORKSPACE/… has no secret there
        raise SourceInvalid(f"{_FIELD} has credentials in it. Leave them out and name a Secret in spec.data.secretRef.")
    return scheme, host


def bring(uri: str, directory: Path, variables: Mapping[str, str], *, largest: int, deadline: program.Deadline) -> Path:
    """Bring a file.

    Args:
        uri: What `store_of` has let pass.
        directory: An empty directory that goes when the file has been read.
        variables: What the user's Secret gives, of `TAKEN`.
        largest: Bytes that the file may have.
        deadline: When it has to be here.

    Raises:
        SourceError: It is not there, too large, not to be read, or not now.
    """
    request = {"uri": uri, "into": str(directory / "arrived"), "largest": largest}
    try:
        outcome = program.run(
            # Isolated: neither variables nor files beside it change what the program is.
            [sys.executable, "-I", "-m", "mlp.data.fetching"],
            environment=_environment(directory, variables),
            deadline=deadline,
            directory=directory,
            stdin=json.dumps(request).encode(),
        )
    except program.TimedOut:
        raise SourceUnavailable(f"{_FIELD}: {_shown(uri)} was not here within {deadline.seconds:g} seconds.") from None
    try:
        said = json.loads(outcome.stdout)
    except ValueError:
        raise SourceUnavailable(
            f"{_FIELD}: the download of {_shown(uri)} ended unexpectedly, with status {outcome.status}."
        ) from None
    if "error" in said:
        raise _MEANING.get(said["error"], SourceUnavailable)(f"{_FIELD}: {said['message']}")
    return Path(said["file"])


def _environment(directory: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a download."""
    home = directory / "home"
    home.mkdir()
    found = network_variables(os.environ)
    if isinstance(authority := authorities(os.environ), str):
        found |= {"REQUESTS_CA_BUNDLE": authority, "AWS_CA_BUNDLE": os.environ.get("AWS_CA_BUNDLE") or authority}
    return {
        **variables,
        **found,
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(directory),
        # The node's identity is not the user's.
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def _shown(uri: str) -> str:
    """A URI without a query, which often holds a signature."""
    return urlsplit(uri)._replace(query="", fragment="").geturl() if uri.startswith("http") else uri
