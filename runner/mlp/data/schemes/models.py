"""``models:/…``: the files of a registered model's version, of an alias, of a stage's newest, or of a logged model.

The registry is asked where they lie; everything else is for the scheme of that place.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from mlp.data.origin import Context
from mlp.data.registry import open_origin as open_any
from mlp.data.schemes.runs import below
from mlp.data.server import Server, find_server, server_uri
from mlp.errors import DataInvalid, DataNotFound

if TYPE_CHECKING:
    from mlp.data.address import Address
    from mlp.data.origin import Origin

__all__ = ["follow", "open_origin"]

_API: Final = "/api/2.0/mlflow"
_VERSION: Final = re.compile(r"(?P<name>[^/@]+)/(?P<version>\d+)(?:/(?P<path>.*))?")
_ALIAS: Final = re.compile(r"(?P<name>[^/@]+)@(?P<alias>[^/@]+)(?:/(?P<path>.*))?")
_LOGGED: Final = re.compile(r"(?P<id>m-[0-9a-f]+)(?:/(?P<path>.*))?")


def open_origin(address: Address, context: Context) -> Origin:
    """The way to where the model's files lie."""
    return open_any(follow(address, context), context)


def follow(address: Address, context: Context) -> Address:
    """Where the files of a model really lie.

    Raises:
        DataInvalid: The URI has another form, or the registry is none that can be asked.
        DataNotFound: There is no such model, version or alias.
        DataError: The registry could not be asked.
    """
    if registry := os.environ.get("MLFLOW_REGISTRY_URI"):
        context = Context(tracking_uri=registry, threads=context.threads)
    path = "" if address.host else address.path
    match = _VERSION.fullmatch(path) or _ALIAS.fullmatch(path) or _LOGGED.fullmatch(path)
    if match is None:
        raise DataInvalid(
            f"{address.shown} names no model. Write models:/NAME/VERSION, models:/NAME@ALIAS, or models:/MODEL_ID."
        )
    if not server_uri(context).startswith(("http://", "https://")):
        raise DataInvalid(
            f"{address.shown} can be looked up in the model registry of a server only: set MLFLOW_TRACKING_URI or "
            f"MLFLOW_REGISTRY_URI to its http:// or https:// address."
        )
    server = find_server(context, host="", shown=address.shown)
    try:
        location = _location(server, match.groupdict(), shown=address.shown)
        return below(location, (match["path"] or "").strip("/"), meant=address.shown)
    finally:
        server.web.close()


def _location(server: Server, wanted: dict[str, Any], *, shown: str) -> str:
    api = f"{server.url}{_API}"
    if "id" in wanted:
        found = server.web.json(f"{api}/logged-models/{wanted['id']}")
        uri = found.get("model", {}).get("info", {}).get("artifact_uri")
    else:
        version = wanted.get("version")
        if version is None:
            query = {"name": wanted["name"], "alias": wanted["alias"]}
            version = (
                server.web.json(f"{api}/registered-models/alias", params=query).get("model_version", {}).get("version")
            )
        query = {"name": wanted["name"], "version": version}
        uri = server.web.json(f"{api}/model-versions/get-download-uri", params=query).get("artifact_uri")
    if not uri:
        raise DataNotFound(f"The registry does not say where the files of {shown} lie.")
    location = str(uri)
    # A version that was made from a logged model names that.
    if location.startswith("models:/") and "id" not in wanted and (match := _LOGGED.fullmatch(location[8:])):
        return _location(server, match.groupdict(), shown=shown)
    return location
