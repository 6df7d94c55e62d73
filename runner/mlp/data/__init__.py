"""Where data comes from: object stores, Databricks, web servers, MLflow's artifacts, this machine.

`is_remote`, `directory_name` and `destination` say from texts alone whether something has to be downloaded and where it
will lie; `download` brings it, checked and whole; `download_artifacts` is MLflow's function of that name. Each scheme
is a module of its own under mlp.data.schemes, imported when the first such URI is met, so that importing this costs
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlp.data.address import destination, directory_name, is_remote
from mlp.lazily import lazily

if TYPE_CHECKING:
    from mlp.data.artifacts import download_artifacts
    from mlp.data.downloading import download
    from mlp.data.files import Progress

__all__ = ["Progress", "destination", "directory_name", "download", "download_artifacts", "is_remote"]

__getattr__ = lazily(
    __name__,
    {
        "artifacts": ("download_artifacts",),
        "downloading": ("download",),
        "files": ("Progress",),
    },
)
