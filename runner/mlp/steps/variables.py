"""Credentials as a mounted Secret has them, a file a variable, lent to this process for as long as a step needs them.

The libraries below read their settings from environment variables, and so would whatever this process starts. So the
variables are there for a step alone, and a step that starts a project's code never runs beside one that has them.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from mlp.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["lent", "read_variables"]

# The kubelet keeps a Secret's versions in directories beside the keys, all of which begin with two dots.
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMES_A_FILE: Final = re.compile(
    r".*_FILE|.*_CERT_PATH|NETRC|PIP_CERT|AWS_CA_BUNDLE|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GOOGLE_APPLICATION_CREDENTIALS"
)


def read_variables(directory: Path) -> dict[str, str]:
    """The variables that a mounted Secret holds; none where none is mounted.

    A variable that names a file (NETRC, SSL_CERT_FILE) may hold that file's content, which is what one has to put into
    a Secret: then it names the mounted file.

    Raises:
        UsageError: A file cannot be read, or cannot be a variable's value.
    """
    found = {}
    for file in sorted(directory.iterdir()) if directory.is_dir() else ():
        if not _NAME.fullmatch(file.name) or not file.is_file():
            continue
        try:
            value = os.fsdecode(file.read_bytes())
        except OSError as error:
            raise UsageError(f"The Secret's key {file.name} cannot be read: {error.strerror}.") from None
        # An editor, or `echo` on the way into the Secret, has ended the line.
        line = value.rstrip("\r\n")
        if _NAMES_A_FILE.fullmatch(file.name) and (not line.startswith("/") or "\n" in line):
            line = str(file)
        if "\0" in line:
            raise UsageError(f"The Secret's key {file.name} holds a NUL character, which no variable can.")
        found[file.name] = line
    return found


@contextmanager
def lent(variables: Mapping[str, str]) -> Iterator[None]:
    """Have variables in this process' environment for as long as the block lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
