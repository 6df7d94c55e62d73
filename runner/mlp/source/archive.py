"""A project in a zip archive, from this machine or from a web server.

MLflow takes the archive's root for the project's. So does this, but for archives as forges make them, with everything
in one directory: where the root holds no project and its only directory does, the project is there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlp.errors import (
    AuthenticationFailed,
    MlpError,
    SourceError,
    SourceInvalid,
    SourceNotFound,
    SourceUnavailable,
    UsageError,
)
from mlp.source.bringing import clear
from mlp.source.location import transport
from mlp.source.network import authorities, proxy_passwords
from mlp.source.program import Deadline
from mlp.source.redaction import redact
from mlp.source.unpacking import Bounds, unpack

if TYPE_CHECKING:
    from typing import BinaryIO

    import requests

    from mlp.source.access import Access
    from mlp.source.location import Location

__all__ = ["fetch_archive"]

_log = logging.getLogger(__name__)

_ABOUT_PROXIES: Final = (
    "The proxy wants other credentials than the variable has that names it (https_proxy, http_proxy)."
)
_PROXY_WANTS_CREDENTIALS: Final = 407
_BLOCK: Final = 1 << 16
_CONNECT_TIMEOUT: Final = 30.0
_READ_TIMEOUT: Final = 60.0
_PROJECT_FILE: Final = "mlproject"

# What macOS puts beside the files that somebody packs.
_NOT_CONTENT: Final = frozenset({"__MACOSX", ".DS_Store"})


def fetch_archive(
    location: Location,
    into: Path,
    *,
    access: Access | None = None,
    timeout: float = 600.0,
    bounds: Bounds | None = None,
) -> Path:
    """Unpack an archive into an empty directory.

    On failure nothing is left.

    Args:
        location: What `locate` found, of kind "archive".
        into: An empty directory, or one that is not there yet.
        access: Has the user's credentials for the archive's own host, if some were given.
        timeout: Seconds for the download.
        bounds: How large the archive may be.

    Returns:
        The project's directory, in `into`.

    Raises:
        SourceNotFound: There is no such archive, or no such subdirectory in it.
        SourceInvalid: It cannot or must not be unpacked.
        AuthenticationFailed: The server wants other credentials.
        SourceUnavailable: The server was not reached in time, or the disk is full.
        UsageError: The directory is not empty.
    """
    existed = into.is_dir()
    into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise UsageError(f"{into} is not empty, so no project can be unpacked into it.")
    bounds = bounds or Bounds()
    shown = redact(location.uri)
    try:
        with contextlib.ExitStack() as stack:
            if transport(location.uri)[0] == "file":
                archive = _check_local(Path(location.uri), bounds)
            else:
                archive = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mlp-zip-"))) / "archive.zip"
                _download(location.uri, archive, access, Deadline.after(timeout), bounds)
            unpack(archive, into, shown=shown, bounds=bounds)
        return _project(into, location.subdirectory, shown)
    except BaseException:
        clear(into) if existed else shutil.rmtree(into)
        raise


def _check_local(archive: Path, bounds: Bounds) -> Path:
    try:
        size = archive.stat().st_size
    except OSError as error:
        raise SourceNotFound(f"There is no zip archive '{archive}': {error.strerror}.") from None
    if not os.access(archive, os.R_OK):
        raise SourceInvalid(f"The zip archive {archive} cannot be read: permission denied.")
    if size > bounds.packed:
        raise _too_large(str(archive), bounds)
    return archive


def _download(uri: str, archive: Path, access: Access | None, deadline: Deadline, bounds: Bounds) -> None:
    import requests  # noqa: PLC0415 -- a tenth of a second that other projects need not pay
    import urllib3  # noqa: PLC0415 -- comes with it

    given = access.given if access is not None else None
    auth = None
    if given is not None and given.password is not None:
        # In UTF-8, as Git sends them. What requests is given it takes for Latin-1.
        auth = (os.fsencode(given.user(uri)).decode("latin-1"), os.fsencode(given.password).decode("latin-1"))
    try:
        with (
            requests.Session() as session,
            session.get(
                uri,
                auth=auth,
                stream=True,
                timeout=(_CONNECT_TIMEOUT, min(_READ_TIMEOUT, deadline.seconds)),
                verify=authorities(os.environ),
            ) as response,
            archive.open("wb") as sink,
        ):
            response.raise_for_status()
            _receive(response, sink, uri, deadline, bounds)
    except requests.HTTPError as error:
        raise _refused(error, uri, access) from None
    except requests.exceptions.SSLError as error:
        raise AuthenticationFailed(_unable(error, "Name your own authority's certificate in SSL_CERT_FILE.")) from None
    except requests.exceptions.ProxyError as error:
        if str(_PROXY_WANTS_CREDENTIALS) not in str(error):
            raise SourceUnavailable(_unable(error)) from None
        raise AuthenticationFailed(_unable(error, _ABOUT_PROXIES)) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise SourceUnavailable(_unable(error)) from None


def _receive(response: requests.Response, sink: BinaryIO, uri: str, deadline: Deadline, bounds: Bounds) -> None:
    """Take what comes as it comes, so that the deadline holds for a server that sends a byte now and then."""
    received = 0
    while block := response.raw.read1(_BLOCK, decode_content=True):
        received += len(block)
        if received > bounds.packed:
            raise _too_large(redact(uri), bounds)
        if not deadline.remaining:
            raise SourceUnavailable(_unable(f"it was not there within {deadline.seconds:g} seconds"))
        sink.write(block)


def _refused(error: requests.HTTPError, uri: str, access: Access | None) -> MlpError:
    status = error.response.status_code
    if status == _PROXY_WANTS_CREDENTIALS:
        return AuthenticationFailed(_unable(error, _ABOUT_PROXIES))
    if status in {401, 403}:
        from mlp.source.access import Access  # noqa: PLC0415 -- for its words only

        words = (access or Access.ambient()).way_to_authenticate(uri)
        return AuthenticationFailed(_unable(error, words))
    kinds: dict[int, type[SourceError]] = {404: SourceNotFound, 410: SourceNotFound}
    other = SourceUnavailable if status >= 500 or status in {408, 429} else SourceInvalid  # noqa: PLR2004 -- HTTP's
    return kinds.get(status, other)(_unable(error))


def _unable(reason: object, way_out: str = "") -> str:
    """MLflow's words, which programs look for."""
    text = redact(str(reason)).rstrip(".")
    for password in proxy_passwords(os.environ):
        text = text.replace(password, "***")
    return f"Unable to retrieve ZIP file. Reason: {text}. {way_out}".rstrip()


def _too_large(shown: str, bounds: Bounds) -> SourceInvalid:
    return SourceInvalid(f"The zip archive {shown} is larger than {bounds.packed:,} bytes, the most that is taken.")


def _project(root: Path, subdirectory: str, shown: str) -> Path:
    top, only = root, _only_directory(root)
    if only is not None:
        there = (only / subdirectory).is_dir() and not (root / subdirectory).is_dir()
        if there if subdirectory else _holds_project(only):
            _log.info("The project lies in the archive's only directory, %s", only.name)
            top = only
    if not (top / subdirectory).is_dir():
        raise SourceNotFound(f"Could not find subdirectory {subdirectory} of {shown}")
    return top / subdirectory


def _only_directory(root: Path) -> Path | None:
    content = [entry for entry in root.iterdir() if entry.name not in _NOT_CONTENT]
    return content[0] if len(content) == 1 and content[0].is_dir() and not content[0].is_symlink() else None


def _holds_project(directory: Path) -> bool:
    return any(entry.name.lower() == _PROJECT_FILE and entry.is_file() for entry in directory.iterdir())
