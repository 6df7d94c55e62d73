"""A project that was packed: from the ConfigMap that is mounted, or downloaded, checked and unpacked."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import (
    AuthenticationFailed,
    DataAccessDenied,
    DataError,
    DataNotFound,
    SourceError,
    SourceInvalid,
    SourceNotFound,
    SourceUnavailable,
)

if TYPE_CHECKING:
    import threading

    from mlp.resources.plan import Plan, PlannedBundle
    from mlp.steps.layout import Layout

__all__ = ["unpack_bundle"]

_DIGITS: Final = 12
"""Of a checksum that people are shown."""


def unpack_bundle(bundle: PlannedBundle, plan: Plan, layout: Layout, stop: threading.Event) -> str:
    """Put a packed project into its place.

    Args:
        bundle: What it has to be.
        plan: Says which directory of it is the project.
        layout: Where things lie.
        stop: Set when it is not wanted any more.

    Returns:
        What was done, for people.

    Raises:
        SourceError: It cannot be brought, is not what was planned, or must not be unpacked.
    """
    layout.project.parent.mkdir(parents=True, exist_ok=True)
    if bundle.uri is None:
        if not layout.bundle.is_file():
            raise SourceNotFound(
                f"The ConfigMap of spec.project.bundle has no key {layout.bundle.name}. 'mlp submit' makes one."
            )
        _unpack(layout.bundle, bundle, layout)
        origin = "that came with the run"
    else:
        from mlp.data.address import parse  # noqa: PLC0415 -- only a bundle from elsewhere needs it

        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=layout.project.parent) as directory:
            _unpack(_downloaded(bundle.uri, Path(directory), layout, stop), bundle, layout)
        origin = parse(bundle.uri).shown
    _check_subdirectory(plan, layout)
    inside = f", subdirectory {plan.source.subdirectory}" if plan.source.subdirectory else ""
    return f"Unpacked the bundle {bundle.sha256[:_DIGITS]} {origin}{inside}"


def _unpack(archive: Path, bundle: PlannedBundle, layout: Layout) -> None:
    from mlp.source.bundle import unpack  # noqa: PLC0415 -- only bundles need it

    unpack(archive, layout.project, sha256=bundle.sha256)


def _downloaded(uri: str, into: Path, layout: Layout, stop: threading.Event) -> Path:
    from mlp.data import download  # noqa: PLC0415 -- only a bundle from elsewhere needs them
    from mlp.steps.credentials import for_data  # noqa: PLC0415
    from mlp.steps.progress import Progress  # noqa: PLC0415
    from mlp.steps.variables import lent  # noqa: PLC0415

    try:
        with lent(for_data(layout)):
            return download(uri, into, cancelled=stop, progress=Progress("Downloading the bundle").transfer)
    except DataError as error:
        raise _as_source(error) from None


def _as_source(error: DataError) -> SourceError:
    """What went wrong with data, where the data is the project."""
    if isinstance(error, DataAccessDenied):
        return AuthenticationFailed(f"{error} The bundle is downloaded with the credentials of spec.data.secretRef.")
    if error.temporary:
        return SourceUnavailable(str(error))
    return SourceNotFound(str(error)) if isinstance(error, DataNotFound) else SourceInvalid(str(error))


def _check_subdirectory(plan: Plan, layout: Layout) -> None:
    directory = layout.inside(plan.directory)
    if not directory.is_dir():
        raise SourceNotFound(f"Could not find subdirectory {plan.source.subdirectory} of the bundle.")
    if not directory.resolve().is_relative_to(layout.project.resolve()):
        raise SourceInvalid(
            f"The subdirectory '{plan.source.subdirectory}' is a symbolic link that leads out of the bundle."
        )
