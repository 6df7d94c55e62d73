"""``models:/…``: the files of a registered model's version, of an alias, or of a logged model.

The registry is asked where they lie; everything else is for the scheme of that place.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Final

from mlp.data.models import find_registry
from mlp.data.registry import open_origin as open_any
from mlp.data.schemes.runs import below
from mlp.errors import DataInvalid, DataNotFound

if TYPE_CHECKING:
    from mlp.data.address import Address
    from mlp.data.models import Models
    from mlp.data.origin import Context, Origin

__all__ = ["follow", "open_origin"]

_LOGGED: Final = re.compile(r"(?P<id>m-[0-9a-f]+)(?:/(?P<path>.*))?")
_REGISTERED: Final = re.compile(r"(?P<name>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+))(?:/(?P<path>.*))?")


def open_origin(address: Address, context: Context) -> Origin:
    """The way to where the model's files lie."""
    return open_any(follow(address, context), context)


def follow(address: Address, context: Context) -> Address:
    """Where the files of a model really lie.

    Raises:
        DataInvalid: The URI has another form, or there is no registry that can be asked.
        DataNotFound: There is no such model, version or alias.
        DataError: The registry could not be asked.
    """
    path = "" if address.host else address.path
    match = _LOGGED.fullmatch(path) or _REGISTERED.fullmatch(path)
    if match is None:
        raise DataInvalid(
            f"{address.shown} names no model. Write models:/NAME/VERSION, models:/NAME@ALIAS, or models:/MODEL_ID."
        )
    with closing(find_registry(context, shown=address.shown)) as models:
        location = _location(models, match)
    if not location:
        raise DataNotFound(f"The registry does not say where the files of {address.shown} lie.")
    return below(location, (match["path"] or "").strip("/"), meant=address.shown)


def _location(models: Models, match: re.Match[str]) -> str:
    if match.re is _LOGGED:
        return models.logged(match["id"])[1]
    version = match["version"] or models.version_of(match["name"], match["alias"])
    location = models.registered(match["name"], version)
    # A version that was made of a logged model names that.
    logged = _LOGGED.fullmatch(location.removeprefix("models:/")) if location.startswith("models:/") else None
    return location if logged is None else models.logged(logged["id"])[1]
