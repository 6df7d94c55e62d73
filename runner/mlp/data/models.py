"""Where the files of models lie: registered ones by version and alias, logged ones by their id and by their run.

A tracking server is asked by its REST API. A store without a server (a database, a directory) is asked through the
mlflow package, which such a store needs anyhow. Knows nothing of how the files are then brought.
"""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlp.data.origin import Context
from mlp.data.server import find_server, server_uri
from mlp.errors import DataInvalid, DataNotFound, DataUnavailable, MlpError
from mlp.tracking import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlp.data.server import Server

__all__ = ["Models", "find_models", "find_registry"]

_API: Final = "/api/2.0/mlflow"


class Models(ABC):
    """A store of models."""

    @abstractmethod
    def logged(self, model_id: str) -> tuple[str, str]:
        """The name of a logged model, and where its files lie."""

    @abstractmethod
    def of_run(self, run_id: str) -> list[str]:
        """The ids of the models that a run has logged."""

    @abstractmethod
    def version_of(self, name: str, alias: str) -> str:
        """The version that an alias of a registered model stands for."""

    @abstractmethod
    def registered(self, name: str, version: str) -> str:
        """Where the files of a registered model's version lie."""

    def close(self) -> None:  # noqa: B027 -- some stores have nothing open
        """Let go of connections."""


def find_models(context: Context, *, shown: str) -> Models | None:
    """The models of a tracking store; None where it cannot be asked for them.

    Args:
        context: Names the store.
        shown: The URI for people.
    """
    uri = server_uri(context)
    if uri.startswith(("http://", "https://")):
        return ServedModels(find_server(context, host="", shown=shown))
    if uri.startswith("databricks"):
        return None
    try:
        tracking = connect(context.tracking_uri)
    except MlpError as error:
        raise DataInvalid(f"{shown} cannot be looked up: {error}") from None
    return None if tracking is None else PackageModels(tracking.uri, shown=shown)


def find_registry(context: Context, *, shown: str) -> Models:
    """The registry of models: what MLFLOW_REGISTRY_URI says, else the tracking store's.

    Raises:
        DataInvalid: There is none, or it cannot be asked.
    """
    if registry := os.environ.get("MLFLOW_REGISTRY_URI"):
        context = Context(tracking_uri=registry, threads=context.threads)
    models = find_models(context, shown=shown)
    if models is None:
        raise DataInvalid(
            f"{shown} cannot be looked up: set MLFLOW_TRACKING_URI or MLFLOW_REGISTRY_URI to a server or a database. "
            f"The registry of Databricks is not read."
        )
    return models


class ServedModels(Models):
    """The models of a tracking server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def logged(self, model_id: str) -> tuple[str, str]:
        """Ask the server."""
        info = self._ask(f"logged-models/{quote(model_id, safe='')}").get("model", {}).get("info", {})
        return str(info.get("name", "")), str(info.get("artifact_uri", ""))

    def of_run(self, run_id: str) -> list[str]:
        """Ask the server. One of before MLflow 3 names none."""
        outputs = self._ask("runs/get", run_id=run_id).get("run", {}).get("outputs", {})
        return [str(each["model_id"]) for each in outputs.get("model_outputs", ()) if each.get("model_id")]

    def version_of(self, name: str, alias: str) -> str:
        """Ask the server."""
        return str(self._ask("registered-models/alias", name=name, alias=alias).get("model_version", {})["version"])

    def registered(self, name: str, version: str) -> str:
        """Ask the server."""
        return str(self._ask("model-versions/get-download-uri", name=name, version=version).get("artifact_uri", ""))

    def close(self) -> None:
        """Close all connections."""
        self._server.web.close()

    def _ask(self, what: str, **query: str) -> dict[str, Any]:
        return self._server.web.json(f"{self._server.url}{_API}/{what}", params=query)


class PackageModels(Models):
    """The models of a store that the mlflow package reads."""

    def __init__(self, uri: str, *, shown: str) -> None:
        self._client = importlib.import_module("mlflow").MlflowClient(tracking_uri=uri, registry_uri=uri)
        self._shown = shown

    def logged(self, model_id: str) -> tuple[str, str]:
        """Look it up."""
        with self._explained():
            model = self._client.get_logged_model(model_id)
        return str(model.name), str(model.artifact_location)

    def of_run(self, run_id: str) -> list[str]:
        """Look the run up. The package of before MLflow 3 knows none."""
        with self._explained():
            outputs = getattr(self._client.get_run(run_id), "outputs", None)
        return [str(each.model_id) for each in getattr(outputs, "model_outputs", None) or ()]

    def version_of(self, name: str, alias: str) -> str:
        """Look it up."""
        with self._explained():
            return str(self._client.get_model_version_by_alias(name, alias).version)

    def registered(self, name: str, version: str) -> str:
        """Look it up."""
        with self._explained():
            return str(self._client.get_model_version_download_uri(name, version))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        exceptions = importlib.import_module("mlflow.exceptions")
        try:
            yield
        except exceptions.MlflowException as error:
            missing = getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"
            kind = DataNotFound if missing else DataUnavailable
            raise kind(f"{self._shown} cannot be looked up: {getattr(error, 'message', '')}") from None
