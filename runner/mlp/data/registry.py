"""Which schemes there are: one module each, found by the URI's scheme and imported when the first such URI is met.

What no module of ours knows goes through fsspec, which has a package for nearly every store: the table says which one
to install. Knows nothing of how any of them works.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from mlp.data.address import Address
    from mlp.data.origin import Context, Origin

__all__ = ["PACKAGES", "SCHEMES", "open_origin"]

SCHEMES: Final = {
    "s3": "s3",
    "s3a": "s3",
    "s3n": "s3",
    "dbfs": "dbfs",
    "http": "http",
    "https": "http",
    "runs": "runs",
    "models": "models",
    "mlflow-artifacts": "mlflow_artifacts",
    "file": "file",
}
"""The module under mlp.data.schemes for each scheme of our own."""

PACKAGES: Final = {
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
    "wasb": "adlfs",
    "wasbs": "adlfs",
    "adl": "adlfs",
    "hdfs": "pyarrow",
    "webhdfs": "fsspec",
    "ftp": "fsspec",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "github": "fsspec",
    "oci": "ocifs",
    "oss": "ossfs",
    "hf": "huggingface_hub",
    "box": "boxfs",
    "dropbox": "dropboxdrivefs",
    "gdrive": "gdrive-fsspec",
    "webdav": "webdav4",
}
"""The package that fsspec needs for each other scheme."""


def open_origin(address: Address, context: Context) -> Origin:
    """The way to what an address names.

    Raises:
        DataInvalid: Nobody knows the scheme, or the package for it is not installed.
        DataError: What the scheme's module says.
    """
    module = import_module(f"mlp.data.schemes.{SCHEMES.get(address.scheme, 'other')}")
    return cast("Origin", module.open_origin(address, context))
