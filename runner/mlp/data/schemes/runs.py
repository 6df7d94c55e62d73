"""``runs:/ID/path``: an artifact of a run, wherever the tracking store says that its artifacts lie.

The store is asked once; everything else is for the scheme of the place that it names.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlp.data.address import Address, parse
from mlp.data.models import find_models
from mlp.data.registry import open_origin as open_any
from mlp.errors import (
    DataAccessDenied,
    DataInvalid,
    DataNotFound,
    DataUnavailable,
    TrackingDenied,
    TrackingError,
    TrackingNotFound,
    TrackingUnavailable,
    UsageError,
)
from mlp.tracking import get_run

if TYPE_CHECKING:
    from mlp.data.origin import Context, Origin

__all__ = ["below", "follow", "open_origin"]


def open_origin(address: Address, context: Context) -> Origin:
    """The way to where the run's artifacts lie."""
    return open_any(follow(address, context), context)


def follow(address: Address, context: Context) -> Address:
    """Where the artifact of a run really lies.

    Raises:
        DataInvalid: The URI names no run.
        DataNotFound: There is no such run.
        DataError: The tracking store could not be asked.
    """
    run_id, _, path = address.path.partition("/")
    if address.host or not run_id:
        raise DataInvalid(f"{address.shown} names no run. Write runs:/RUN_ID/path.")
    try:
        root = get_run(run_id, uri=context.tracking_uri).info.artifact_uri
    except TrackingNotFound as error:
        raise DataNotFound(f"There is no {address.shown}: {error}") from None
    except TrackingDenied as error:
        raise DataAccessDenied(f"{address.shown} cannot be looked up: {error}") from None
    except TrackingUnavailable as error:
        raise DataUnavailable(f"{address.shown} cannot be looked up: {error}") from None
    except (TrackingError, UsageError) as error:
        raise DataInvalid(f"{address.shown} cannot be looked up: {error}") from None
    if not root:
        raise DataNotFound(f"The tracking store does not say where the artifacts of {address.shown} lie.")
    name, _, rest = path.strip("/").partition("/")
    if name and (location := _logged_model(run_id, name, context, shown=address.shown)):
        return below(location, rest, meant=address.shown)
    return below(root, path.strip("/"), meant=address.shown)


def _logged_model(run_id: str, name: str, context: Context, *, shown: str) -> str | None:
    """Where the model lies that the run has logged under a name: since MLflow 3 not among the run's artifacts."""
    models = find_models(context, shown=shown)
    if models is None:
        return None
    with closing(models):
        logged = [models.logged(model_id) for model_id in models.of_run(run_id)]
    # The last one counts, as the last artifact of a name does.
    return next((location for its_name, location in reversed(logged) if its_name == name), None)


def below(root: str, path: str, *, meant: str) -> Address:
    """The address of something below an artifact location, which may be a bare path of this machine.

    Args:
        root: The location.
        path: Relative to it; "" for all.
        meant: The URI that led there, for people.
    """
    if "://" not in root and not root.startswith(("file:/", "dbfs:/", "mlflow-artifacts:/", "models:/")):
        root = Path(root).absolute().as_uri()
    address = replace(parse(root), meant=meant)
    if not path:
        return address
    # A path is percent-encoded where the location is a URL, and stands as it is everywhere else.
    base, mark, query = root.partition("?") if address.scheme in {"http", "https"} else (root, "", "")
    encoded = quote(path) if address.scheme in {"http", "https", "file"} else path
    return replace(parse(f"{base.rstrip('/')}/{encoded}{mark}{query}"), meant=meant)
