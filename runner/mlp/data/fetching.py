"""One file, downloaded by a program of its own: ``python -I -m mlp.data.fetching``, for whoever serves many users.

Credentials for downloads are environment variables, and a process has one environment. A server that downloads for
many gives each download a process, with what its user has given and nothing of the server's own; it can be ended at
any moment, and a file that grows too large ends it by itself. What to bring is read from standard input, for URIs may
be signed and a command line is everybody's to read; how it went is one JSON object on standard output.
"""

from __future__ import annotations

import errno
import json
import resource
import sys
from pathlib import Path

from mlp.data.address import parse
from mlp.data.downloading import download
from mlp.errors import DataError, DataInvalid, MlpError

__all__ = ["main"]


def main() -> int:
    """Bring what standard input names: ``{"uri": …, "into": DIRECTORY, "largest": BYTES}``.

    Standard output gets ``{"file": PATH}``, or ``{"error": CLASS, "message": …}`` with a class of mlp.errors.

    Returns:
        The exit status: 0, or that of the error.
    """
    wanted = json.load(sys.stdin)
    try:
        answer, status = {"file": str(_fetch(wanted["uri"], Path(wanted["into"]), wanted["largest"]))}, 0
    except MlpError as error:
        # A missing package or an unreadable setting is a mistake in what was asked for, as seen from there.
        kind = type(error) if isinstance(error, DataError) else DataInvalid
        answer, status = {"error": kind.__name__, "message": str(error)}, error.exit_code
    sys.stdout.write(json.dumps(answer))
    return status


def _fetch(uri: str, into: Path, largest: int) -> Path:
    shown = parse(uri).shown
    too_large = f"{shown} is larger than the {largest:,} bytes that are allowed."

    def watch(done: int, total: int | None, _: str) -> None:
        if max(done, total or 0) > largest:
            raise DataInvalid(too_large)

    # Nobody looks all the time, and what a server says of a size may be wrong: the kernel counts.
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        found = download(uri, into, progress=watch)
    except DataInvalid as error:
        if isinstance(error.__context__, OSError) and error.__context__.errno == errno.EFBIG:
            raise DataInvalid(too_large) from None
        raise
    if not found.is_file():
        raise DataInvalid(f"{shown} is a directory, and one file is wanted.")
    return found


if __name__ == "__main__":
    sys.exit(main())
